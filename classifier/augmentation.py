"""What training does to its pictures, as Keras layers in a tf.data pipeline; none of it happens at inference."""

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from classifier.datasets import Examples
from contracts.emotions import EMOTIONS

Batch: TypeAlias = tuple[Any, dict[str, Any], dict[str, Any]]
"""pictures f32[B, 48, 48, 1] of 0 to 255, {head: target shares f32[B, 7]}, {head: weights f32[B]}"""

LABEL_SMOOTHING: Final = 0.1


def batches(examples: Examples, *, batch_size: int, seed: int, mixup: float) -> Any:
    """An endless tf.data.Dataset of augmented `Batch`es, reshuffled in every epoch."""
    classes = len(EMOTIONS)
    hard = np.eye(classes, dtype=np.float32)[examples.labels] * (1 - LABEL_SMOOTHING) + LABEL_SMOOTHING / classes
    voted = (examples.votes.sum(axis=1) > 0).astype(np.float32)
    data = tf.data.Dataset.from_tensor_slices((examples.images[..., None], hard, examples.votes, voted))
    data = data.shuffle(len(examples), seed=seed, reshuffle_each_iteration=True).repeat()
    data = data.batch(batch_size, drop_remainder=True)
    distort = _distortion(seed)
    mix = _mixup(mixup, seed)

    def prepare(images: Any, hard: Any, votes: Any, voted: Any) -> Batch:
        images = distort(tf.cast(images, tf.float32))
        images, hard, votes, voted = mix(images, hard, votes, voted)
        return images, {"fer2013": hard, "ferplus": votes}, {"fer2013": tf.ones_like(voted), "ferplus": voted}

    return data.map(prepare, num_parallel_calls=2).prefetch(4)


def _distortion(seed: int) -> Callable[[Any], Any]:
    value_range = (0, 255)
    steps = [
        layers.RandomFlip("horizontal", seed=seed),
        layers.RandomRotation(0.04, fill_mode="nearest", seed=seed + 1),
        layers.RandomTranslation(0.1, 0.1, fill_mode="nearest", seed=seed + 2),
        layers.RandomZoom((-0.15, 0.15), fill_mode="nearest", seed=seed + 3),
        layers.RandomBrightness(0.2, value_range=value_range, seed=seed + 4),
        layers.RandomContrast(0.3, value_range=value_range, seed=seed + 5),
        layers.RandomErasing(0.5, scale=(0.02, 0.15), value_range=value_range, seed=seed + 6),
    ]

    def distort(images: Any) -> Any:
        for step in steps:
            images = step(images, training=True)
        return images

    return distort


def _mixup(alpha: float, seed: int) -> Callable[..., tuple[Any, Any, Any, Any]]:
    """Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018: blends each example with another of the batch.

    Done here rather than with keras.layers.MixUp because two targets and a weight have to be blended alike.
    """
    generator = keras.random.SeedGenerator(seed + 7)

    def mix(images: Any, hard: Any, votes: Any, voted: Any) -> tuple[Any, Any, Any, Any]:
        if alpha <= 0:
            return images, hard, votes, voted
        share = keras.random.beta((tf.shape(images)[0],), alpha, alpha, seed=generator)
        share = tf.maximum(share, 1 - share)
        column, pixel = share[:, None], share[:, None, None, None]
        # The votes of an example that has none must not pull the blend towards zero: weigh both sides by having any.
        mine, theirs = share * voted, (1 - share) * tf.reverse(voted, [0])
        total = tf.maximum(mine + theirs, 1e-6)
        votes = (mine[:, None] * votes + theirs[:, None] * tf.reverse(votes, [0])) / total[:, None]
        images = pixel * images + (1 - pixel) * tf.reverse(images, [0])
        hard = column * hard + (1 - column) * tf.reverse(hard, [0])
        return images, hard, votes, tf.minimum(mine + theirs, 1.0)

    return mix
