"""The one place where face crops are made, so that training and live use cannot differ."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from contracts.errors import ModelError, StageError
from contracts.messages import F32, U8, Picture
from contracts.stages import CropSpec

_MARGIN = 2  # pixels kept around a region, so that interpolation meets the picture's edge and never the region's
_FINEST = 64  # a side is sampled at most so many times finer than the crop: bounds memory for an absurd box
_FACE = np.array([-1 - 1j, 1 - 1j, 0, -0.8 + 1j, 0.8 + 1j])
"""The five landmarks of an upright face, x + iy. Tilt is what turns them nearest to a face's; only their places in
relation to each other matter: the eyes' line and the line from the eyes to the mouth have about the same say."""


def check(spec: CropSpec) -> None:
    """Raises ModelError for a crop that cannot be made."""
    if spec.channels not in (1, 3):
        raise ModelError(f"the model's card asks for crops of {spec.channels} channels; there are 1 (grey) and 3 (BGR)")
    if not (0 < spec.height <= 1024 and 0 < spec.width <= 1024):
        raise ModelError(f"the model's card asks for crops of {spec.height}x{spec.width}; up to 1024x1024 can be made")
    if not (0 < spec.scale <= 16 and abs(spec.shift_y) <= 16):
        raise ModelError(f"the model's card has an unusable framing: scale {spec.scale}, shift_y {spec.shift_y}")
    if spec.upright is not None and not 0 <= spec.upright <= 180:
        raise ModelError(f"the model's card sets heads upright from {spec.upright} degrees on: 0 to 180 can be")


def squares(boxes: NDArray[np.floating], spec: CropSpec, turned: NDArray[np.float64]) -> NDArray[np.float64]:
    """[N, 4] boxes (x, y, width, height) -> f64[N, 3]: left, top and side of the squares to cut out, in pixels.

    `turned` f64[N] in degrees is how far each is to be turned about its middle, which leaves its three numbers alone.
    """
    x, y, width, height = np.asarray(boxes, np.float64).reshape(-1, 4).T
    mean = np.sqrt(np.maximum(width, 0.0) * np.maximum(height, 0.0))
    side = np.maximum(mean * spec.scale, 1.0)  # a box without an area still gives a crop: the pixel it lies on
    down, angle = mean * spec.shift_y, np.radians(turned)
    middle_x = x + width / 2 - down * np.sin(angle)
    middle_y = y + height / 2 + down * np.cos(angle)
    return np.stack([middle_x - side / 2, middle_y - side / 2, side], axis=1)


def tilts(landmarks: NDArray[np.floating]) -> NDArray[np.float64]:
    """[N, 5, 2] (right eye, left eye, nose, mouth's corners) -> f64[N]: how heads are tilted, clockwise, in degrees.

    The turn that brings an upright face's landmarks nearest to these, by least squares (Umeyama, "Least-Squares
    Estimation of Transformation Parameters Between Two Point Patterns", 1991, in the plane). In profile the eyes' line
    is short and its direction chance: so it has little say.
    """
    points = np.asarray(landmarks, np.float64).reshape(-1, 5, 2) @ (1, 1j)
    points = points - points.mean(axis=1, keepdims=True)
    return np.asarray(np.degrees(np.angle(points @ np.conj(_FACE - _FACE.mean()))), np.float64)


def turns(landmarks: NDArray[np.floating], spec: CropSpec) -> NDArray[np.float64]:
    """[N, 5, 2] landmarks -> f64[N]: by how many degrees heads are turned back, as `CropSpec.upright` says."""
    tilt = tilts(landmarks)
    if spec.upright is None:
        return np.zeros_like(tilt)
    share = np.clip(2 * np.abs(tilt) / spec.upright - 1, 0, 1) if spec.upright else 1.0
    return tilt * share


def cut(picture: Picture, boxes: F32, spec: CropSpec, landmarks: F32 | None = None) -> U8:
    """u8[rows, columns, 3], boxes [N, 4] in its pixels -> u8[N, spec.height, spec.width, spec.channels].

    With `landmarks` [N, 5, 2], tilted heads are set upright as the spec says: the square is turned about its middle.
    What lies outside the picture repeats its edge. Shrinking averages over areas, enlarging is bicubic. The same inputs
    give the same bytes. Raises StageError for a box or landmarks that are not finite, ModelError for a spec that cannot
    be met.
    """
    check(spec)
    if not np.isfinite(boxes).all() or (landmarks is not None and not np.isfinite(landmarks).all()):
        raise StageError("a face's box or landmark is not finite")
    crops = np.empty((len(boxes), spec.height, spec.width, spec.channels), np.uint8)
    turned = np.zeros(len(boxes)) if landmarks is None else turns(landmarks, spec)
    placed = zip(crops, squares(boxes, spec, turned).tolist(), turned.tolist(), strict=True)
    for crop, (left, top, side), turn in placed:
        _cut_one(picture, left, top, side, turn, crop)
    return crops


def _cut_one(picture: Picture, left: float, top: float, side: float, turn: float, crop: U8) -> None:
    rows, columns = picture.shape[:2]
    height, width, channels = crop.shape
    # A square far outside shows nothing but the repeated edge, so that one just outside is the same picture.
    side = min(side, 4.0 * max(rows, columns))
    left = min(max(left, -2 * side), columns + side)
    top = min(max(top, -2 * side), rows + side)

    cosine, sine = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    beyond = side / 2 * (abs(cosine) + abs(sine) - 1)  # so far a turned square reaches over an upright one
    x0, x1 = _span(left - beyond, side + 2 * beyond, columns)
    y0, y1 = _span(top - beyond, side + 2 * beyond, rows)
    region = picture[y0:y1, x0:x1]
    if channels == 1:  # only what is cut out is turned grey, not the whole picture
        region = np.asarray(cv2.cvtColor(region, cv2.COLOR_BGR2GRAY), np.uint8)

    # Sampled at least as finely as the picture has pixels, then averaged by a whole factor: no aliasing, at any size.
    fine_x = min(max(math.ceil(side / width), 1), _FINEST)
    fine_y = min(max(math.ceil(side / height), 1), _FINEST)
    step_x, step_y = side / (width * fine_x), side / (height * fine_y)
    to_source = np.array(
        [[step_x, 0.0, left - x0 + (step_x - 1) / 2], [0.0, step_y, top - y0 + (step_y - 1) / 2]], np.float64
    )
    if turn:
        about = np.array([left - x0, top - y0]) + (side - 1) / 2
        turning = np.array([[cosine, -sine], [sine, cosine]])
        to_source[:, 2] -= about
        to_source = turning @ to_source
        to_source[:, 2] += about
    enlarging = fine_x == fine_y == 1
    fine = cv2.warpAffine(
        region,
        to_source,
        (width * fine_x, height * fine_y),
        flags=cv2.WARP_INVERSE_MAP | (cv2.INTER_CUBIC if enlarging else cv2.INTER_LINEAR),
        borderMode=cv2.BORDER_REPLICATE,
    )
    if not enlarging:
        fine = cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA)
    crop[...] = np.asarray(fine).reshape(crop.shape)


def _span(start: float, length: float, limit: int) -> tuple[int, int]:
    """The pixels of one axis that the crop touches; at least the one at the edge."""
    first = min(max(math.floor(start) - _MARGIN, 0), limit - 1)
    last = min(max(math.ceil(start + length) + _MARGIN, first + 1), limit)
    return first, last
