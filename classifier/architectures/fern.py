"""fern, the facial expression recognition network that is our default: small, and fast on two CPU cores.

Most of its arithmetic is in plain convolutions, which CPUs run closest to their peak; each block costs about 10 million
multiplications. The last is narrower than twice the one before: at 3x3 places a convolution is mostly weights, and
those are read for nine products each. Its filters come in mirrored pairs: it answers a face and its mirror image alike,
and learns faster for it.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from classifier.architectures import residual
from classifier.recipe import Distillation, ours, stronger

INPUT: Final = (48, 48)
STEM: Final = (32, 4, 2)  # (width, kernel, stride)
BLOCKS: Final = ((32, 1), (64, 2), (128, 2), (128, 1), (192, 2))  # (width, stride)
OURS: Final = msgspec.structs.replace(ours("fern"), mirrored=True)
PRESETS: Final = {
    "ours": OURS,
    # For a long training with teachers that know better than labels.
    "taught": msgspec.structs.replace(OURS, distillation=Distillation(weight=0.9)),
    # A teacher of four times the arithmetic and the weights, for a GPU.
    "wide": msgspec.structs.replace(
        ours("fern", rate=0.2, epochs=122, batch_size=256),
        mirrored=True,
        options={"width": 2.0, "dropout": 0.4},
        distortion=stronger(OURS.distortion, 0.6),
    ),
}


def build(
    heads: Mapping[str, int], *, channels: int = 1, dropout: float = 0.2, halving: int = 4, width: float = 1.0
) -> Any:
    """keras.Model: u8[N, 48, 48, channels] -> {head: logits f32[N, classes]}, all layers so many times as wide."""
    stem = (round(width * STEM[0]), *STEM[1:])
    blocks = [(round(width * each), stride) for each, stride in BLOCKS]
    return residual.network(
        "fern", heads, size=INPUT, channels=channels, stem=stem, blocks=blocks, halving=halving, dropout=dropout
    )
