"""cnn4, the network of countless tutorials, as Cruze ("Emotion Detection Model using CNN") trains it.

Four convolutions and two dense layers, each with batch normalisation, ReLU and dropout. The paper trains it twice: with
batches of 128 and dropout 0.25 (it reports 0.66), then with batches of 16 and dropout 0.40 (it reports 0.90). It ends
on 32 as the batch size that served best, which is what `paper-second` takes.
"""

from collections.abc import Mapping
from typing import Any, Final

from keras import layers

from classifier.architectures import parts
from classifier.recipe import Phase, Recipe, Watching, ours

INPUT: Final = (48, 48)
CONVOLUTIONS: Final = ((64, 3), (128, 5), (512, 3), (512, 3))  # (width, kernel)
PAPER: Final = Recipe(
    architecture="cnn4", phases=(Phase(epochs=25, optimizer="adam", rate=1e-3),), batch_size=128,
    options={"dropout": 0.25}, watching=Watching(reduce_after=3, factor=0.2, stop_after=8, keep_best=True),
)  # fmt: skip
SECOND: Final = Recipe(
    architecture="cnn4", phases=PAPER.phases, batch_size=32, options={"dropout": 0.4},
    watching=Watching(reduce_after=2, factor=0.2, stop_after=8, keep_best=True),
)  # fmt: skip
PRESETS: Final = {"paper": PAPER, "paper-second": SECOND, "ours": ours("cnn4", rate=0.02)}


def build(heads: Mapping[str, int], *, channels: int = 1, dropout: float = 0.25) -> Any:
    """keras.Model: u8[N, 48, 48, channels] -> {head: logits f32[N, classes]}."""
    pixels = parts.crops(INPUT, channels)
    x = layers.Rescaling(1 / 255)(pixels)
    for width, kernel in CONVOLUTIONS:
        x = layers.Conv2D(width, kernel, padding="same")(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.MaxPooling2D(2)(x)
        x = layers.Dropout(dropout)(x)
    x = layers.Flatten()(x)
    for width in (256, 512):
        x = layers.Dense(width)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.Dropout(dropout)(x)
    return parts.model("cnn4", pixels, x, heads)
