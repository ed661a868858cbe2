"""What `affectstream run` sets up, loaded once and used for many runs, so that loading is in no figure."""

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from classifier import open_classifier
from contracts.settings import Settings
from contracts.stages import Source
from detector import open_detectors
from ingest import open_source
from pipeline.embedded import Embedded
from storage import open_store

STAGES: Final = ("ingest", "detect", "classify", "aggregate", "store")


class Pass(msgspec.Struct, frozen=True, kw_only=True):
    """One or several sources, once to their end. Loading is not in the seconds."""

    frames: int
    faces: int
    seconds: float
    processor: float = 0.0  # seconds of all cores together
    stages: dict[str, dict[str, float]] = {}
    by: str = ""  # detector and model

    @property
    def speed(self) -> float:
        """Frames/s."""
        return self.frames / self.seconds

    def busy(self, stage: str) -> float:
        """Seconds that a stage's threads were at it, waiting for a core included."""
        return self.stages.get(stage, {}).get("seconds", 0.0)


class Rig:
    """The emotion model and the detectors. Everything that is watched goes into a new SQLite file."""

    def __init__(self, settings: Settings) -> None:
        """Raises ModelError where a model cannot be had."""
        self._settings = settings
        self._classifier = open_classifier(settings.classifier, settings.models)
        self._detectors = open_detectors(
            settings.detector, settings.models, self._classifier.crop, note=lambda line: None
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for detector in self._detectors:
            detector.close()
        self._classifier.close()

    def cameras(self, video: Path, number: int) -> list[Source]:
        """So many cameras that show the same recording."""
        return [
            open_source(str(video), camera_id=f"camera{one}", settings=self._settings.ingest) for one in range(number)
        ]

    def watch(self, sources: Sequence[Source], tick: Callable[[int], None] = lambda frames: None) -> Pass:
        """All sources at once, to their end. `tick` is called now and then, with the frames so far."""
        with tempfile.TemporaryDirectory() as folder:
            storage = self._settings.storage.model_copy(update={"url": f"{folder}/bench.db"})
            with open_store(storage) as store:
                embedded = Embedded(sources, self._detectors, self._classifier, store, self._settings)
                began = time.process_time()
                embedded.run(lambda: tick(sum(run.frames for run in embedded.runs)))
                processor = time.process_time() - began
        if embedded.errors:
            raise embedded.errors[0]
        return Pass(
            frames=sum(run.frames for run in embedded.runs), faces=sum(run.faces for run in embedded.runs),
            seconds=embedded.seconds, processor=processor, stages=embedded.meter.figures(),
            by=f"detector {self._detectors[0].name}, model {self._classifier.name}",
        )  # fmt: skip
