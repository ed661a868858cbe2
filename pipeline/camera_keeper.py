"""Sees to it that one ingest worker reads its fair share of the cameras, and no camera that another one reads.

The worker holds leases in the database (`storage.cameras`). A camera is read only while its lease lasts, by this
process's own clock, which is started before the database is asked; it is given back only when its reading has ended. A
database that does not answer is asked again; what is read then goes on for as long as the leases last.
"""

import math
import os
import secrets
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event
from typing import Final, NamedTuple, Protocol

from contracts.errors import AffectstreamError, StorageError
from storage.cameras import CameraLease, Cameras, Share

TICK: Final = 0.1
MARGIN: Final = 0.2  # of a lease: a reading is ended so long before the lease runs out
WAIT_FIRST: Final = 1.0  # seconds before a camera that ended by itself is read again; doubles each time …
WAIT_MOST: Final = 60.0  # … up to this
SETTLED: Final = 60.0  # seconds; one that was read for so long begins with the first wait again


class Reading(Protocol):
    """One camera being read."""

    @property
    def alive(self) -> bool:
        """Whether it still reads, or still publishes what it has read."""
        ...

    @property
    def error(self) -> AffectstreamError | None:
        """Why it has ended, where something went wrong."""
        ...

    def stop(self) -> None:
        """Asks it to end, and returns at once. May be called again."""
        ...


@dataclass
class _Held:
    """A camera that this worker holds, or whose reading has yet to end."""

    lease: CameraLease
    until: float  # by our clock
    reading: Reading | None = None
    reads: CameraLease | None = None  # what the reading was begun with
    since: float = math.inf
    wait: float = WAIT_FIRST
    again_at: float = 0.0
    leaving: bool = False  # to be given back when the reading has ended
    lost: bool = False  # gone already: nothing to give back

    @property
    def alive(self) -> bool:
        return self.reading is not None and self.reading.alive

    def stop(self) -> None:
        if self.reading is not None:
            self.reading.stop()

    def postpone(self, now: float) -> float:
        """The next attempt waits, each time for longer; returns for how long."""
        wait = WAIT_FIRST if now - self.since > SETTLED else self.wait
        self.again_at, self.wait = now + wait, min(wait * 2, WAIT_MOST)
        return wait


class _Answer(NamedTuple):
    asked_at: float
    share: Share
    fresh: Sequence[CameraLease]  # renewed or claimed
    standing: Sequence[CameraLease]  # held still, with no need to be renewed yet
    released: Sequence[str]


