"""The contracts of the stages. A stage is built from its settings, has one main method over batches, and `close()`."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from contracts.messages import F32, U8, Faces, Frame, Picture, RunEnded, RunStarted


class CropSpec(msgspec.Struct, frozen=True, kw_only=True):
    """How a face is cut out for a model; part of the model's card. Made in one place, `detector.crops`.

    The crop is the square around the centre of the face's box whose side is `scale` times the box's geometric mean
    side, moved down by `shift_y` times that side; what lies outside the picture repeats the picture's edge.

    A head that is tilted by `upright` degrees or more is set upright, where the detector gives landmarks. One that is
    tilted by half as much is left as it is, and in between it is turned back the more, the more it is tilted: nothing
    jumps from one frame to the next. With 0 every head is set upright, with None none is.
    """

    height: int = 48
    width: int = 48
    channels: int = 1
    scale: float = 1.0
    shift_y: float = 0.0
    upright: float | None = None


class Source(Protocol):
    """A camera or a recording.

    `events()` yields, for each run, a `RunStarted`, its `Frame`s and a `RunEnded`. A recording has one run; where it is
    damaged, the frames before the damage are delivered and `RunEnded.error` says what was lost. A live source begins a
    new run after every reconnection and ends only when `close()` is called or it gives up (SourceError). `close()` may
    be called from another thread and makes `events()` end soon, with a `RunEnded`.
    """

    @property
    def camera_id(self) -> str: ...
    @property
    def live(self) -> bool: ...
    @property
    def frames_expected(self) -> int | None:
        """A guess for the progress bar; the container's own count is sometimes wrong."""
        ...

    def events(self) -> Iterator[RunStarted | Frame | RunEnded]: ...
    def close(self) -> None: ...


class Detector(Protocol):
    @property
    def name(self) -> str: ...

    def detect(self, pictures: Sequence[Picture]) -> list[Faces]:
        """Finds the faces of each picture. Raises StageError for a picture that it cannot take."""
        ...

    def close(self) -> None: ...


class Classifier(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def crop(self) -> CropSpec: ...

    def classify(self, crops: U8) -> F32:
        """u8[N, H, W, C] -> f32[N, 7], rows sum to 1, in the order of EMOTIONS; N may be 0."""
        ...

    def close(self) -> None: ...
