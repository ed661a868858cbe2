"""Networks that were made for ImageNet, given a new end: what the three of them share."""

import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from typing import Any, Final

from keras import layers

from classifier.architectures import parts
from contracts.errors import InputError

BASE: Final = "base"
PATIENCE: Final = 20.0  # seconds that a silent server is waited for


def base(application: Callable[..., Any], size: tuple[int, int], pretrained: bool) -> Any:
    """An application of Keras's without its end, for colour pictures, with ImageNet's weights or untrained ones.

    The weights come from Keras's cache, or are fetched. Raises InputError where they cannot be had.
    """
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        weights = "imagenet" if pretrained else None
        with redirect_stdout(sys.stderr):  # Keras says there what it fetches
            return application(include_top=False, weights=weights, input_shape=(*size, 3), name=BASE)
    except Exception as error:  # Keras raises this very class for what goes wrong with a download
        if not pretrained:
            raise
        raise InputError(
            f"the ImageNet weights of {application.__name__} are not in Keras's cache and cannot be fetched "
            f"({str(error).rsplit(']', 1)[-1].strip()}): train without them with --from-scratch"
        ) from error
    finally:
        socket.setdefaulttimeout(before)


def network(
    name: str, heads: Mapping[str, int], base: Any, prepare: Callable[[Any], Any], *, channels: int, dropout: float
) -> Any:
    """Crops of the base's size -> the base, which wants three channels -> an average over all places -> heads."""
    pixels = parts.crops(base.input_shape[1:3], channels)
    x = layers.Rescaling(1.0)(pixels)  # bytes become floats
    if channels == 1:
        x = layers.Concatenate()([x, x, x])
    x = layers.GlobalAveragePooling2D(name="features")(base(prepare(x)))
    return parts.model(name, pixels, layers.Dropout(dropout)(x), heads)


def freeze(model: Any, frozen: int, *, pretrained: bool) -> None:
    """Lets the first `frozen` layers of the base learn no more, all of them with -1, and the rest learn.

    The normalisations of a pretrained base stay as they are in any case: batches of faces would spoil their statistics.
    """
    if BASE not in {layer.name for layer in model.layers}:
        return
    inner = model.get_layer(BASE).layers
    for place, layer in enumerate(inner):
        fixed = pretrained and isinstance(layer, layers.BatchNormalization)
        layer.trainable = place >= (len(inner) if frozen < 0 else frozen) and not fixed
