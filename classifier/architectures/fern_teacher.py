"""fern_teacher, what fern can learn from: the same kind of network, wider, deeper, and not halving the picture at once.

Six times fern's arithmetic, spread over all resolutions: minutes of work for a GPU.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from classifier.architectures import residual
from classifier.recipe import Distillation, ours, stronger

INPUT: Final = (48, 48)
STEM: Final = (32, 3, 1)  # (width, kernel, stride)
BLOCKS: Final = ((32, 1), (64, 2), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (384, 2))  # (width, stride)
MILD: Final = ours("fern_teacher", rate=0.2, epochs=100, batch_size=256)
PRESETS: Final = {
    # Whatever keeps six million weights from learning 28,000 faces by heart.
    "ours": msgspec.structs.replace(
        MILD, mirrored=True, mixup=0.4, radius=0.1, distortion=stronger(MILD.distortion, 1.0),
        distillation=Distillation(weight=0.5),
    )
}  # fmt: skip


def build(heads: Mapping[str, int], *, channels: int = 1, dropout: float = 0.4) -> Any:
    """keras.Model: u8[N, 48, 48, channels] -> {head: logits f32[N, classes]}."""
    return residual.network(
        "fern_teacher", heads, size=INPUT, channels=channels, stem=STEM, blocks=BLOCKS, halving=4, dropout=dropout
    )
