"""efficientnetb1: EfficientNetB1 (Tan and Le, 2019), pretrained on ImageNet, for 224x224 crops.

So uses it a report of students of IUT: first the new end alone, then everything but the first 200 layers at a hundredth
of the rate.
"""

from collections.abc import Mapping
from typing import Any, Final

import keras

from classifier.architectures import transfer
from classifier.recipe import Distortion, Phase, Recipe, Watching, ours

INPUT: Final = (224, 224)
PAPER: Final = Recipe(
    architecture="efficientnetb1", batch_size=64, pretrained=True, held_out=0.2, options={"dropout": 0.5},
    phases=(
        Phase(epochs=50, optimizer="adam", rate=1e-3, frozen=-1),
        Phase(epochs=100, optimizer="adam", rate=1e-5, frozen=200),
    ),
    distortion=Distortion(flip=True, rotation=0.2), watching=Watching(keep_best=True),
)  # fmt: skip
PRESETS: Final = {"paper": PAPER, "ours": ours("efficientnetb1", rate=0.05)}


def build(heads: Mapping[str, int], *, channels: int = 1, pretrained: bool = False, dropout: float = 0.5) -> Any:
    """keras.Model: u8[N, 224, 224, channels] -> {head: logits f32[N, classes]}."""
    base = transfer.base(keras.applications.EfficientNetB1, INPUT, pretrained)
    return transfer.network("efficientnetb1", heads, base, _red_first, channels=channels, dropout=dropout)


def _red_first(x: Any) -> Any:
    return x[..., ::-1]  # crops are BGR
