"""fern, the facial expression recognition network that is our default: small, and fast on two CPU cores.

A residual network (He et al., "Deep Residual Learning for Image Recognition", 2016) for 48x48 grey faces. Most of its
arithmetic is in plain 3x3 convolutions, which CPUs run closest to their peak; the resolution falls early, and the width
doubles whenever it does, so that each block costs the same 10 million multiplications. The shortcut of a block that
halves the resolution averages before it projects (He et al., "Bag of Tricks", 2019).

Each picture is standardised to mean 0 and deviation 1 inside the network: brightness and contrast cannot mislead it.
"""

from typing import Any, Final

import keras
from keras import layers

BLOCKS: Final = ((32, 1), (64, 2), (128, 2), (128, 1), (256, 2))  # (width, stride)
DROPOUT: Final = 0.3


def build(heads: dict[str, int]) -> Any:
    """keras.Model: u8[N, 48, 48, 1] -> {head: logits f32[N, classes]}."""
    pixels = layers.Input((48, 48, 1), name="crops")
    x = layers.Rescaling(1 / 255)(pixels)
    x = layers.LayerNormalization(axis=(1, 2, 3), center=False, scale=False, epsilon=1e-4, name="standardise")(x)
    x = _convolution(x, BLOCKS[0][0], kernel=5, stride=2)
    for width, stride in BLOCKS:
        x = _residual(x, width, stride)
    x = layers.GlobalAveragePooling2D(name="features")(x)
    x = layers.Dropout(DROPOUT)(x)
    logits = {head: layers.Dense(classes, dtype="float32", name=head)(x) for head, classes in heads.items()}
    return keras.Model(pixels, logits, name="fern")


def _convolution(x: Any, width: int, *, kernel: int = 3, stride: int = 1, activate: bool = True) -> Any:
    x = layers.Conv2D(width, kernel, stride, padding="same", use_bias=False, kernel_initializer="he_normal")(x)
    x = layers.BatchNormalization()(x)
    return layers.ReLU()(x) if activate else x


def _residual(x: Any, width: int, stride: int) -> Any:
    shortcut = layers.AveragePooling2D(stride, padding="same")(x) if stride > 1 else x
    if shortcut.shape[-1] != width:
        shortcut = _convolution(shortcut, width, kernel=1, activate=False)
    x = _convolution(x, width, stride=stride)
    x = _convolution(x, width, activate=False)
    return layers.ReLU()(layers.Add()([shortcut, x]))
