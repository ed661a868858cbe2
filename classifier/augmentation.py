"""What training sees: batches of distorted pictures with soft targets, as a tf.data pipeline.

Every batch is a function of the recipe's seed and the number of the step alone: a training that was stopped goes on
with the very batches that it would have had, and batches can be made side by side.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import numpy as np
import tensorflow as tf

from classifier.datasets import Examples
from classifier.evaluation import VOTED
from classifier.recipe import Distortion, Recipe
from contracts.emotions import EMOTIONS

Batch: TypeAlias = tuple[Any, dict[str, Any], dict[str, Any]]
"""pictures f32[B, H, W, C] of 0 to 255, {head: target shares f32[B, classes]}, {head: weights f32[B]}"""

ERASED: Final = (0.02, 0.15)  # share of the picture that a rectangle covers
SOFTER: Final = (1 / 2, 1 / 3, 1 / 4)  # of the side, so many pixels are left
ASPECT: Final = math.log(3.3)  # its sides differ up to so much


def batches(
    examples: Examples, recipe: Recipe, heads: Mapping[str, int], *, size: tuple[int, int], channels: int, first: int,
    last: int,
) -> Any:  # fmt: skip
    """A tf.data.Dataset of the `Batch`es of the epochs from `first` up to `last`, which is not among them."""
    columns = [EMOTIONS.index(name) for name in recipe.classes]
    hard = np.eye(len(EMOTIONS), dtype=np.float32)[examples.labels][:, columns]
    hard = hard * (1 - recipe.label_smoothing) + recipe.label_smoothing / len(columns)
    soft = examples.votes[:, columns]
    voted = soft.sum(axis=1, keepdims=True)
    soft = soft / np.maximum(voted, 1e-6)
    voted = (voted[:, 0] > 0).astype(np.float32)
    steps = len(examples) // recipe.batch_size

    def order(epoch: Any) -> Any:
        places = tf.random.experimental.stateless_shuffle(tf.range(len(examples), dtype=tf.int64), [recipe.seed, epoch])
        places = tf.reshape(places[: steps * recipe.batch_size], (steps, recipe.batch_size))
        return tf.data.Dataset.from_tensor_slices((places, epoch * steps + tf.range(steps, dtype=tf.int64)))

    def read(places: Any) -> Any:
        images = tf.numpy_function(lambda at: examples.pictures.read(at, size), [places], tf.uint8, stateful=False)
        return tf.cast(tf.ensure_shape(images, (recipe.batch_size, *size)), tf.float32)[..., None]

    def strength(step: Any) -> Any:
        left = 1 - tf.cast(step, tf.float32) / (recipe.epochs * steps)
        return tf.clip_by_value(left / recipe.distortion.fading, 0.0, 1.0) if recipe.distortion.fading else 1.0

    def prepare(places: Any, step: Any) -> Batch:
        seeds = tf.unstack(tf.random.split(tf.stack([tf.constant(recipe.seed, tf.int64), step]), 2))
        much = strength(step)
        images = distort(read(places), recipe.distortion, seeds[0], much)
        images = tf.repeat(images, channels, axis=-1)
        targets = [tf.gather(values, places) for values in (hard, soft, voted)]
        images, labels, votes, weight = _mixed(images, *targets, alpha=recipe.mixup, strength=much, seed=seeds[1])
        ones = tf.ones_like(weight)
        return (
            images,
            {head: votes if head == VOTED else labels for head in heads},
            {head: weight if head == VOTED else ones for head in heads},
        )

    data = tf.data.Dataset.range(first, last).flat_map(order)
    return data.map(prepare, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(4)


def distort(images: Any, how: Distortion, seed: Any, strength: Any = 1.0) -> Any:
    """f32[B, H, W, C] of 0 to 255 -> the same, each picture flipped, turned, moved, lit and covered in its own way.

    At a strength below 1 fewer pictures are softened, and there is less noise; at 0 none: the last epochs should see
    what comes after them (He et al., "Data Augmentation Revisited", 2019).
    """
    count, height, width = (int(side) for side in images.shape[:3])
    seeds = iter(tf.unstack(tf.random.split(seed, 16)))

    def between(low: float, high: float, *shape: int) -> Any:
        return tf.random.stateless_uniform((count, *shape), next(seeds), low, high)

    if how.flip or how.rotation or how.shift or how.zoom:
        mirror = tf.sign(between(-1, 1)) if how.flip else tf.ones(count)
        turn = between(-how.rotation, how.rotation) * 2 * math.pi
        scale = between(1 - how.zoom, 1 + how.zoom)
        across, down = between(-how.shift, how.shift) * width, between(-how.shift, how.shift) * height
        images = _moved(images, mirror, turn, scale, across, down)
    if how.contrast:
        mean = tf.reduce_mean(images, axis=(1, 2, 3), keepdims=True)
        images = (images - mean) * between(1 - how.contrast, 1 + how.contrast, 1, 1, 1) + mean
    if how.brightness:
        images += between(-how.brightness, how.brightness, 1, 1, 1) * 255
    images = tf.clip_by_value(images, 0, 255)
    if how.erasing:
        images = _erased(images, how.erasing, between)
    if how.softening:
        images = _softened(images, how.softening * strength, between)
    if how.noise:
        grain = tf.random.stateless_normal(images.shape, next(seeds)) * between(0, how.noise, 1, 1, 1) * 255
        images = tf.clip_by_value(images + grain * strength, 0, 255)
    return images


def _moved(images: Any, mirror: Any, turn: Any, scale: Any, across: Any, down: Any) -> Any:
    """Everything that moves pixels in one go, so that they are interpolated once; beyond the edge it repeats."""
    _, height, width, _ = images.shape
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    cos, sin = tf.cos(turn) * scale, tf.sin(turn) * scale
    a, b, d, e = mirror * cos, -mirror * sin, sin, cos  # from the distorted picture's places to the given one's
    zero = tf.zeros_like(turn)
    rows = [
        a, b, centre_x - a * centre_x - b * centre_y + across,
        d, e, centre_y - d * centre_x - e * centre_y + down, zero, zero,
    ]  # fmt: skip
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images, transforms=tf.stack(rows, axis=1), output_shape=(height, width), fill_value=0.0,
        interpolation="BILINEAR", fill_mode="NEAREST",
    )  # fmt: skip


def _erased(images: Any, share: float, between: Callable[..., Any]) -> Any:
    """Some pictures lose a rectangle, which noise takes the place of."""
    _, height, width, channels = images.shape
    area, aspect = between(*ERASED, 1, 1), tf.exp(between(-ASPECT, ASPECT, 1, 1))
    half_y, half_x = tf.sqrt(area * aspect) * height / 2, tf.sqrt(area / aspect) * width / 2
    y, x = between(0, height, 1, 1), between(0, width, 1, 1)
    rows, columns = tf.range(height, dtype=tf.float32)[None, :, None], tf.range(width, dtype=tf.float32)[None, None]
    inside = (tf.abs(rows - y) <= half_y) & (tf.abs(columns - x) <= half_x) & (between(0, 1, 1, 1) < share)
    return tf.where(inside[..., None], between(0, 255, height, width, channels), images)


def _softened(images: Any, share: Any, between: Callable[..., Any]) -> Any:
    """Some pictures become what a face is that was far away or out of focus."""
    _, height, width, _ = images.shape
    draw = between(0, 1, 1, 1, 1) / share
    for place, factor in enumerate(SOFTER):
        small = tf.image.resize(images, (round(height * factor), round(width * factor)), method="area")
        soft = tf.image.resize(small, (height, width), method="bilinear")
        chosen = (draw >= place / len(SOFTER)) & (draw < (place + 1) / len(SOFTER))
        images = tf.where(chosen, soft, images)
    return images


def _mixed(
    images: Any, labels: Any, votes: Any, voted: Any, *, alpha: float, strength: Any, seed: Any
) -> tuple[Any, Any, Any, Any]:
    """Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018: blends each example with another of the batch.

    At a strength below 1 less of the other is in the blend, at 0 nothing.

    Done here rather than with keras.layers.MixUp because two targets and a weight have to be blended alike.
    """
    if alpha <= 0:
        return images, labels, votes, voted
    first, second = tf.unstack(tf.random.stateless_gamma((2, len(images)), seed, alpha) + 1e-6)
    share = 1 - strength * tf.minimum(first, second) / (first + second)
    column, pixel = share[:, None], share[:, None, None, None]
    # The votes of an example that has none must not pull the blend towards zero: weigh both sides by having any.
    mine, theirs = share * voted, (1 - share) * tf.reverse(voted, [0])
    total = tf.maximum(mine + theirs, 1e-6)
    votes = (mine[:, None] * votes + theirs[:, None] * tf.reverse(votes, [0])) / total[:, None]
    images = pixel * images + (1 - pixel) * tf.reverse(images, [0])
    labels = column * labels + (1 - column) * tf.reverse(labels, [0])
    return images, labels, votes, tf.minimum(mine + theirs, 1.0)
