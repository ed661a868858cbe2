"""dcnn, the network of "Classification of Facial Images Based on Emotions Using CNNs".

Convolutions of 5x5, then 3x3, initialised as He et al. do, each with batch normalisation; max pooling and dropout after
each pair. The text does not give the widths and the shares of the dropout; those here are ours.
"""

from collections.abc import Mapping
from typing import Any, Final

from keras import layers

from classifier.architectures import parts
from classifier.recipe import Distortion, Phase, Recipe, Watching, ours

INPUT: Final = (48, 48)
BLOCKS: Final = ((64, 5), (128, 3), (256, 3))  # (width, kernel), two convolutions each
PAPER: Final = Recipe(
    architecture="dcnn", phases=(Phase(epochs=100, optimizer="nadam", rate=1e-3),), batch_size=32,
    distortion=Distortion(flip=True, rotation=0.04, shift=0.1, zoom=0.1),
    watching=Watching(reduce_after=7, factor=0.5, stop_after=11, keep_best=True),
)  # fmt: skip
PRESETS: Final = {"paper": PAPER, "ours": ours("dcnn", rate=0.05)}


def build(heads: Mapping[str, int], *, channels: int = 1, dropout: float = 0.4) -> Any:
    """keras.Model: u8[N, 48, 48, channels] -> {head: logits f32[N, classes]}."""
    pixels = parts.crops(INPUT, channels)
    x = layers.Rescaling(1 / 255)(pixels)
    for width, kernel in BLOCKS:
        for _ in range(2):
            x = layers.Conv2D(width, kernel, padding="same", activation="relu", kernel_initializer="he_normal")(x)
            x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D(2)(x)
        x = layers.Dropout(dropout)(x)
    x = layers.Flatten()(x)
    x = layers.Dense(128, activation="relu", kernel_initializer="he_normal")(x)
    x = layers.BatchNormalization()(x)
    x = layers.Dropout(dropout)(x)
    return parts.model("dcnn", pixels, x, heads, kernel_initializer="he_normal")
