"""mini_xception, the network behind the most used packages.

Depthwise separable convolutions with residual connections, and no dense layer: about 60,000 parameters (Arriaga et al.,
"Real-time Convolutional Neural Networks for Emotion and Gender Classification", 2017).
"""

from collections.abc import Mapping
from typing import Any, Final

import keras
from keras import layers, regularizers

from classifier.architectures import parts
from classifier.recipe import Distortion, Phase, Recipe, Watching, ours

INPUT: Final = (64, 64)
WIDTHS: Final = (16, 32, 64, 128)
PAPER: Final = Recipe(
    architecture="mini_xception", phases=(Phase(epochs=110, optimizer="adam", rate=1e-3),), batch_size=32,
    distortion=Distortion(flip=True, rotation=10 / 360, shift=0.1, zoom=0.1), held_out=0.2,
    watching=Watching(reduce_after=12, stop_after=50, keep_best=True),
)  # fmt: skip
PRESETS: Final = {"paper": PAPER, "ours": ours("mini_xception", rate=0.05)}


def build(heads: Mapping[str, int], *, channels: int = 1) -> Any:
    """keras.Model: u8[N, 64, 64, channels] -> {head: logits f32[N, classes]}."""
    pixels = parts.crops(INPUT, channels)
    x = layers.Rescaling(2 / 255, offset=-1)(pixels)
    for _ in range(2):
        x = layers.Conv2D(8, 3, use_bias=False, kernel_regularizer=regularizers.L2(0.01))(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    for width in WIDTHS:
        # Every second place, then the projection, is what its stride would do; but with that, TensorFlow 2.21's oneDNN
        # writes past the gradient of a kernel of one place from less than 16 channels (float32, AVX-512).
        shortcut = layers.Conv2D(width, 1, use_bias=False)(layers.MaxPooling2D(1, 2, padding="same")(x))
        shortcut = layers.BatchNormalization()(shortcut)
        x = layers.ReLU()(_separable(x, width))
        x = layers.MaxPooling2D(3, 2, padding="same")(_separable(x, width))
        x = layers.Add()([x, shortcut])
    maps = {head: layers.Conv2D(count, 3, padding="same", name=f"{head}_map")(x) for head, count in heads.items()}
    logits = {head: layers.GlobalAveragePooling2D(dtype="float32", name=head)(each) for head, each in maps.items()}
    return keras.Model(pixels, logits, name="mini_xception")


def _separable(x: Any, width: int) -> Any:
    x = layers.SeparableConv2D(
        width, 3, padding="same", use_bias=False,
        depthwise_regularizer=regularizers.L2(0.01), pointwise_regularizer=regularizers.L2(0.01),
    )(x)  # fmt: skip
    return layers.BatchNormalization()(x)
