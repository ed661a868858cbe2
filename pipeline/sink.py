"""The last stage of the embedded mode: classified frames into the aggregators, what becomes final into the store."""

import time
from contextlib import suppress
from typing import Final

import msgspec

from aggregator import Aggregator
from contracts.errors import StorageError
from contracts.messages import FrameEmotions, RunEnded, RunStarted, Tombstone
from contracts.rows import Rows, Run
from contracts.settings import Settings
from dashboards.live.hub import Hub
from pipeline.meter import Meter
from pipeline.runs import COUNTED_EVERY, closed, opened
from storage.store import Store


class RunProgress(msgspec.Struct):
    """How far a run has come."""

    run: Run
    frames: int = 0
    faces: int = 0
    failed: int = 0
    event_time: int = 0  # of the latest frame
    ended: RunEnded | None = None
    done: bool = False


class Sink:
    """Aggregates and stores. Used by one thread; `runs` may be read by others, for display."""

    def __init__(
        self, store: Store, settings: Settings, meter: Meter, *, detector: str, model: str, hub: Hub | None = None
    ) -> None:
        """`hub` is told what becomes final."""
        self.runs: Final[dict[str, RunProgress]] = {}
        self._store: Final = store
        self._settings: Final = settings
        self._meter: Final = meter
        self._detector: Final = detector
        self._model: Final = model
        self._hub: Final = hub
        self._aggregators: Final[dict[str, Aggregator]] = {}
        self._rows = Rows()
        self._waiting_since: float | None = None
        self._counted_at = time.monotonic()

    def begin(self, started: RunStarted) -> None:
        """A run begins; comes before any of its frames."""
        run = opened(started, detector=self._detector, model=self._model)
        self._store.start_run(run)
        if self._hub is not None:
            self._hub.started(run)
        self.runs[run.run_id] = RunProgress(run=run, event_time=started.started_at)
        if run.camera_id not in self._aggregators:
            self._aggregators[run.camera_id] = Aggregator(
                run.camera_id, self._settings.aggregator, self._settings.privacy
            )

    def add(self, frame: FrameEmotions | Tombstone) -> None:
        """A frame of a run that has begun, in any order."""
        progress = self.runs[frame.run_id]
        progress.frames += 1
        progress.event_time = max(progress.event_time, frame.captured_at)
        if isinstance(frame, Tombstone):
            progress.failed += 1
        else:
            progress.faces += len(frame.boxes)
        with self._meter.stage("aggregate"):
            rows = self._aggregators[frame.camera_id].add(frame)
            self._keep(rows)
        if self._hub is not None:
            self._hub.rows(rows, frame)
        self._finish_if_complete(progress)

    def end(self, ended: RunEnded) -> None:
        """The source has ended the run; frames of it may still be on their way."""
        progress = self.runs[ended.run_id]
        progress.ended = ended
        with self._meter.stage("aggregate", items=0):
            rows = self._aggregators[ended.camera_id].finish(ended)
            self._keep(rows)
        if self._hub is not None:
            self._hub.rows(rows)
        self._finish_if_complete(progress)

    def patience(self) -> float | None:
        """Seconds until the waiting rows want to be written; None where none wait."""
        if self._waiting_since is None:
            return None
        return max(0.0, self._waiting_since + self._settings.storage.batch_seconds - time.monotonic())

    def flush(self) -> None:
        """Writes all waiting rows."""
        rows, self._rows, self._waiting_since = self._rows, Rows(), None
        if rows:
            with self._meter.stage("store", items=len(rows.observations)):
                self._store.write(rows)
                self._count()

    def _count(self) -> None:
        """Now and then, how far the runs are: a camera's may go on for days, and be killed."""
        if time.monotonic() - self._counted_at < COUNTED_EVERY:
            return
        self._counted_at = time.monotonic()
        for progress in self.runs.values():
            if not progress.done:
                counted = msgspec.structs.replace(progress.run, frames=progress.frames, faces=progress.faces)
                self._store.finish_run(counted)

    def abandon(self, reason: str) -> None:
        """The stages cannot go on: says so in the rows of the runs that are not over, if the store still takes them."""
        for progress in self.runs.values():
            if not progress.done:
                run = msgspec.structs.replace(
                    progress.run, ended_at=progress.event_time, frames=progress.frames, faces=progress.faces,
                    status="failed", error=reason,
                )  # fmt: skip
                with suppress(StorageError):
                    self._store.finish_run(run)
                if self._hub is not None:
                    self._hub.ended(run)

    def _keep(self, rows: Rows) -> None:
        if not rows:
            return
        self._rows.extend(rows)
        if self._waiting_since is None:
            self._waiting_since = time.monotonic()
        if len(self._rows.observations) >= self._settings.storage.batch_rows or self.patience() == 0:
            self.flush()

    def _finish_if_complete(self, progress: RunProgress) -> None:
        ended = progress.ended
        if ended is None or progress.frames < ended.frames:
            return
        self.flush()
        progress.run = closed(progress.run, ended, progress.faces)
        self._store.finish_run(progress.run)
        progress.done = True
        if self._hub is not None:
            self._hub.ended(progress.run)
