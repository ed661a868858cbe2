"""The ingest worker: sources -> frames in the streams, each source in a thread of its own."""

import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final

import msgspec

from contracts.errors import AffectstreamError, SourceError, StageError, TransportError
from contracts.messages import Frame, JpegFrame, RunEnded, RunStarted, Tombstone
from contracts.settings import Settings
from contracts.stages import Source
from pipeline import metrics
from pipeline.jpeg import to_jpeg
from pipeline.link import Link, StoppedError
from pipeline.publishing import Publisher
from pipeline.workers.shell import Shell
from pipeline.workers.stage import TICK, linked

STAGE: Final = "ingest"


def recording_run_id(address: str, camera_id: str, start: str) -> str:
    """The run of a recording: the same for the same file, camera and start, so that it can be gone on with.

    A file is known by its name, size and time of change; anything else (the demo) by its address.
    """
    path = Path(address.removeprefix("file://")).expanduser()
    identity = [camera_id, start, address]
    if path.is_file():
        facts = path.stat()
        identity[2:] = [path.name, str(facts.st_size), str(facts.st_mtime_ns)]
    return f"{camera_id}-{hashlib.blake2s(chr(0).join(identity).encode(), digest_size=8).hexdigest()}"


class Feed:
    """Publishes one source, in its own thread, until it ends, fails or is asked to stop.

    A recording has a run of its own (`run_id`), which is resumed where an earlier publisher of it was stopped or died;
    where it was published to its end before, nothing is done. A live source waits for its camera as long as it takes.
    """

    def __init__(
        self, source: Source, link: Link, settings: Settings, *, say: Callable[[str], None],
        run_id: str | None = None, failed: Callable[[str], None] = lambda line: None,
    ) -> None:  # fmt: skip
        """Begins with `start()`; closes the source at the end. `failed` is told the error that ends it, if any."""
        self.camera_id: Final = source.camera_id
        self.run_id = run_id
        """The latest run."""
        self.published = 0
        """Frames of the latest run that are in the streams, or were."""
        self.known = False
        """Whether the recording had been published to its end before."""
        self.ended = False
        """Whether the recording is published to its end."""
        self.error: AffectstreamError | None = None
        """Why it could not go on."""
        self._source: Final = source
        self._settings: Final = settings
        self._publisher: Final = Publisher(link, source.camera_id)
        self._say: Final = say
        self._failed: Final = failed
        self._stop: Final = threading.Event()
        self._run: RunStarted | None = None
        self._shift = 0
        self._latest = 0
        self._dropped = 0
        self._thread: Final = threading.Thread(target=self._guarded, name=f"ingest-{source.camera_id}", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it still reads or publishes."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Asks it to end, and returns at once. A camera's run is ended; a recording's can be gone on with."""
        self._stop.set()
        self._source.close()

    def join(self, seconds: float) -> None:
        """Waits for its end."""
        self._thread.join(seconds)

    def backlog(self) -> int:
        """How many entries of the camera's shard wait."""
        return self._publisher.backlog()

    def _guarded(self) -> None:
        try:
            self._read_on()
        except AffectstreamError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001  (one camera's trouble is not the other's)
            self.error = SourceError(f"{self.camera_id}: unexpected {type(error).__name__}: {error}")
        finally:
            self._source.close()
        if self.error is not None:
            self._failed(f"{self.camera_id}: {self.error}")

    def _read_on(self) -> None:
        """Reads, and where a camera cannot be reached, tries again."""
        ingest, failures = self._settings.ingest, 0
        while not self._stop.is_set():
            try:
                self._read()
            except SourceError as error:
                failures += 1
                if not self._source.live or failures == ingest.attempts:
                    raise
                pause = min(ingest.reconnect_max, ingest.reconnect_first * 2.0 ** min(failures - 1, 32))
                self._say(f"{self.camera_id}: {error}; trying again in {pause:g} s")
                self._stop.wait(pause)
            else:
                return

    def _read(self) -> None:
        events = iter(self._source.events())
        try:
            while self._room():
                started = time.perf_counter()
                event = next(events, None)
                if event is None or not self._publish(event):
                    return
                metrics.BUSY.labels(STAGE).observe(time.perf_counter() - started)
        except AffectstreamError as error:
            if self._run is not None and not isinstance(error, TransportError):
                self._close_run(str(error))
            raise

    def _room(self) -> bool:
        """Waits for the stages behind; False where a recording is to stop. A camera still has its run to end."""
        return self._publisher.room(live=self._source.live, give_up=self._stop.is_set) or self._source.live

    def _publish(self, event: RunStarted | Frame | RunEnded) -> bool:
        """Whether to go on."""
        if isinstance(event, RunStarted):
            return self._begin(event)
        if self._run is None:
            return False
        if isinstance(event, Frame):
            self._frame(event)
            return True
        if not self._source.live and event.interrupted:
            return False  # whoever is started next goes on from here
        self._count_dropped(event.dropped)
        self._publisher.end(
            msgspec.structs.replace(event, run_id=self._run.run_id, ended_at=event.ended_at + self._shift)
        )
        self._run, self.ended = None, True
        return self._source.live

    def _begin(self, started: RunStarted) -> bool:
        if not self._source.live and self.run_id is not None:
            started = msgspec.structs.replace(started, run_id=self.run_id)
        progress = self._publisher.begin(started)
        self.run_id, self.published, self._dropped = started.run_id, progress.frames, 0
        if progress.ended:
            self.known = self.ended = True
            return False
        metrics.SKIPPED.labels(self.camera_id)  # none as yet
        self._run = progress.run
        self._shift = progress.run.started_at - started.started_at  # where event time begins "now", it has begun then
        self._latest = progress.run.started_at
        return True

    def _frame(self, frame: Frame) -> None:
        assert self._run is not None  # noqa: S101
        if frame.seq < self.published:
            return  # an earlier publisher of this run had come so far
        at = self._latest = frame.captured_at + self._shift
        run_id = self._run.run_id
        message: JpegFrame | Tombstone
        try:
            message = JpegFrame(
                camera_id=self.camera_id, run_id=run_id, seq=frame.seq, captured_at=at,
                jpeg=frame.jpeg or to_jpeg(frame.picture, self._settings.redis.jpeg_quality),
            )  # fmt: skip
        except StageError as error:
            message = Tombstone(
                camera_id=self.camera_id, run_id=run_id, seq=frame.seq, captured_at=at, stage=STAGE, reason=str(error)
            )
            metrics.DEAD_LETTERS.labels(STAGE).inc()
        # Only a live source skips, and says how often.
        self._count_dropped(getattr(self._source, "dropped", 0))
        self._publisher.frame(message, dropped=self._dropped)
        self.published = frame.seq + 1
        metrics.FRAMES.labels(STAGE, self.camera_id).inc()
        metrics.observe_latency(STAGE, at)

    def _count_dropped(self, dropped: int) -> None:
        if dropped > self._dropped:
            metrics.SKIPPED.labels(self.camera_id).inc(dropped - self._dropped)
            self._dropped = dropped

    def _close_run(self, error: str) -> None:
        """The source broke in mid-run: the run is ended in its stead."""
        assert self._run is not None  # noqa: S101
        run, self._run, self.ended = self._run, None, True
        self._publisher.end(
            RunEnded(
                camera_id=self.camera_id, run_id=run.run_id, frames=self.published, dropped=self._dropped,
                ended_at=self._latest, error=error,
            )
        )  # fmt: skip


def feed_all(feeds: Sequence[Feed], shell: Shell, tick: Callable[[], None] = lambda: None) -> None:
    """Runs feeds until all have ended, or the shell is asked to stop and they have."""
    for feed in feeds:
        feed.start()
    shell.ready.set()
    told = False
    while any(feed.alive for feed in feeds):
        for feed in feeds:
            if feed.alive:
                feed.join(TICK)
                break
        if shell.stopping.is_set() and not told:
            told = True
            for feed in feeds:
                feed.stop()
        shell.beat()
        tick()


def ingest(sources: Sequence[tuple[str, Source]], settings: Settings) -> int:
    """Publishes sources (address, source) until they end or the worker is asked to stop; returns the exit code."""
    metrics.begin(STAGE, server="redis")
    with Shell(STAGE, settings.worker) as shell, linked(settings.redis, shell) as link:
        feeds = [
            Feed(
                source, link, settings, say=shell.say, failed=shell.say,
                run_id=None if source.live else recording_run_id(address, source.camera_id, settings.ingest.start),
            )
            for address, source in sources
        ]  # fmt: skip
        feed_all(feeds, shell)
        for feed in feeds:
            if feed.known:
                shell.say(f"{feed.camera_id}: already published, as run {feed.run_id}")
    return 1 if any(feed.error is not None and not isinstance(feed.error, StoppedError) for feed in feeds) else 0


def ingest_cameras(settings: Settings) -> None:
    """Publishes its share of the cameras that are kept in the database, until the worker is asked to stop."""
    from ingest import open_source
    from pipeline.camera_keeper import CameraKeeper
    from storage import open_store
    from storage.cameras import Cameras

    metrics.begin(STAGE, server="redis")
    with Shell(STAGE, settings.worker) as shell, linked(settings.redis, shell) as link, ExitStack() as stack:

        def cameras() -> Cameras:
            return Cameras(stack.enter_context(closing(open_store(settings.storage))), patient=False)

        def start(camera_id: str, url: str) -> Feed:
            source = open_source(url, camera_id=camera_id, settings=settings.ingest)
            feed = Feed(source, link, settings, say=shell.say, failed=shell.say)
            feed.start()
            return feed

        shell.ready.set()
        keeper = CameraKeeper(cameras=cameras, start=start, lease=settings.worker.lease, say=shell.say)
        keeper.run(shell.stopping, shell.beat)