def worker_name() -> str:
    """A name that no other process has had: what a dead worker held is not taken for ours."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"


@dataclass
class CameraKeeper:
    """Keeps the cameras of one worker.

    `cameras` opens the registry when it is first needed, and is called again where that raised StorageError; let it
    give a registry that is not patient. `start` begins to read a camera (its name and its address) and returns at
    once; `say` tells the operator a line. `lease` is in seconds, the same for all workers.
    """

    cameras: Callable[[], Cameras]
    start: Callable[[str, str], Reading]
    lease: float
    owner: str = field(default_factory=worker_name)
    say: Callable[[str], None] = print
    clock: Callable[[], float] = time.monotonic
    share: Share = field(default=Share(0, 0, 0), init=False)
    """What the database said last."""

    def __post_init__(self) -> None:
        self._held: dict[str, _Held] = {}
        self._registry: Cameras | None = None
        self._renew_at = -math.inf
        self._away = False

    @property
    def reading(self) -> Sequence[str]:
        """The cameras that are being read."""
        return sorted(name for name, held in self._held.items() if held.alive)

    def run(self, stopping: Event, tick: Callable[[], None] = lambda: None) -> None:
        """Works until `stopping`, then ends all readings and gives their cameras back. `tick` is called often."""
        every = min(2.0, self.lease / 5)
        next_at, asked = self.clock(), None
        with ThreadPoolExecutor(1, "affectstream-leases") as database:
            try:
                while not stopping.is_set():
                    if asked is None and self.clock() >= next_at:
                        asked = database.submit(self._ask, self._ended())
                        next_at = self.clock() + every
                    if asked is not None and asked.done():
                        self._hear(asked)
                        asked = None
                    self._tend()
                    tick()
                    stopping.wait(TICK)
            finally:
                self._end_all(tick)
                with suppress(AffectstreamError, TimeoutError):
                    database.submit(self._leave).result(self.lease)

    def _ask(self, ended: Sequence[str]) -> _Answer:
        """The exchange with the database, in its own thread: it may take long, and the leases run out meanwhile."""
        asked_at = self.clock()
        if self._registry is None:
            self._registry = self.cameras()
        self._registry.release(self.owner, ended)
        share = self._registry.join(self.owner, self.lease)
        held: Sequence[CameraLease] = []
        standing: Sequence[CameraLease] = []
        if asked_at >= self._renew_at:
            held = self._registry.renew(self.owner, self.lease)
            self._renew_at = asked_at + self.lease / 3
        else:
            standing = self._registry.held(self.owner)
        most = share.fair - len(held) - len(standing)
        claimed = self._registry.claim(self.owner, self.lease, most)
        return _Answer(asked_at, share, [*held, *claimed], standing, ended)

    def _leave(self) -> None:
        if self._registry is not None:
            self._registry.leave(self.owner)

    def _hear(self, asked: Future[_Answer]) -> None:
        try:
            answer = asked.result()
        except StorageError as error:
            if not self._away:
                self.say(f"storage.url: {error}; trying again")
            self._away = True
            return
        if self._away:
            self.say("storage.url: the database answers again")
        self._away, self.share = False, answer.share
        self._adopt(answer)

    def _adopt(self, answer: _Answer) -> None:
        until = answer.asked_at + self.lease * (1 - MARGIN)
        leases = {lease.camera_id: lease for lease in (*answer.fresh, *answer.standing)}
        for camera_id in answer.released:
            if camera_id not in leases:
                self._held.pop(camera_id, None)
        for camera_id, held in self._held.items():
            if camera_id not in leases:
                self._lose(held)
        for lease in answer.standing:
            if lease.camera_id in self._held:
                self._held[lease.camera_id].lease = lease
            else:  # an answer that was lost: until when it is ours is known when it has been renewed
                self._renew_at = -math.inf
                del leases[lease.camera_id]
        for lease in answer.fresh:
            held = self._held.setdefault(lease.camera_id, _Held(lease, until))
            held.lease, held.until, held.lost = lease, until, False
            if lease.camera_id in answer.released:  # given back, and claimed again in the same breath
                held.leaving = False
        for camera_id, lease in leases.items():
            self._held[camera_id].leaving |= lease.url is None
        staying = [name for name in leases if not self._held[name].leaving]
        # The latest comers go first: what has been read for long is read on.
        for name in sorted(staying, key=lambda name: self._held[name].since)[answer.share.fair :]:
            self._held[name].leaving = True

    def _tend(self) -> None:
        """Ends what must not be read any more, begins what should be; all by our own clock."""
        now = self.clock()
        for camera_id, held in list(self._held.items()):
            if now >= held.until:
                self._lose(held)
            if held.lost and not held.alive:
                del self._held[camera_id]
            elif held.alive:
                if held.lost or held.leaving or held.reads != held.lease:
                    held.stop()
            elif not held.leaving:
                self._begin(camera_id, held, now)

    def _begin(self, camera_id: str, held: _Held, now: float) -> None:
        if held.reading is not None:  # it has ended: by itself, or for a new address or lease
            by_itself, error = held.reads == held.lease, held.reading.error
            held.reading, held.reads = None, None
            if by_itself:
                why = f": {error}" if error else ""
                self.say(f"{camera_id} has ended{why}; it is read again in {held.postpone(now):g} s")
        if now < held.again_at or held.lease.url is None:
            return
        held.since = now
        try:
            held.reading, held.reads = self.start(camera_id, held.lease.url), held.lease
        except AffectstreamError as error:
            self.say(f"{camera_id} cannot be read: {error}; trying again in {held.postpone(now):g} s")

    def _ended(self) -> Sequence[str]:
        """Those to give back."""
        return [name for name, held in self._held.items() if held.leaving and not held.lost and not held.alive]

    def _lose(self, held: _Held) -> None:
        if not held.lost and held.alive:
            self.say(f"{held.lease.camera_id} is no longer ours to read")
            held.stop()
        held.lost = True

    def _end_all(self, tick: Callable[[], None]) -> None:
        """Waits until the readings have ended; what has not when the leases run out is left to its fate."""
        for held in self._held.values():
            held.stop()
        limit = self.clock() + self.lease
        while self.reading and self.clock() < limit:
            tick()
            time.sleep(TICK / 5)
