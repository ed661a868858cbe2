"""The embedded mode: all stages in one process, in threads.

    source threads -> detector threads -> classifier thread -> sink thread

Every source may have only so many frames on their way at once: it takes a permit for each, and gets it back when the
frame has been aggregated. That bounds memory, makes a file wait for the slowest stage, and makes a live camera skip
(its source keeps nothing but the freshest frame while it waits). Detectors overtake each other; the aggregator puts the
frames back in order.
"""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, TypeAlias

import numpy as np

from contracts.errors import AffectstreamError, StageError
from contracts.messages import Frame, FrameEmotions, FrameFaces, FrameId, RunEnded, RunStarted, Tombstone
from contracts.settings import Settings
from contracts.stages import Classifier, Detector, Source
from dashboards.live.hub import Hub
from pipeline.meter import Meter
from pipeline.sink import RunProgress, Sink
from storage.store import Store

Event: TypeAlias = RunStarted | RunEnded | FrameEmotions | Tombstone
TICK: Final = 0.1  # seconds between ticks, and the longest wait for a permit before a look at what failed
COMPANY: Final = 0.05  # seconds that a frame waits for others to be classified with, where more are on their way
GLANCE: Final = 0.01  # seconds between looks at the threads


class _Thread(threading.Thread):
    """A thread that says itself when it is done.

    `join` and `is_alive` of CPython 3.11 take a thread for ended when Ctrl-C interrupts the `join`; the stage after it
    would be told that no more comes, while it still does.
    """

    done = False

    def run(self) -> None:
        try:
            super().run()
        finally:
            self.done = True


