"""Networks that were made for ImageNet, given a new end: what the three of them share."""

import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from typing import Any, Final

from keras import layers

from classifier.architectures import parts
from classifier.recipe import Distortion, Phase, Recipe, Watching
from contracts.errors import InputError

BASE: Final = "base"
PATIENCE: Final = 20.0  # seconds that a silent server is waited for


IMAGENET_MEANS: Final = (103.939, 116.779, 123.68)  # of blue, green and red


def from_imagenet(architecture: str) -> Recipe:
    """The recipe of "Classification of Facial Images Based on Emotions Using CNNs", for its VGG16 and its ResNet50.

    The text gives the batch size, the optimizer and the epochs, but neither the size of the crops nor what was frozen;
    both are ours: FER2013's 48x48, and first the new end alone, then everything.
    """
    return Recipe(
        architecture=architecture, batch_size=32, pretrained=True,
        phases=(
            Phase(epochs=10, optimizer="nadam", rate=1e-3, frozen=-1), Phase(epochs=90, optimizer="nadam", rate=1e-5),
        ),
        distortion=Distortion(flip=True, rotation=0.04, shift=0.1, zoom=0.1),
        watching=Watching(reduce_after=7, factor=0.5, stop_after=11, keep_best=True),
    )  # fmt: skip


def centred() -> Any:
    """A layer that takes ImageNet's mean colour away, as the bases of VGG16 and ResNet50 want it."""
    return layers.Normalization(mean=IMAGENET_MEANS, variance=(1.0, 1.0, 1.0))


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
