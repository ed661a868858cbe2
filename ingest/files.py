"""Recordings: anything that FFmpeg reads, every decodable frame of it, damaged ones as far as they go."""

from collections.abc import Iterator
from pathlib import Path
from threading import Event

from av.video.frame import VideoFrame

from contracts.addresses import clean_camera_id, redact
from contracts.errors import InputError
from contracts.messages import Frame, RunEnded, RunStarted
from contracts.settings import IngestSettings
from contracts.stages import Source
from ingest.containers import Damage, decode, facts, open_recording, video
from ingest.pictures import Pictures
from ingest.runs import SECOND, Pace, Run, start_time

TAIL = 0.5  # seconds that may be missing at the end before a recording counts as cut


class FileSource:
    """A recording. `events()` may be called again and begins from the start then, as a new run."""

    live = False

    def __init__(self, path: Path, camera_id: str, settings: IngestSettings) -> None:
        """Looks at the recording, without decoding it.

        Raises:
            InputError: there is no such file, or no video in it.
            SettingsError: `settings.start` is no time.
        """
        start_time(settings.start, 0)  # a wrong value is told before anything is read
        self.camera_id = camera_id
        self._name = redact(str(path))
        self._path = path
        self._settings = settings
        self._stop = Event()
        with open_recording(path, self._name) as container:
            self._facts = facts(container)
        self.frames_expected = self._facts.frames

    def close(self) -> None:
        """Makes `events()` end with the frame that it is at."""
        self._stop.set()

    def events(self) -> Iterator[RunStarted | Frame | RunEnded]:
        """One run. Raises InputError if there is not one picture in it."""
        recorded = self._facts.created or self._path.stat().st_mtime_ns
        run = Run(self.camera_id, self._name, start=start_time(self._settings.start, recorded), live=False)
        pictures, clock, damage = Pictures(), Clock(self._facts.interval), Damage()
        pace = Pace(self._stop, realtime=self._settings.pace == "realtime")
        interrupted = False
        for decoded in self._decoded(damage, clock):
            at = clock.at(decoded)
            pace.wait(at)
            if interrupted := self._stop.is_set():
                break
            picture = pictures(decoded)
            if not run.frames:
                yield run.started(picture)
            yield run.frame(picture, run.start + at)
        if run.frames:
            lost = self._what_was_lost(run.frames, clock, damage, interrupted=interrupted)
            yield run.ended(lost, last_frame=clock.last_frame, interrupted=interrupted)
        elif not interrupted:
            why = f": {damage.broken or damage}" if damage.any else ""
            raise InputError(f"{self._name} has no frames{why}")

    def _decoded(self, damage: Damage, clock: "Clock") -> Iterator[VideoFrame]:
        last: int | None = None
        with open_recording(self._path, self._name) as container:
            for frame in decode(container, "AUTO", damage):
                last = frame.pts
                yield frame
        if last is None or not (damage.any or self._cut(clock)):
            return
        # Where decoding fails, a decoder with several threads loses its last good pictures. One thread finds them.
        with open_recording(self._path, self._name) as container:
            container.seek(last, stream=video(container))
            for frame in decode(container, "SLICE", Damage()):
                if frame.pts is not None and frame.pts > last:
                    yield frame

    def _cut(self, clock: "Clock") -> bool:
        return self._facts.end is not None and self._facts.end - clock.end > TAIL

    def _what_was_lost(self, frames: int, clock: "Clock", damage: Damage, *, interrupted: bool) -> str | None:
        if damage.broken or (self._cut(clock) and not interrupted):
            why = damage.broken or "the rest of it is missing"
            about = f" of about {self._facts.frames}" if self._facts.frames else ""
            return f"{self._name} is damaged after {clock.seconds:.1f} s: {why}, {frames}{about} frames were read"
        return f"{self._name} is damaged: {damage}" if damage.any else None


class Clock:
    """Presentation times from the container, relative to the first picture, never backwards."""

    def __init__(self, interval: int) -> None:
        self._interval = interval
        self._zero: int | None = None  # of the presentation times, in ns, once there was one
        self._any = False
        self._at = 0
        self.end = 0.0  # presentation time at which the latest picture ends, in seconds
        self.last_frame = interval  # how long the latest picture lasts, in ns

    @property
    def seconds(self) -> float:
        """How much of the recording there was, to the end of its latest picture."""
        return (self._at + self.last_frame) / SECOND

    def at(self, frame: VideoFrame) -> int:
        """ns from the first picture to this one. Where times are missing or start again, the count goes on."""
        due = self._at + self.last_frame if self._any else 0
        self._any = True
        base = frame.time_base
        if frame.pts is None or base is None:
            self._at = due
            return due
        shown = frame.pts * base.numerator * SECOND // base.denominator
        if self._zero is None or shown - self._zero < self._at - SECOND:
            self._zero = shown - due
        self._at = max(self._at, shown - self._zero)
        self.last_frame = frame.duration * base.numerator * SECOND // base.denominator or self._interval
        self.end = (shown + self.last_frame) / SECOND
        return self._at


def source(address: str, camera_id: str | None, settings: IngestSettings) -> Source:
    """The recording at a path or a file:// address."""
    path = Path(address[7:] if address.lower().startswith("file://") else address)
    return FileSource(path.expanduser(), camera_id or clean_camera_id(path.stem), settings)
