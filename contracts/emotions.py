"""The emotion vocabulary: seven classes, in FER2013's order, everywhere."""

from typing import Final

EMOTIONS: Final = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
HAPPY: Final = EMOTIONS.index("happy")
