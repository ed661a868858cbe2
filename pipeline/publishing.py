"""How a camera's frames come into the streams: each once, also when the publisher, or Redis, dies in between.

With every message, and in the same step, the camera's progress is noted beside the streams. Whoever publishes must know
the progress as it is; so a message whose answer was lost is not written twice, a recording is resumed where its
publisher died, and a publisher that has been replaced notices.
"""

import secrets
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec
from redis import Redis

from contracts import wire
from contracts.errors import TransportError
from contracts.messages import JpegFrame, RunEnded, RunStarted, Tombstone
from pipeline import scripts
from pipeline.link import Link
from pipeline.streams import READS, fields, key, shard_of

LOST: Final = "the ingest worker was lost"
STALE: Final = 0.25
"""Seconds that any frame of the shard may have waited untouched; beyond, live cameras skip."""
UNTAKEN: Final = 2
"""Frames of a live camera that may wait untouched: one while the next worker is about to take the other."""
STOPPED_KEPT: Final = 8
"""Recordings of one camera that were stopped and can be gone on with."""
FIRST_LOOK, LONGEST_LOOK = 0.004, 0.05
"""Seconds between looks whether there is room."""


class ReplacedError(TransportError):
    """Another worker publishes this camera now."""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far the latest run of a camera has been published."""

    run: RunStarted
    owner: str
    frames: int = 0  # seq of the next frame
    latest: int = 0  # event time of the last frame
    dropped: int = 0
    ended: bool = False
    stopped: tuple["Progress", ...] = ()  # recordings that were not published to their end before it, the latest last


class Publisher:
    """Publishes one camera, a run after the other. Used by one thread."""

    def __init__(self, link: Link, camera_id: str) -> None:
        """Asks Redis for nothing yet."""
        settings = link.settings
        shard = shard_of(camera_id, settings.shards)
        self.camera_id: Final = camera_id
        self._link: Final = link
        self._owner: Final = secrets.token_hex(6)
        self._streams: Final = [key(settings.prefix, shard, stream) for stream in READS.values()]
        self._runs: Final = key(settings.prefix, shard, "runs")
        self._now: Progress | None = None
        self._packed = b""
        self._waiting = 0
        self._ids: deque[tuple[int, int]] = deque(maxlen=UNTAKEN)

    def last(self) -> Progress | None:
        """How far anybody has come with this camera."""
        packed: Any = self._link.patiently(lambda redis: redis.hget(self._runs, self.camera_id))
        self._packed = packed or b""
        return wire.decode(packed, Progress) if packed else None

    def unfinished(self) -> list[str]:
        """The runs that can be gone on with, the latest first."""
        last = self.last()
        known = (last, *reversed(last.stopped)) if last is not None else ()
        return [one.run.run_id for one in known if not one.ended]

    def begin(self, started: RunStarted) -> Progress:
        """Begins a run, or goes on with it if it was not published to its end; the progress says from where.

        Of another run that was not ended, the publisher must be dead, and if it is not, it will notice. A recording can
        be gone on with later, a camera's run is closed in its publisher's name.
        """
        while True:
            before = self.last()
            messages: list[Any] = []
            if before is not None and before.run.run_id == started.run_id:
                if before.ended:
                    return before
                after = msgspec.structs.replace(before, owner=self._owner)
            else:
                messages, after = self._instead_of(before, started)
            try:
                self._publish(after, messages)
            except ReplacedError:  # somebody was quicker: look again at how things stand
                continue
            return after

    def frame(self, frame: JpegFrame | Tombstone, *, dropped: int = 0) -> None:
        """Publishes the next frame of the run. Raises ReplacedError if this camera is not ours any more."""
        now = self._running()
        self._publish(
            msgspec.structs.replace(now, frames=frame.seq + 1, latest=frame.captured_at, dropped=dropped), [frame]
        )

    def end(self, ended: RunEnded) -> None:
        """Ends the run. Raises ReplacedError if this camera is not ours any more."""
        self._publish(msgspec.structs.replace(self._running(), ended=True, dropped=ended.dropped), [ended])

    def room(self, *, live: bool, give_up: Callable[[], bool], beat: Callable[[], None] = lambda: None) -> bool:
        """Waits until the stages behind have caught up; False if it was given up.

        A recording may fill the shard's backlog. A live camera publishes only when its frames are being taken and
        nothing waits for long, for what waits grows stale.
        """
        if not live and self._waiting < self._link.settings.backlog:
            return not give_up()
        pause = FIRST_LOOK
        while not give_up():
            if self._may(self._pressure(), live=live):
                return True
            beat()
            time.sleep(pause)
            pause = min(1.5 * pause, LONGEST_LOOK)
        return False

    def backlog(self) -> int:
        """How many entries of the camera's shard wait."""
        return self._pressure().waiting

    def _may(self, pressure: "_Pressure", *, live: bool) -> bool:
        if pressure.waiting >= self._link.settings.backlog:
            return False
        # Not by what was taken last: what a Redis has lost is never taken.
        untaken = len(self._ids) == UNTAKEN and pressure.first is not None and self._ids[0] >= pressure.first
        return not (live and (untaken or pressure.age > STALE))

    def _pressure(self) -> "_Pressure":
        def work(redis: Redis) -> Any:
            return redis.eval(scripts.PRESSURE, len(self._streams), *self._streams)

        waiting, age, first = self._link.patiently(work)
        return _Pressure(int(waiting), int(age) / 1000, _id(first) if first else None)

    def _instead_of(self, before: Progress | None, started: RunStarted) -> tuple[list[Any], Progress]:
        """What there is to say where another run is published from now on, and its progress."""
        messages: list[Any] = []
        stopped = list(before.stopped) if before is not None else []
        if before is not None and not before.ended:
            if before.run.live:
                messages.append(_ended_for(before))
            else:
                stopped.append(msgspec.structs.replace(before, stopped=()))
        after = next((one for one in stopped if one.run.run_id == started.run_id), None)
        if after is None:
            after = Progress(run=started, owner="", latest=started.started_at)
            messages.append(started)
        stopped = [one for one in stopped if one is not after]
        messages += map(_ended_for, stopped[:-STOPPED_KEPT])
        return messages, msgspec.structs.replace(after, owner=self._owner, stopped=tuple(stopped[-STOPPED_KEPT:]))

    def _running(self) -> Progress:
        if self._now is None:
            raise RuntimeError("no run has begun")
        return self._now

    def _publish(self, after: Progress, messages: list[Any]) -> None:
        packed = wire.encode(after)
        arguments: list[Any] = [self.camera_id, self._packed, packed]
        for message in messages:
            parts = fields(message)
            arguments += [len(parts), *parts]

        def work(redis: Redis) -> Any:
            return redis.eval(scripts.PUBLISH, 3, *self._streams, self._runs, *arguments)

        status, self._waiting, id_ = self._link.patiently(work)
        self._ids.append(_id(id_))
        if not status:
            raise ReplacedError(f"camera {self.camera_id!r} is published by another worker now; this one leaves it")
        self._now, self._packed = after, packed


class _Pressure(NamedTuple):
    """How much there is to do in a shard."""

    waiting: int
    age: float  # seconds that the first entry which nobody has taken has waited
    first: tuple[int, int] | None  # the first frame that nobody has taken


def _id(text: bytes) -> tuple[int, int]:
    milliseconds, number = text.split(b"-")
    return int(milliseconds), int(number)


def _ended_for(progress: Progress) -> RunEnded:
    """The end of a run whose publisher is dead."""
    return RunEnded(
        camera_id=progress.run.camera_id, run_id=progress.run.run_id, frames=progress.frames,
        dropped=progress.dropped, ended_at=progress.latest, error=LOST,
    )  # fmt: skip
