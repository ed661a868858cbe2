"""The demo: a recording that needs no file, for a first look and for tests of everything behind it."""

from collections.abc import Iterator
from threading import Event

from contracts.errors import InputError
from contracts.messages import Frame, RunEnded, RunStarted
from contracts.settings import IngestSettings
from contracts.stages import Source
from ingest.demo_scene import CYCLE, Scene
from ingest.runs import SECOND, Pace, Run, start_time

FPS = 25
START = 1_735_689_600 * SECOND  # 2025-01-01 00:00 UTC: always the same, so that every run has the same windows


class DemoSource:
    """Behaves like a file; see `ingest.demo_scene` for what there is to see. `events()` may be called again."""

    live = False

    def __init__(self, seconds: float, camera_id: str, settings: IngestSettings) -> None:
        start_time(settings.start, START)
        self.camera_id = camera_id
        self.frames_expected: int | None = max(1, round(seconds * FPS))
        self._frames = self.frames_expected or 1
        self._settings = settings
        self._stop = Event()

    def close(self) -> None:
        """Makes `events()` end with the frame that it is at."""
        self._stop.set()

    def events(self) -> Iterator[RunStarted | Frame | RunEnded]:
        """One run. Raises SourceError if the photographs are not installed."""
        scene = Scene()
        run = Run(self.camera_id, "demo", start=start_time(self._settings.start, START), live=False)
        pace = Pace(self._stop, realtime=self._settings.pace == "realtime")
        for number in range(self._frames):
            at = number * SECOND // FPS
            picture = scene.draw(number / FPS)
            pace.wait(at)
            if self._stop.is_set():
                break
            if not number:
                yield run.started(picture)
            yield run.frame(picture, run.start + at)
        if run.frames:
            yield run.ended(None, last_frame=SECOND // FPS, interrupted=run.frames < self._frames)


def source(address: str, camera_id: str | None, settings: IngestSettings) -> Source:
    """`demo`, which lasts one cycle of the scene, or `demo:SECONDS`."""
    text = address.partition(":")[2]
    try:
        seconds = float(text) if text else CYCLE
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 86_400:
        raise InputError(f"{address}: give the demo's length in seconds, more than 0 and up to a day, such as demo:30")
    return DemoSource(seconds, camera_id or "demo", settings)
