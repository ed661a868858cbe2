"""What all live sources share: the freshest picture only, runs, stalls and reconnection."""

import contextlib
import logging
import time
from collections.abc import Callable, Generator, Iterator
from random import SystemRandom
from threading import Condition, Event, Thread
from typing import TypeAlias

from contracts.errors import SourceError
from contracts.messages import Frame, Picture, RunEnded, RunStarted
from contracts.settings import IngestSettings
from ingest.runs import SECOND, Run

log = logging.getLogger("affectstream.ingest")

Shot: TypeAlias = Callable[[], tuple[Picture, bytes]]
"""A captured picture, and the same as JPEG if that is how it came, else nothing.

It is converted when somebody wants it: most of those that are skipped never are.
"""

Connect: TypeAlias = Callable[[Event], Generator[Shot, None, None]]
"""Opens a connection and yields what it captures, until the event is set or the camera ends it.

Raises SourceError, one line without credentials, if it cannot be opened or breaks. It runs in a thread of its own.
"""


class Slot:
    """Holds the freshest shot of one connection; an older one that nobody took is dropped and counted."""

    def __init__(self) -> None:
        self.dropped = 0
        self._changed = Condition()
        self._shot: tuple[Shot, int] | None = None
        self._over: str | None = None

    def put(self, shot: Shot) -> None:
        """Offers a shot, captured now."""
        with self._changed:
            self.dropped += self._shot is not None
            self._shot = (shot, time.time_ns())
            self._changed.notify()

    def end(self, why: str) -> None:
        """Says that no more will come. The first reason counts."""
        with self._changed:
            self._over = self._over or why
            self._changed.notify()

    def take(self, seconds: float) -> tuple[Shot, int] | str:
        """The freshest shot and its time (UTC ns), waiting for it for so long; else why there will be none."""
        with self._changed:
            self._changed.wait_for(lambda: self._shot or self._over, seconds)
            shot, self._shot = self._shot, None
            return shot or self._over or f"no picture for {seconds:g} s"


class Connection:
    """A connection being read by its own thread, which may hang in the network without anybody waiting for it."""

    def __init__(self, connect: Connect) -> None:
        self.slot = Slot()
        self._stop = Event()
        self._connect = connect
        Thread(target=self._read, name="affectstream-ingest", daemon=True).start()

    def close(self) -> None:
        """Tells the thread to stop; it does with the next picture, or when its time-out has passed."""
        self._stop.set()
        self.slot.end("closed")

    def _read(self) -> None:
        try:
            with contextlib.closing(self._connect(self._stop)) as shots:
                for shot in shots:
                    self.slot.put(shot)
                    if self._stop.is_set():
                        break
            self.slot.end("the stream ended")
        except SourceError as error:
            self.slot.end(str(error))
        except Exception as error:  # noqa: BLE001 - whatever a driver throws ends this connection only
            self.slot.end(f"reading failed ({type(error).__name__})")


class LiveSource:
    """A camera: a new run after every reconnection, until it is closed or gives up.

    What is captured while the consumer is busy is dropped and counted, so that every frame is as fresh as can be.
    """

    live = True
    frames_expected = None

    def __init__(self, name: str, camera_id: str, settings: IngestSettings, connect: Connect) -> None:
        """`name` is the address without its credentials; nothing is contacted yet."""
        self.camera_id = camera_id
        self._name = name
        self._settings = settings
        self._connect = connect
        self._closed = Event()
        self._connection: Connection | None = None

    @property
    def dropped(self) -> int:
        """Frames of the present run that were skipped so far, because nobody took them in time."""
        return self._connection.slot.dropped if self._connection else 0

    def close(self) -> None:
        """Makes `events()` end within a moment, also while it waits for the camera or for a reconnection."""
        self._closed.set()
        if self._connection:
            self._connection.close()

    def events(self) -> Iterator[RunStarted | Frame | RunEnded]:
        """Runs without end.

        Raises:
            SourceError: the very first connection failed, or `settings.attempts` reconnections in a row did.
        """
        failures = 0
        lost: str | None = None  # why the last run ended; none yet if None
        while not self._closed.is_set():
            run = Run(self.camera_id, self._name, start=time.time_ns(), live=True)
            why = yield from self._run(run)
            if self._closed.is_set():
                return
            if run.frames:
                failures, lost = 0, why
                log.warning("%s: lost %s (%s); reconnecting", self.camera_id, self._name, why)
            else:
                failures += 1
                if lost is None or failures == self._settings.attempts:
                    tries = f", {failures} times in a row" if failures > 1 else ""
                    raise SourceError(f"{self._name}: {why}{tries}")
                log.debug("%s: still no connection to %s (%s)", self.camera_id, self._name, why)
            self._closed.wait(self._pause(failures))

    def _run(self, run: Run) -> Generator[RunStarted | Frame | RunEnded, None, str]:
        """One connection from beginning to end; returns why it ended."""
        connection = self._connection = Connection(self._connect)
        if self._closed.is_set():  # close() may have come between
            connection.close()
        slot = connection.slot
        patience = self._settings.open_timeout + self._settings.stall_seconds
        why = ""
        try:
            while not why:
                taken = slot.take(patience)
                if self._closed.is_set():
                    why = "closed"
                elif isinstance(taken, str):
                    why = taken
                elif run.frames and taken[1] < run.latest - SECOND:
                    # Event time does not go back within a run: it would stand still until the clock has caught up.
                    why = "the clock was set back"
                else:
                    shot, captured_at = taken
                    picture, jpeg = shot()
                    if not run.frames:
                        run.start = run.latest = captured_at
                        patience = self._settings.stall_seconds
                        log.info("%s: receiving %s", self.camera_id, self._name)
                        yield run.started(picture)
                    yield run.frame(picture, captured_at, jpeg)
        finally:
            connection.close()
        if run.frames:
            run.dropped = slot.dropped
            yield run.ended(None if self._closed.is_set() else why)
        return why

    def _pause(self, failures: int) -> float:
        """Seconds before the next try: doubled each time, and spread so that many cameras do not come back at once."""
        longest = self._settings.reconnect_max
        pause = min(longest, self._settings.reconnect_first * 2.0 ** min(failures, 32))
        return min(longest, pause * SystemRandom().uniform(0.75, 1.25))