class Embedded:
    """Runs sources, each with a camera_id of its own, through all stages into a store."""

    def __init__(
        self, sources: Sequence[Source], detectors: Sequence[Detector], classifier: Classifier, store: Store,
        settings: Settings, hub: Hub | None = None,
    ) -> None:  # fmt: skip
        """One thread for each source and for each detector; `hub` is shown what happens. The caller closes what it
        passes in."""
        self.meter: Final = Meter()
        self.errors: Final[list[AffectstreamError]] = []
        """What befell single sources; the others went on."""
        self._sources: Final = sources
        self._detectors: Final = detectors
        self._classifier: Final = classifier
        self._batch: Final = settings.classifier.batch_size
        self._sink: Final = Sink(
            store, settings, self.meter, detector=detectors[0].name, model=classifier.name, hub=hub
        )
        self._hub: Final = hub
        # A live camera has just enough on its way to keep the detectors busy: what waits grows stale.
        self._permits: Final = {
            source.camera_id: threading.Semaphore(len(detectors) + 1 if source.live else settings.ingest.in_flight)
            for source in sources
        }
        self._frames: Final[queue.SimpleQueue[Frame | None]] = queue.SimpleQueue()
        self._faces: Final[queue.SimpleQueue[FrameFaces | None]] = queue.SimpleQueue()
        self._events: Final[queue.SimpleQueue[Event | None]] = queue.SimpleQueue()
        self._stopping: Final = threading.Event()
        self._failure: BaseException | None = None
        self.seconds = 0.0
        """How long `run` took."""

    @property
    def runs(self) -> list[RunProgress]:
        """How far each run has come, in the order of their beginning."""
        return list(self._sink.runs.values())

    def run(self, tick: Callable[[], None] = lambda: None) -> None:
        """Does the work; returns when all sources have ended, or soon after Ctrl-C or `stop`.

        `tick` is called now and then, from this thread. What was accepted is in the store at the end, also when this
        raises the error (StorageError, ModelError) that kept the stages from going on.
        """
        stages: list[tuple[list[_Thread], Callable[[], None]]] = [
            ([self._thread(self._read, s) for s in self._sources], lambda: self._put_none(len(self._detectors))),
            ([self._thread(self._detect, d) for d in self._detectors], lambda: self._faces.put(None)),
            ([self._thread(self._classify)], lambda: self._events.put(None)),
            ([self._thread(self._aggregate_and_store)], lambda: None),
        ]
        started = time.monotonic()
        for threads, _ in stages:
            for thread in threads:
                thread.start()
        for threads, end in stages:
            self._wait(threads, tick)
            end()
        self.seconds = time.monotonic() - started
        if self._failure is not None:
            self._sink.abandon(" ".join(str(self._failure).split()) or type(self._failure).__name__)
            raise self._failure

    def stop(self) -> None:
        """Ends all sources; what they gave until now is finished. May be called from any thread, also repeatedly."""
        self._stopping.set()
        for source in self._sources:
            source.close()

    def _wait(self, threads: Sequence[_Thread], tick: Callable[[], None]) -> None:
        due = 0.0
        while not all(thread.done for thread in threads):
            try:
                time.sleep(GLANCE)
                if time.monotonic() >= due:
                    tick()
                    due = time.monotonic() + TICK
            except KeyboardInterrupt:
                if self._stopping.is_set():
                    raise  # asked twice: at once
                self.stop()

    def _thread(self, work: Callable[..., None], *args: object) -> _Thread:
        def guarded() -> None:
            try:
                work(*args)
            except BaseException as error:  # noqa: BLE001  (whatever it was, the other threads must not wait for ever)
                self._fail(error)

        return _Thread(target=guarded, name=work.__name__.strip("_"), daemon=True)

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or error
        self.stop()

    def _put_none(self, times: int) -> None:
        for _ in range(times):
            self._frames.put(None)

    def _read(self, source: Source) -> None:
        run: RunStarted | None = None
        frames, last = 0, 0
        events = iter(source.events())
        try:
            while True:
                if not self._permit(source.camera_id):
                    return
                with self.meter.stage("ingest"):
                    event = next(events, None)
                if isinstance(event, Frame):
                    frames, last = frames + 1, event.captured_at
                    if self._hub is not None:
                        self._show(event, source, self._hub)
                    self._frames.put(event)
                    continue
                self._permits[source.camera_id].release()
                if event is None:
                    return
                if isinstance(event, RunStarted):
                    run, frames, last = event, 0, event.started_at
                self._events.put(event)
                run = run if isinstance(event, RunStarted) else None
        except AffectstreamError as error:
            self.errors.append(error)
            if run is not None:  # the source broke in mid-run: close the run in its stead
                self._events.put(
                    RunEnded(
                        camera_id=run.camera_id, run_id=run.run_id, frames=frames, dropped=0, ended_at=last,
                        error=str(error),
                    )
                )  # fmt: skip

    def _show(self, frame: Frame, source: Source, hub: Hub) -> None:
        if source.live:
            hub.dropped(frame.camera_id, getattr(source, "dropped", 0))
        if hub.wants_pictures(frame.camera_id):
            hub.picture(frame.camera_id, frame.run_id, frame.seq, frame.captured_at, frame.picture)

    def _permit(self, camera_id: str) -> bool:
        """Waits until the source may have one more frame on its way; False where nobody downstream works any more."""
        while not self._permits[camera_id].acquire(timeout=TICK):
            if self._failure is not None:
                return False
        return self._failure is None

    def _detect(self, detector: Detector) -> None:
        while (frame := self._frames.get()) is not None:
            if self._failure is not None:
                continue
            try:
                with self.meter.stage("detect"):
                    faces = detector.detect([frame.picture])[0]
            except StageError as error:
                self._events.put(_tombstone(frame, "detect", error))
                continue
            self._faces.put(
                FrameFaces(
                    camera_id=frame.camera_id, run_id=frame.run_id, seq=frame.seq, captured_at=frame.captured_at,
                    faces=faces,
                )
            )  # fmt: skip

    def _classify(self) -> None:
        ended = False
        while not ended:
            frames, ended = self._next_batch()
            if frames and self._failure is None:
                self._classify_batch(frames)

    def _next_batch(self) -> tuple[list[FrameFaces], bool]:
        """Waits for a frame, then takes along what is there already, up to about one batch of faces.

        While frames wait for the detectors there will soon be more, and a full batch costs a face half of what a small
        one does: then it is worth waiting for company.
        """
        frames: list[FrameFaces] = []
        faces, until = 0, 0.0
        with suppress(queue.Empty):
            while faces < self._batch:
                wait = max(until - time.monotonic(), 0.0) if frames and self._frames.qsize() else 0.0
                frame = self._faces.get(block=not frames or wait > 0, timeout=wait or None)
                if frame is None:
                    return frames, True
                if not frames:
                    until = time.monotonic() + COMPANY
                frames.append(frame)
                faces += len(frame.faces)
        return frames, False

    def _classify_batch(self, frames: Sequence[FrameFaces]) -> None:
        crops = [frame.faces.crops for frame in frames if len(frame.faces)]
        try:
            with self.meter.stage("classify", items=sum(map(len, crops))):
                probabilities = (
                    self._classifier.classify(np.concatenate(crops)) if crops else np.zeros((0, 7), np.float32)
                )
        except StageError as error:
            if len(frames) == 1:
                self._events.put(_tombstone(frames[0], "classify", error))
            else:  # one of them is at fault: each by itself
                for frame in frames:
                    self._classify_batch([frame])
            return
        start = 0
        for frame in frames:
            end = start + len(frame.faces)
            self._events.put(
                FrameEmotions(
                    camera_id=frame.camera_id, run_id=frame.run_id, seq=frame.seq, captured_at=frame.captured_at,
                    boxes=frame.faces.boxes, scores=frame.faces.scores, probabilities=probabilities[start:end],
                )
            )  # fmt: skip
            start = end

    def _aggregate_and_store(self) -> None:
        while True:
            try:
                event = self._events.get(timeout=self._sink.patience())
            except queue.Empty:
                self._sink.flush()
                continue
            if event is None:
                break
            if isinstance(event, RunStarted):
                self._sink.begin(event)
            elif isinstance(event, RunEnded):
                self._sink.end(event)
            else:
                self._sink.add(event)
                self._permits[event.camera_id].release()
        self._sink.flush()


def _tombstone(frame: FrameId, stage: str, error: StageError) -> Tombstone:
    return Tombstone(
        camera_id=frame.camera_id, run_id=frame.run_id, seq=frame.seq, captured_at=frame.captured_at,
        stage=stage, reason=str(error),
    )  # fmt: skip
