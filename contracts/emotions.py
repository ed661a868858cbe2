"""The emotion vocabulary: seven classes, in FER2013's order, everywhere; and the one colour of each."""

from collections.abc import Mapping
from typing import Final

EMOTIONS: Final = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
HAPPY: Final = EMOTIONS.index("happy")
# Okabe and Ito's palette, which colour-blind people can tell apart.
COLOURS: Final[Mapping[str, str]] = dict(
    zip(EMOTIONS, ("#D55E00", "#009E73", "#CC79A7", "#F0E442", "#0072B2", "#56B4E9", "#999999"), strict=True)
)
