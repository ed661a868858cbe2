"""The bookkeeping that all sources share: numbering, event time and pace of one run."""

import re
import secrets
import time
from datetime import UTC, datetime, timedelta
from threading import Event

from contracts.errors import SettingsError
from contracts.messages import Frame, Picture, RunEnded, RunStarted

SECOND = 1_000_000_000


class Run:
    """One run: gives its frames their numbers, and sees to it that event time never goes backwards."""

    def __init__(self, camera_id: str, source: str, *, start: int, live: bool) -> None:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        self.run_id = f"{camera_id}-{stamp}-{secrets.token_hex(4)}"
        self.camera_id = camera_id
        self.source = source
        self.start = start
        self.live = live
        self.frames = 0
        self.dropped = 0
        self.latest = start
        self._interval = 0

    def started(self, picture: Picture) -> RunStarted:
        """Opens the run; `picture` is its first."""
        return RunStarted(
            camera_id=self.camera_id,
            run_id=self.run_id,
            source=self.source,
            started_at=self.start,
            width=picture.shape[1],
            height=picture.shape[0],
            live=self.live,
        )

    def frame(self, picture: Picture, captured_at: int, jpeg: bytes = b"") -> Frame:
        """The next frame, captured at that time (UTC ns), or at its predecessor's if that was later."""
        captured_at = max(captured_at, self.latest)
        self._interval = captured_at - self.latest
        self.latest = captured_at
        self.frames += 1
        return Frame(
            camera_id=self.camera_id,
            run_id=self.run_id,
            seq=self.frames - 1,
            captured_at=captured_at,
            picture=picture,
            jpeg=jpeg,
        )

    def ended(self, error: str | None, *, last_frame: int | None = None, interrupted: bool = False) -> RunEnded:
        """Closes the run. `last_frame` is how long its last frame lasts (ns); as long as the one before, if None."""
        lasts = min(self._interval, SECOND) if last_frame is None else last_frame
        return RunEnded(
            camera_id=self.camera_id,
            run_id=self.run_id,
            frames=self.frames,
            dropped=self.dropped,
            ended_at=self.latest + lasts,
            error=error,
            interrupted=interrupted,
        )


class Pace:
    """Holds a reader back to the speed of the recording; it never makes it skip anything."""

    def __init__(self, stop: Event, *, realtime: bool) -> None:
        self._stop = stop
        self._realtime = realtime
        self._zero: float | None = None

    def wait(self, at: int) -> None:
        """Returns when the picture at that time of the recording (ns) is due, or at once when stopped."""
        if not self._realtime:
            return
        now = time.monotonic()
        if self._zero is None:
            self._zero = now - at / SECOND
        early = self._zero + at / SECOND - now
        if early > 0:
            self._stop.wait(early)


def start_time(setting: str, recorded: int) -> int:
    """The event time (UTC ns) that `IngestSettings.start` asks for; `recorded` is the source's own.

    Raises:
        SettingsError: neither 'recorded', 'now' nor an ISO 8601 time with its zone.
    """
    if setting == "recorded":
        return recorded
    if setting == "now":
        return time.time_ns()
    when = parse_time(setting)
    if when is None:
        raise SettingsError(
            f"start = {setting!r} is no time; give 'recorded', 'now' or an ISO 8601 time with its zone, "
            "such as 2025-03-01T09:30:00+01:00"
        )
    return when


def parse_time(text: str) -> int | None:
    """UTC ns of an ISO 8601 time with its zone; None if it is none."""
    if not re.match(r"\d{4}-?\d\d-?\d\d[T ]", text):
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    if when.tzinfo is None:
        return None
    micro = (when - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    return micro * 1000
