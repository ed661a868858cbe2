"""The messages that the frames of a recording become on their way through the workers."""

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np

from classifier.card import read_card
from classifier.folders import find_model
from contracts.errors import InputError
from contracts.messages import Frame, FrameEmotions, FrameFaces, FrameId, JpegFrame, Picture, RunStarted
from contracts.settings import Settings
from detector import open_detector
from ingest import open_source
from pipeline.jpeg import to_jpeg

Sent = TypeVar("Sent", bound=FrameId)
EVERY = 40_000_000  # ns between two frames


class Messages:
    """Frames from all over a recording, as each stage passes them on. Pictures are held in memory."""

    def __init__(self, video: Path, settings: Settings, frames: int) -> None:
        """Raises InputError for a recording without a frame."""
        crop = read_card(find_model(settings.classifier.model, settings.models)).crop
        detector = open_detector(settings.detector, settings.models, crop, note=_quiet)
        self.title = video.name
        self.pictures: list[Picture] = []
        self.jpegs: list[JpegFrame] = []
        self.faces: list[FrameFaces] = []
        self.emotions: list[FrameEmotions] = []
        source = open_source(str(video), camera_id="bench", settings=settings.ingest)
        every = max(1, (source.frames_expected or 0) // frames)
        shown = (event for event in source.events() if isinstance(event, Frame) and event.seq % every == 0)
        for frame in itertools.islice(shown, frames):
            found = detector.detect([frame.picture])[0]
            name = {each: getattr(frame, each) for each in FrameId.__struct_fields__}
            self.pictures.append(frame.picture)
            self.jpegs.append(JpegFrame(**name, jpeg=to_jpeg(frame.picture, settings.redis.jpeg_quality)))
            self.faces.append(FrameFaces(**name, faces=found))
            self.emotions.append(
                FrameEmotions(
                    **name, boxes=found.boxes, scores=found.scores,
                    probabilities=np.full((len(found), 7), 1 / 7, np.float32),
                )
            )  # fmt: skip
        detector.close()
        if not self.pictures:
            raise InputError(f"{video.name} has no frame that can be decoded")

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def many(self) -> float:
        """Faces per frame."""
        return sum(len(frame.faces) for frame in self.faces) / len(self)


def started(camera: str, at: int) -> RunStarted:
    """A run of that camera."""
    return RunStarted(
        camera_id=camera, run_id=f"{camera}-{at}", source="bench", started_at=at, width=1, height=1, live=False
    )


def placed(frames: Sequence[Sent], run: RunStarted) -> Callable[[int], Sent]:
    """The frame of a number in that run; the recording begins again and again."""

    def numbered(seq: int) -> Sent:
        return msgspec.structs.replace(
            frames[seq % len(frames)], camera_id=run.camera_id, run_id=run.run_id, seq=seq,
            captured_at=run.started_at + seq * EVERY,
        )  # fmt: skip

    return numbered


def _quiet(line: str) -> None:
    """What stands in for what is seen in the faces per frame."""
