"""What is done at random to a batch of pictures and its targets before a network sees them."""

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from keras import ops

from classifier.chance import Chance
from classifier.datasets import I64
from classifier.recipe import Distortion
from contracts.messages import F32

ERASED: Final = (0.02, 0.15)  # share of the picture that a rectangle covers
SOFTER: Final = (1 / 2, 1 / 3, 1 / 4)  # of the side, so many pixels are left
ASPECT: Final = math.log(3.3)  # its sides differ up to so much


def distort(images: Any, how: Distortion, chance: Chance, strength: Any = 1.0) -> Any:
    """f32[B, H, W, C] of 0 to 255 -> the same, each picture flipped, turned, moved, lit and covered in its own way.

    At a strength below 1 fewer pictures are softened, and there is less noise; at 0 none: the last epochs should see
    what comes after them (He et al., "Data Augmentation Revisited", 2019).
    """
    count, height, width = (int(side) for side in images.shape[:3])

    def between(low: float, high: float, *shape: int) -> Any:
        return chance.uniform((count, *shape), low, high)

    if how.flip or how.rotation or how.shift or how.zoom:
        mirror = ops.sign(between(-1, 1)) if how.flip else ops.ones(count)
        turn = between(-how.rotation, how.rotation) * 2 * math.pi
        scale = between(1 - how.zoom, 1 + how.zoom)
        across, down = between(-how.shift, how.shift) * width, between(-how.shift, how.shift) * height
        images = _moved(images, mirror, turn, scale, across, down)
    if how.contrast:
        mean = ops.mean(images, axis=(1, 2, 3), keepdims=True)
        images = (images - mean) * between(1 - how.contrast, 1 + how.contrast, 1, 1, 1) + mean
    if how.brightness:
        images += between(-how.brightness, how.brightness, 1, 1, 1) * 255
    images = ops.clip(images, 0, 255)
    if how.erasing:
        images = _erased(images, how.erasing, between)
    if how.softening:
        images = _softened(images, how.softening * strength, between)
    if how.noise:
        grain = chance.normal(tuple(images.shape)) * between(0, how.noise, 1, 1, 1) * 255
        grain = ops.where(between(0, 1, 1, 1, 1) < how.noisy, grain, 0.0)
        images = ops.clip(images + grain * strength, 0, 255)
    return images


def _moved(images: Any, mirror: Any, turn: Any, scale: Any, across: Any, down: Any) -> Any:
    """Everything that moves pixels in one go, so that they are interpolated once; beyond the edge it repeats."""
    _, height, width, _ = images.shape
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    cos, sin = ops.cos(turn) * scale, ops.sin(turn) * scale
    a, b, d, e = mirror * cos, -mirror * sin, sin, cos  # from the distorted picture's places to the given one's
    zero = ops.zeros_like(turn)
    rows = [
        a, b, centre_x - a * centre_x - b * centre_y + across,
        d, e, centre_y - d * centre_x - e * centre_y + down, zero, zero,
    ]  # fmt: skip
    return ops.image.affine_transform(
        images, ops.stack(rows, axis=1), interpolation="bilinear", fill_mode="nearest", data_format="channels_last"
    )


def _erased(images: Any, share: float, between: Callable[..., Any]) -> Any:
    """Some pictures lose a rectangle, which noise takes the place of."""
    _, height, width, channels = images.shape
    area, aspect = between(*ERASED, 1, 1), ops.exp(between(-ASPECT, ASPECT, 1, 1))
    half_y, half_x = ops.sqrt(area * aspect) * height / 2, ops.sqrt(area / aspect) * width / 2
    y, x = between(0, height, 1, 1), between(0, width, 1, 1)
    rows, columns = np.arange(height, dtype=np.float32)[None, :, None], np.arange(width, dtype=np.float32)[None, None]
    inside = (ops.abs(rows - y) <= half_y) & (ops.abs(columns - x) <= half_x) & (between(0, 1, 1, 1) < share)
    return ops.where(inside[..., None], between(0, 255, height, width, channels), images)


def _softened(images: Any, share: Any, between: Callable[..., Any]) -> Any:
    """Some pictures become what a face is that was far away or out of focus."""
    _, height, width, _ = images.shape
    kind = ops.minimum(between(0, 1) / ops.maximum(share, 1e-6) * len(SOFTER), len(SOFTER))
    kind = ops.cast(ops.floor(kind), "int32")  # the last one leaves a picture as it is
    down, across = (
        ops.take(np.stack([*(softening(side, factor) for factor in SOFTER), np.eye(side, dtype=np.float32)]), kind, 0)
        for side in (height, width)
    )
    return ops.einsum("bhy,byxc,bwx->bhwc", down, images, across)


def softening(side: int, factor: float) -> F32:
    """f32[side, side]: what shrinks a line of pixels to that share of its length, by averaging, and enlarges it again.

    Enlarging is linear, between the centres of the pixels.
    """
    small = round(side * factor)
    edges = np.arange(small + 1) * side / small
    pixels = np.arange(side)
    covered = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    shrink = covered.clip(0) * small / side
    centres = ((pixels + 0.5) * small / side - 0.5).clip(0, small - 1)
    enlarge = (1 - np.abs(centres[:, None] - np.arange(small))).clip(0)
    return np.asarray(enlarge @ shrink, np.float32)


def mixed(
    images: Any, labels: Any, votes: Any, voted: Any, *, others: I64, alpha: float, strength: Any, chance: Chance
) -> tuple[Any, Any, Any, Any]:
    """Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018: blends each example with another of the batch.

    images f32[B, H, W, C], labels and votes f32[B, classes], voted f32[B]: 1 for an example that has votes, which
    becomes the weight of the votes; others i64[B]: what each is blended with. At a strength below 1 less of the other
    is in the blend, at 0 nothing.

    Done here rather than with keras.layers.MixUp because two targets and a weight have to be blended alike.
    """
    if alpha <= 0:
        return images, labels, votes, voted
    first, second = (chance.gamma((int(images.shape[0]),), alpha) + 1e-6 for _ in range(2))
    share = 1 - strength * ops.minimum(first, second) / (first + second)
    column, pixel = share[:, None], share[:, None, None, None]
    # The votes of an example that has none must not pull the blend towards zero: weigh both sides by having any.
    mine, theirs = share * voted, (1 - share) * ops.take(voted, others, 0)
    total = ops.maximum(mine + theirs, 1e-6)
    votes = (mine[:, None] * votes + theirs[:, None] * ops.take(votes, others, 0)) / total[:, None]
    images = pixel * images + (1 - pixel) * ops.take(images, others, 0)
    labels = column * labels + (1 - column) * ops.take(labels, others, 0)
    return images, labels, votes, ops.minimum(mine + theirs, 1.0)
