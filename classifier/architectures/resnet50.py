"""resnet50: ResNet50 (He et al., 2016), pretrained on ImageNet.

So uses it "Classification of Facial Images Based on Emotions Using CNNs". The text gives the batch size, the optimizer
and the epochs, but neither the size of the crops nor what was frozen; both are ours: FER2013's 48x48, and first the new
end alone, then everything.
"""

from collections.abc import Mapping
from typing import Any, Final

import keras

from classifier.architectures import transfer
from classifier.recipe import Distortion, Phase, Recipe, Watching, ours

INPUT: Final = (48, 48)
MEANS: Final = (103.939, 116.779, 123.68)  # of ImageNet's blue, green and red
PAPER: Final = Recipe(
    architecture="resnet50", batch_size=32, pretrained=True,
    phases=(
        Phase(epochs=10, optimizer="nadam", rate=1e-3, frozen=-1), Phase(epochs=90, optimizer="nadam", rate=1e-5),
    ),
    distortion=Distortion(flip=True, rotation=0.04, shift=0.1, zoom=0.1),
    watching=Watching(reduce_after=7, factor=0.5, stop_after=11, keep_best=True),
)  # fmt: skip
PRESETS: Final = {"paper": PAPER, "ours": ours("resnet50", rate=0.02)}


def build(heads: Mapping[str, int], *, channels: int = 1, pretrained: bool = False, dropout: float = 0.5) -> Any:
    """keras.Model: u8[N, 48, 48, channels] -> {head: logits f32[N, classes]}."""
    base = transfer.base(keras.applications.ResNet50, INPUT, pretrained)
    centre = keras.layers.Normalization(mean=MEANS, variance=(1.0, 1.0, 1.0))
    return transfer.network("resnet50", heads, base, centre, channels=channels, dropout=dropout)
