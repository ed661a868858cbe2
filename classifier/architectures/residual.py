"""Residual networks for small grey faces (He et al., "Deep Residual Learning for Image Recognition", 2016).

The resolution falls early, and the width doubles whenever it does, so that each block costs the same. The shortcut of a
block that halves the resolution averages before it projects (He et al., "Bag of Tricks", 2019).

Kernels are of 3x3 places, and even where the resolution is halved: then they lie on a face as they lie on its mirror
image, which filters need that come in mirrored pairs (`classifier.mirrored`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from keras import layers

from classifier.architectures import parts


def network(
    name: str, heads: Mapping[str, int], *, size: tuple[int, int], channels: int, stem: tuple[int, int, int],
    blocks: Sequence[tuple[int, int]], halving: int, dropout: float,
) -> Any:  # fmt: skip
    """stem (width, kernel, stride), then blocks (width, stride), then an average over all places.

    halving: the kernel where a block halves the resolution.
    """
    pixels = parts.crops(size, channels)
    width, kernel, stride = stem
    x = _convolution(parts.standardised(pixels), width, kernel=kernel, stride=stride)
    for width, stride in blocks:
        x = _residual(x, width, stride, kernel=halving if stride > 1 else 3)
    x = layers.GlobalAveragePooling2D(name="features")(x)
    x = layers.Dropout(dropout)(x)
    return parts.model(name, pixels, x, heads)


def _convolution(x: Any, width: int, *, kernel: int = 3, stride: int = 1, activate: bool = True) -> Any:
    x = layers.Conv2D(width, kernel, stride, padding="same", use_bias=False, kernel_initializer="he_normal")(x)
    x = layers.BatchNormalization()(x)
    return layers.ReLU()(x) if activate else x


def _residual(x: Any, width: int, stride: int, *, kernel: int) -> Any:
    shortcut = layers.AveragePooling2D(stride, padding="same")(x) if stride > 1 else x
    if shortcut.shape[-1] != width:
        shortcut = _convolution(shortcut, width, kernel=1, activate=False)
    x = _convolution(x, width, kernel=kernel, stride=stride)
    x = _convolution(x, width, activate=False)
    return layers.ReLU()(layers.Add()([shortcut, x]))
