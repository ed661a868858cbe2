"""Whether a message that could be decoded also makes sense: what is absurd must not reach the aggregator or SQL."""

from typing import Final

import numpy as np

from contracts.emotions import EMOTIONS
from contracts.errors import StageError
from contracts.messages import EmotionsMessage, FrameEmotions, FrameId, RunEnded, RunStarted

LATEST: Final = 2**63 - 1
"""In April 2262, UTC ns."""
_MOST: Final = 2**62
_LARGEST_PICTURE: Final = 1_000_000
_LONGEST_NAME: Final = 1000


def check_place(message: FrameId) -> None:
    """Raises StageError for a frame that has no possible place in a run: not even a tombstone could take it."""
    _names(message.camera_id, message.run_id)
    _within("seq", message.seq, _MOST)
    _within("captured_at", message.captured_at, LATEST)


def check(message: EmotionsMessage) -> None:
    """Raises StageError for a message that cannot be meant."""
    if isinstance(message, FrameId):
        check_place(message)
        if isinstance(message, FrameEmotions):
            _faces(message)
        return
    _names(message.camera_id, message.run_id)
    if isinstance(message, RunStarted):
        _within("started_at", message.started_at, LATEST)
        _within("width", message.width, _LARGEST_PICTURE)
        _within("height", message.height, _LARGEST_PICTURE)
    elif isinstance(message, RunEnded):
        _within("ended_at", message.ended_at, LATEST)
        _within("frames", message.frames, _MOST)
        _within("dropped", message.dropped, _MOST)


def _faces(message: FrameEmotions) -> None:
    count = message.boxes.shape[0] if message.boxes.ndim == 2 else -1
    wanted = {"boxes": (count, 4), "scores": (count,), "probabilities": (count, len(EMOTIONS))}
    for name, shape in wanted.items():
        array = getattr(message, name)
        if array.dtype.kind != "f" or array.shape != shape:
            raise StageError(f"{name} of shape {array.shape} ({array.dtype}) make no sense")
        if not (np.isfinite(array).all() and (np.abs(array) < 1e9).all()):
            raise StageError(f"{name} hold numbers that make no sense")


def _names(camera_id: str, run_id: str) -> None:
    if not run_id or len(run_id) > _LONGEST_NAME or len(camera_id) > _LONGEST_NAME:
        raise StageError("the names of camera and run make no sense")


def _within(name: str, value: int, most: int) -> None:
    if not 0 <= value <= most:
        raise StageError(f"{name} {value} makes no sense")
