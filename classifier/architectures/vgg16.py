"""vgg16: VGG16 (Simonyan and Zisserman, 2015), pretrained on ImageNet."""

from collections.abc import Mapping
from typing import Any, Final

import keras

from classifier.architectures import transfer
from classifier.recipe import ours

INPUT: Final = (48, 48)
PRESETS: Final = {"paper": transfer.from_imagenet("vgg16"), "ours": ours("vgg16", rate=0.02)}


def build(heads: Mapping[str, int], *, channels: int = 1, pretrained: bool = False, dropout: float = 0.5) -> Any:
    """keras.Model: u8[N, 48, 48, channels] -> {head: logits f32[N, classes]}."""
    base = transfer.base(keras.applications.VGG16, INPUT, pretrained)
    return transfer.network("vgg16", heads, base, transfer.centred(), channels=channels, dropout=dropout)
