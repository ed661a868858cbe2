"""Pictures as JPEG between processes; and back, with nothing taken for granted of what arrives."""

from typing import Final

import cv2
import numpy as np

from contracts.errors import StageError
from contracts.messages import Picture

LARGEST_SIDE: Final = 16_384
LARGEST_AREA: Final = 100_000_000
"""Pixels; three times what an 8K camera sends."""

_SIZES: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})  # the markers that are followed by a frame header
_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})  # the markers that are followed by nothing


def to_jpeg(picture: Picture, quality: int) -> bytes:
    """The picture as JPEG. Raises StageError for one that JPEG cannot hold."""
    try:
        done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    except cv2.error as error:
        raise StageError(f"a picture that cannot be made a JPEG: {error.err}") from None
    if not done:
        raise StageError("a picture that cannot be made a JPEG")
    return data.tobytes()


def to_picture(jpeg: bytes) -> Picture:
    """The picture again. Raises StageError for what is no whole JPEG, or has an absurd size, before memory is spent."""
    width, height = _size(jpeg)
    if not (0 < width <= LARGEST_SIDE and 0 < height <= LARGEST_SIDE and width * height <= LARGEST_AREA):
        raise StageError(f"a picture of {width}x{height} pixels")
    if jpeg[-2:] != b"\xff\xd9":
        raise StageError(f"a truncated picture: {len(jpeg):,} bytes of JPEG without its end")
    try:
        picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise StageError(f"a damaged picture: {error.err}") from None
    if picture is None:
        raise StageError("a damaged picture")
    return np.asarray(picture, np.uint8)


def _size(jpeg: bytes) -> tuple[int, int]:
    """Width and height as the frame header says."""
    if jpeg[:2] != b"\xff\xd8":
        raise StageError("no JPEG picture")
    at = 2
    while at + 9 <= len(jpeg) and jpeg[at] == 0xFF:
        marker = jpeg[at + 1]
        if marker in _SIZES:
            return int.from_bytes(jpeg[at + 7 : at + 9], "big"), int.from_bytes(jpeg[at + 5 : at + 7], "big")
        at += 1 if marker == 0xFF else 2 if marker in _ALONE else 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    raise StageError("a damaged picture: JPEG without a frame header")
