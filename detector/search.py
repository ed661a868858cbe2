"""What every detector does around its search: check the picture, shrink it, make `Faces` in source pixels."""

from typing import NamedTuple

import cv2
import numpy as np

from contracts.errors import StageError
from contracts.messages import F32, Faces, Picture
from contracts.stages import CropSpec
from detector import crops

SMALLEST, LARGEST = 8, 16_384
"""Sides of a picture, in pixels, that are worth searching; OpenCV's geometry ends at 32,767."""


class Working(NamedTuple):
    """A picture as it is searched. Multiplying its pixel coordinates by `x` and `y` gives source pixels."""

    picture: Picture
    x: float
    y: float


def shrink(picture: Picture, working_width: int) -> Working:
    """The picture at `working_width` if it is wider, with its aspect; as it is otherwise.

    Raises StageError for what is no u8[rows, columns, 3] or has a side below 8 or above 16,384 pixels.
    """
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        what = f"{picture.dtype}{list(picture.shape)}" if isinstance(picture, np.ndarray) else type(picture).__name__
        raise StageError(f"not a picture: {what} instead of uint8[rows, columns, 3]")
    rows, columns = picture.shape[:2]
    if not (SMALLEST <= rows <= LARGEST and SMALLEST <= columns <= LARGEST):
        raise StageError(f"a picture of {columns}x{rows} pixels cannot be searched ({SMALLEST} to {LARGEST} a side)")
    if columns <= working_width:
        return Working(np.ascontiguousarray(picture), 1.0, 1.0)
    small_rows = max(round(rows * working_width / columns), 1)
    halved, times = picture, 1
    # Halving is what OpenCV does fastest, and it skips no pixel, as linear interpolation by more than two would. A last
    # odd row or column is left out.
    while halved.shape[1] >= 2 * working_width and halved.shape[0] >= 2:
        half_rows, half_columns = halved.shape[0] // 2, halved.shape[1] // 2
        even = halved[: 2 * half_rows, : 2 * half_columns]
        half = cv2.resize(even, (half_columns, half_rows), interpolation=cv2.INTER_AREA)
        halved, times = np.asarray(half, np.uint8), 2 * times
    small = cv2.resize(halved, (working_width, small_rows), interpolation=cv2.INTER_LINEAR)
    rows, columns = halved.shape[0] * times, halved.shape[1] * times
    return Working(np.asarray(small, np.uint8), columns / working_width, rows / small_rows)


def faces(picture: Picture, boxes: F32, scores: F32, landmarks: F32 | None, *, min_face: int, spec: CropSpec) -> Faces:
    """The value for one picture from what was found, in source pixels: small faces dropped, best first, crops cut."""
    side = np.sqrt(boxes[:, 2] * boxes[:, 3])
    # A box may reach over the picture's edge, but its middle is inside: outside there is nothing to be read.
    middle = boxes[:, :2] + boxes[:, 2:] / 2
    inside = ((middle >= 0) & (middle < (picture.shape[1], picture.shape[0]))).all(axis=1)
    kept = np.flatnonzero((side >= min_face) & inside)
    order = kept[np.argsort(-scores[kept], kind="stable")]
    boxes = np.ascontiguousarray(boxes[order])
    landmarks = None if landmarks is None else np.ascontiguousarray(landmarks[order])
    return Faces(
        boxes=boxes,
        scores=np.clip(scores[order], 0.0, 1.0),
        landmarks=landmarks,
        crops=crops.cut(picture, boxes, spec, landmarks),
    )
