"""What cameras do to faces, done to labelled pictures: how much of the accuracy is left?"""

from collections.abc import Callable, Mapping, Sequence
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


def _moved(picture: U8, change: Sequence[Sequence[float]]) -> U8:
    """Through an affine map [2, 3] about the middle, of which the last column is in shares of the side.

    Beyond the edge the edge goes on: what was around the face is not known.
    """
    height, width = picture.shape
    middle, size = np.array([width - 1, height - 1]) / 2, np.array([width, height])
    turn = np.array(change, np.float64)
    turn[:, 2] = turn[:, 2] * size + middle - turn[:, :2] @ middle
    return np.asarray(cv2.warpAffine(picture, turn, (width, height), borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _tilted(picture: U8, *, degrees: float) -> U8:
    """To the left or to the right: always the same for a picture."""
    angle = np.deg2rad(degrees if int(picture.sum()) % 2 else -degrees)
    sine, cosine = float(np.sin(angle)), float(np.cos(angle))
    return _moved(picture, [[cosine, -sine, 0], [sine, cosine, 0]])


def _off_centre(picture: U8, *, by: float) -> U8:
    """In any direction: always the same for a picture."""
    angle = np.random.default_rng(int(picture.sum())).uniform(0, 2 * np.pi)
    return _moved(picture, [[1, 0, by * np.cos(angle)], [0, 1, by * np.sin(angle)]])


def _zoomed(picture: U8, *, by: float) -> U8:
    return _moved(picture, [[by, 0, 0], [0, by, 0]])


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
    "tilted": partial(_tilted, degrees=15),
    "off_centre": partial(_off_centre, by=0.1),
    "close": partial(_zoomed, by=1.2),
    "wide": partial(_zoomed, by=1 / 1.2),
}
"""a quarter of the light; 90 of 255 brighter; a quarter of the contrast; Gaussian blur of 1.5 pixels and noise of 20 of
255 at 48x48; JPEG of quality 10; faces of 24, 16 and 12 pixels, enlarged again; heads tilted by 15 degrees; and what
detectors do: a box a tenth of its side beside the face, a sixth too small, and a fifth too large"""


def harmed(images: U8, name: str) -> U8:
    """u8[N, H, W] -> the same pictures after the harm of this name."""
    if not len(images):
        return images
    return np.stack([HARMS[name](image) for image in images])
