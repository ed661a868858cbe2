"""What several networks are made of."""

from collections.abc import Mapping
from typing import Any

import keras
from keras import layers


def crops(size: tuple[int, int], channels: int) -> Any:
    """The input of every network: crops of 0 to 255, as bytes or as the floats that training makes of them."""
    return layers.Input((*size, channels), name="crops")


def standardised(pixels: Any) -> Any:
    """Each picture brought to mean 0 and deviation 1: brightness and contrast cannot mislead the network."""
    x = layers.Rescaling(1 / 255)(pixels)
    return layers.LayerNormalization(axis=(1, 2, 3), center=False, scale=False, epsilon=1e-4, name="standardise")(x)


def model(name: str, pixels: Any, features: Any, heads: Mapping[str, int], **dense: Any) -> Any:
    """A network that ends in a dense layer of logits for each head."""
    logits = {head: layers.Dense(count, dtype="float32", name=head, **dense)(features) for head, count in heads.items()}
    return keras.Model(pixels, logits, name=name)
