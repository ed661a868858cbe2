"""fern_teacher, what fern can learn from: the same kind of network, wider and deeper, at twice the resolution."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from classifier.architectures import residual
from classifier.recipe import ours

INPUT: Final = (48, 48)
BLOCKS: Final = ((64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1))  # (width, stride)
PRESETS: Final = {
    "ours": msgspec.structs.replace(ours("fern_teacher", epochs=100), mixup=0.2, votes=1.0, mirrored=True)
}


def build(heads: Mapping[str, int], *, channels: int = 1, dropout: float = 0.4) -> Any:
    """keras.Model: u8[N, 48, 48, channels] -> {head: logits f32[N, classes]}."""
    return residual.network(
        "fern_teacher",
        heads,
        size=INPUT,
        channels=channels,
        stem=(BLOCKS[0][0], 3, 1),
        blocks=BLOCKS,
        halving=4,
        dropout=dropout,
    )
