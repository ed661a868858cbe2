"""cnn2, the network of Akhila, Rajitha and Mahalekshmi ("Facial Emotion Recognition Using Deep Learning").

Two convolutions over 32x32 pixels, then the answer, for five classes. The widths of the layers and the share of the
dropout stand in a figure that the text does not repeat; those here are ours.
"""

from collections.abc import Mapping
from typing import Any, Final

from keras import layers

from classifier.architectures import parts
from classifier.recipe import Phase, Recipe, ours

INPUT: Final = (32, 32)
PAPER: Final = Recipe(
    architecture="cnn2", phases=(Phase(epochs=11, optimizer="adam", rate=0.01),), batch_size=32, balanced=True,
    classes=("angry", "happy", "sad", "surprise", "neutral"),
)  # fmt: skip
PRESETS: Final = {"paper": PAPER, "ours": ours("cnn2", rate=0.05)}


def build(heads: Mapping[str, int], *, channels: int = 1, dropout: float = 0.25) -> Any:
    """keras.Model: u8[N, 32, 32, channels] -> {head: logits f32[N, classes]}."""
    pixels = parts.crops(INPUT, channels)
    x = layers.Rescaling(1 / 255)(pixels)
    for width in (32, 64):
        x = layers.Conv2D(width, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D(2)(x)
        x = layers.Dropout(dropout)(x)
    return parts.model("cnn2", pixels, layers.Flatten()(x), heads)
