"""What cameras do to faces, done to labelled pictures: how much of the accuracy is left?"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, TypeAlias

import cv2
import numpy as np

from contracts.messages import U8

Harm: TypeAlias = Callable[[U8], U8]
"""one grey picture u8[H, W] -> the same size"""


def _scaled(picture: U8, *, gain: float = 1.0, offset: float = 0.0) -> U8:
    return np.asarray(np.clip(picture * gain + offset, 0, 255), np.uint8)


def _flat(picture: U8, *, contrast: float) -> U8:
    return _scaled(picture, gain=contrast, offset=float(picture.mean()) * (1 - contrast))


def _blurred(picture: U8, *, sigma: float) -> U8:
    """`sigma` is for a face of 48 pixels, and grows with it."""
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma * len(picture) / 48), np.uint8)


def _noisy(picture: U8, *, deviation: float) -> U8:
    # The same picture gets the same noise: two measurements agree.
    random = np.random.default_rng(int(picture.sum()))
    return np.asarray(np.clip(picture + random.normal(0, deviation, picture.shape), 0, 255), np.uint8)


def _compressed(picture: U8, *, quality: int) -> U8:
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)


def _small(picture: U8, *, side: int) -> U8:
    height, width = picture.shape
    shrunk = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


HARMS: Final[Mapping[str, Harm]] = {
    "dark": partial(_scaled, gain=0.25),
    "bright": partial(_scaled, offset=90),
    "low_contrast": partial(_flat, contrast=0.25),
    "blur": partial(_blurred, sigma=1.5),
    "noise": partial(_noisy, deviation=20),
    "jpeg": partial(_compressed, quality=10),
    "small_24": partial(_small, side=24),
    "small_16": partial(_small, side=16),
    "small_12": partial(_small, side=12),
}
"""a quarter of the light; 90 of 255 brighter; a quarter of the contrast; Gaussian blur of 1.5 pixels and noise of 20 of
255 at 48x48; JPEG of quality 10; faces of 24, 16 and 12 pixels, enlarged again"""


def harmed(images: U8, name: str) -> U8:
    """u8[N, H, W] -> the same pictures after the harm of this name."""
    if not len(images):
        return images
    return np.stack([HARMS[name](image) for image in images])
