"""What training sees: batches of distorted pictures with soft targets.

Every batch is a function of the recipe's seed and the number of the step alone: a training that was stopped goes on
with the very batches that it would have had, and batches can be made side by side.

On TensorFlow they come from a tf.data pipeline, which works beside the training. On JAX all pictures lie in the
device's memory and are distorted there (`Resident`): a GPU learns faster than a processor could distort.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, Final, Self, TypeAlias

import keras
import msgspec
import numpy as np
from keras import ops

from classifier.augmentation import distort, mixed
from classifier.chance import chance
from classifier.datasets import I64, Examples
from classifier.denoising import likely_labels
from classifier.evaluation import VOTED
from classifier.parts import slices, steps_of
from classifier.recipe import Recipe
from contracts.emotions import EMOTIONS
from contracts.messages import F32

Batch: TypeAlias = tuple[Any, dict[str, Any], dict[str, Any]]
"""pictures f32[B, H, W, C] of 0 to 255, {head: target shares f32[B, classes]}, {head: weights f32[B]}"""


def batches(
    examples: Examples, recipe: Recipe, heads: Mapping[str, int], *, size: tuple[int, int], channels: int, first: int,
    last: int, parts: Sequence[I64] | None = None,
) -> Iterable[Batch]:  # fmt: skip
    """The batches of the epochs from `first` up to `last`, which is not among them. All pictures are of one size.

    Each of the `parts` (places of examples) has its slice of every batch: `classifier.parts.slices`.
    """
    if keras.backend.backend() == "jax":
        return Resident(examples, recipe, heads, size=size, channels=channels, parts=parts).batches(first, last)
    data: Iterable[Batch] = _on_tensorflow(
        examples, Making.of(examples, recipe, heads, channels, parts), size, first, last
    )
    return data


class Making(msgspec.Struct, frozen=True, kw_only=True):
    """How batches are made, wherever that is done."""

    recipe: Recipe
    heads: tuple[str, ...]
    channels: int
    parts: Sequence[I64]

    @classmethod
    def of(
        cls, examples: Examples, recipe: Recipe, heads: Mapping[str, int], channels: int, parts: Sequence[I64] | None
    ) -> Self:
        """`parts` are all examples as one where there are none."""
        return cls(recipe=recipe, heads=tuple(heads), channels=channels, parts=parts or [np.arange(len(examples))])

    @property
    def steps(self) -> int:
        """Of an epoch."""
        return steps_of(self.parts, self.recipe.batch_size)

    def targets(self, examples: Examples) -> tuple[F32, F32, F32]:
        """Of each example: its label and its votes f32[N, classes], and whether it has votes f32[N]."""
        columns = [EMOTIONS.index(name) for name in self.recipe.classes]
        smoothing, denoising = self.recipe.label_smoothing, self.recipe.denoising
        labels = np.searchsorted(columns, examples.labels)
        hard = np.eye(len(columns), dtype=np.float32)[labels] * (1 - smoothing) + smoothing / len(columns)
        soft = examples.votes[:, columns]
        voted = soft.sum(axis=1, keepdims=True)
        if denoising and examples.voted:
            hard = (1 - denoising) * hard + denoising * likely_labels(examples.votes, labels, len(columns))
        return (
            np.asarray(hard, np.float32),
            np.asarray(soft / np.maximum(voted, 1e-6), np.float32),
            np.asarray(voted[:, 0] > 0, np.float32),
        )

    def order(self, epoch: Any) -> Any:
        """i[steps, B]: the places of an epoch's examples."""
        draws, drawn = chance(self.recipe.seed, -1 - epoch), []
        for places, cut in zip(self.parts, slices(self.recipe.batch_size, len(self.parts)), strict=True):
            size = cut.stop - cut.start
            chosen = ops.take(places, draws.order(len(places))[: self.steps * size])
            drawn.append(ops.reshape(chosen, (self.steps, size)))
        return ops.concatenate(drawn, axis=1)

    def batch(self, images: Any, targets: tuple[Any, Any, Any], step: Any) -> Batch:
        """u8[B, H, W] with their targets -> what training sees of them at that step."""
        recipe, fading = self.recipe, self.recipe.distortion.fading
        left = 1 - ops.cast(step, "float32") / (recipe.epochs * self.steps)
        strength = ops.clip(left / fading, 0.0, 1.0) if fading else 1.0
        draws = chance(recipe.seed, step)
        pictures = distort(ops.cast(images, "float32")[..., None], recipe.distortion, draws, strength)
        pictures = ops.repeat(pictures, self.channels, axis=-1)
        # Within a slice, so that what is mixed belongs to one part.
        places = np.arange(recipe.batch_size)
        others = np.concatenate([places[cut][::-1] for cut in slices(recipe.batch_size, len(self.parts))])
        pictures, labels, votes, weight = mixed(
            pictures, *targets, others=others, alpha=recipe.mixup, strength=strength, chance=draws
        )
        ones = ops.ones_like(weight)
        return (
            pictures,
            {head: votes if head == VOTED else labels for head in self.heads},
            {head: weight if head == VOTED else ones for head in self.heads},
        )


def _on_tensorflow(examples: Examples, making: Making, size: tuple[int, int], first: int, last: int) -> Any:
    tf: Any = import_module("tensorflow")
    targets, steps = making.targets(examples), making.steps

    def ordered(epoch: Any) -> Any:
        numbers = epoch * steps + tf.range(steps, dtype=tf.int64)
        return tf.data.Dataset.from_tensor_slices((making.order(epoch), numbers))

    def prepared(places: Any, step: Any) -> Batch:
        images = tf.numpy_function(lambda at: examples.pictures.read(at, size), [places], tf.uint8, stateful=False)
        images = tf.ensure_shape(images, (making.recipe.batch_size, *size))
        labels, votes, voted = (tf.gather(values, places) for values in targets)
        return making.batch(images, (labels, votes, voted), step)

    data = tf.data.Dataset.range(first, last).flat_map(ordered)
    return data.map(prepared, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(4)


class Resident:
    """All pictures, and their targets, in the memory of the device that JAX computes on."""

    def __init__(
        self, examples: Examples, recipe: Recipe, heads: Mapping[str, int], *, size: tuple[int, int], channels: int,
        parts: Sequence[I64] | None = None,
    ) -> None:  # fmt: skip
        put = import_module("jax").device_put
        self.making: Final = Making.of(examples, recipe, heads, channels, parts)
        self.held: Final = (
            put(examples.pictures.read(np.arange(len(examples)), size)), put(self.making.targets(examples))
        )  # fmt: skip

    def batch(self, held: Any, places: Any, step: Any) -> Batch:
        """The batch of a step, of the examples at these places. `held` is this object's, given so that it is traced."""
        images, targets = held
        labels, votes, voted = (values[places] for values in targets)
        return self.making.batch(images[places], (labels, votes, voted), step)

    def batches(self, first: int, last: int) -> Iterator[Batch]:
        """Of the epochs from `first` up to `last`, one after the other."""
        jax: Any = import_module("jax")
        ordered, batch, steps = jax.jit(self.making.order), jax.jit(self.batch), self.making.steps
        for epoch in range(first, last):
            places = ordered(epoch)
            for at in range(steps):
                yield batch(self.held, places[at], epoch * steps + at)
