"""What passes between the stages: one immutable value per frame, from end to end.

`Frame` -> `FrameFaces` -> `FrameEmotions`. A frame without faces still goes all the way, because it is what moves event
time; a frame that a stage could not process is replaced by a `Tombstone` of the same `(run_id, seq)`.
"""

from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

U8: TypeAlias = NDArray[np.uint8]
F32: TypeAlias = NDArray[np.float32]

Picture: TypeAlias = U8
"""u8[height, width, 3], blue-green-red as OpenCV has it."""


class FrameId(msgspec.Struct, frozen=True, kw_only=True):
    """Which frame: `seq` counts 0, 1, 2 … without gaps over the frames of a run that were accepted.

    `captured_at` is event time in UTC nanoseconds: the wall clock for live sources, start of the recording plus
    presentation time for files. It never goes backwards within a run.
    """

    camera_id: str
    run_id: str
    seq: int
    captured_at: int
    again: bool = False  # put back by hand after it had become a dead letter: its place in the run is taken


class Frame(FrameId, frozen=True, kw_only=True, tag=True):
    """A picture as the source gave it."""

    picture: Picture
    jpeg: bytes = b""  # the same, where the source sends JPEG: it need not be encoded again


class JpegFrame(FrameId, frozen=True, kw_only=True, tag=True):
    """A frame on its way to another process: the picture as JPEG, so that it is small."""

    jpeg: bytes


class Faces(msgspec.Struct, frozen=True, kw_only=True):
    """What a detector found in one picture, N faces, best score first."""

    boxes: F32  # [N, 4] x, y, width, height in source pixels; may reach over the picture's edge
    scores: F32  # [N] 0 to 1
    landmarks: F32 | None  # [N, 5, 2] right eye, left eye, nose, right and left mouth corner, in source pixels
    crops: U8  # [N, H, W, C] as the model's card asks

    def __len__(self) -> int:
        return len(self.boxes)


class FrameFaces(FrameId, frozen=True, kw_only=True, tag=True):
    faces: Faces


class FrameEmotions(FrameId, frozen=True, kw_only=True, tag=True):
    """The faces of a frame, classified. The crops have been forgotten."""

    boxes: F32  # [N, 4]
    scores: F32  # [N]
    probabilities: F32  # [N, 7], rows sum to 1, in the order of EMOTIONS


class Tombstone(FrameId, frozen=True, kw_only=True, tag=True):
    """Stands in for a frame that became a dead letter, so that nobody downstream waits for it."""

    stage: str
    reason: str


class RunStarted(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """One connection to a camera, or one replay of a file, begins."""

    camera_id: str
    run_id: str
    source: str  # without credentials
    started_at: int  # event time of the run's zero, UTC ns
    width: int
    height: int
    live: bool
    detector: str = ""  # filled in on its way, by whoever is one
    model: str = ""


class RunEnded(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A run is over: `frames` were accepted, with seq 0 to frames - 1."""

    camera_id: str
    run_id: str
    frames: int
    dropped: int  # frames of a live source that were skipped to stay fresh
    ended_at: int  # event time, UTC ns: the end of the last frame
    error: str | None = None  # one line: what was lost, or why it ended before its natural end
    interrupted: bool = False  # a recording that was not read to its end because we were asked to stop


FrameMessage: TypeAlias = JpegFrame | RunStarted | RunEnded | Tombstone
"""What travels from ingest to the detectors."""
FacesMessage: TypeAlias = FrameFaces | RunStarted | RunEnded | Tombstone
"""What travels from the detectors to the classifiers."""
EmotionsMessage: TypeAlias = FrameEmotions | RunStarted | RunEnded | Tombstone
"""What travels from the classifiers to the aggregator."""
