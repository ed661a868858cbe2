"""Networks that answer a face and its mirror image alike: their filters come in mirrored pairs.

A group convolution of the group of two, identity and reflection (Cohen & Welling, "Group Equivariant Convolutional
Networks", 2016), held as a constraint on ordinary layers: what channel c of a layer sees in a picture, its partner
c + C/2 sees in the mirror image, mirrored. The average over all places, and a last layer that weighs partners alike,
make the answers equal. What is learnt on one side of the face is known on the other, and what is left in the end is a
network of plain layers that costs what it cost before.
"""

from collections.abc import Iterator
from typing import Any, Literal

import keras
import numpy as np
from keras import layers, ops

Way = Literal["stay", "turn", "swap"]
"""What the reflection does to an axis of some weights: nothing, reverse it, or exchange its halves."""


class MirroredPairs(keras.constraints.Constraint):  # type: ignore[misc]  # Keras has no types
    """The nearest weights that are their own reflection: the mean of the two. `ways`: one for each axis."""

    def __init__(self, *ways: Way) -> None:
        self._ways = ways

    def __call__(self, w: Any) -> Any:
        reflection = w
        for axis, way in enumerate(self._ways):
            if way == "turn":
                reflection = ops.flip(reflection, axis)
            elif way == "swap":
                reflection = ops.roll(reflection, w.shape[axis] // 2, axis)
        return (w + reflection) / 2


def mirror(network: Any) -> None:
    """Every step of a training keeps the filters in pairs from now on. `settle` pairs them in the first place.

    Where a network halves its resolution, its windows must lie on the picture as they lie on its mirror image: an even
    number of places wants an even kernel. Raises ValueError for layers that have no mirrored form here.
    """
    for variable, pairs in _pairs(network):
        if variable.trainable:
            variable.constraint = pairs


def settle(network: Any) -> None:
    """Makes pairs of the filters and of all else that belongs to channels, statistics too."""
    for variable, pairs in _pairs(network):
        variable.assign(pairs(variable))


def answers_alike(network: Any) -> bool:
    """Whether noise and its mirror image get the same answers, but for rounding to 16 bits."""
    noise = np.random.default_rng(1).integers(0, 256, (16, *network.input_shape[1:])).astype(np.float32)
    looks = [network.predict_on_batch(pictures) for pictures in (noise, noise[:, :, ::-1])]
    return all(
        np.abs(np.asarray(straight) - np.asarray(mirrored)).mean() < 0.01 * np.std(straight)
        for straight, mirrored in zip(*map(keras.tree.flatten, looks), strict=True)
    )


def _pairs(network: Any) -> Iterator[tuple[Any, MirroredPairs]]:
    """Each variable that has channels, and how its reflection is made."""
    first = True  # what the first layer reads are the picture's colours, which have no partners
    for layer in network.layers:
        if isinstance(layer, layers.Conv2D):
            ways: tuple[Way, ...] = ("stay", "turn", "stay" if first else "swap", "swap")
            yield layer.kernel, MirroredPairs(*ways)
            if layer.use_bias:
                yield layer.bias, MirroredPairs("swap")
            first = False
        elif isinstance(layer, layers.BatchNormalization):
            for variable in layer.weights:
                yield variable, MirroredPairs("swap")
        elif isinstance(layer, layers.Dense):  # from features that have no place any more to answers that have no side
            yield layer.kernel, MirroredPairs("swap", "stay")
        elif layer.weights or isinstance(layer, layers.Flatten):
            raise ValueError(f"the layer {layer.name} cannot be mirrored")
