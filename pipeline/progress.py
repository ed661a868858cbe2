"""What a person sees while a run goes on: a line for each camera, on stderr, gone when it is over."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from types import TracebackType
from typing import Final, Self

from rich import progress as rich
from rich.console import Console
from rich.text import Text

from contracts.stages import Source
from pipeline.embedded import Embedded
from pipeline.sink import RunProgress

FIRST_AFTER: Final = 0.5  # seconds: what is over sooner needs no display


@contextmanager
def waiting(why: str) -> Iterator[None]:
    """Shows on a terminal's stderr that something takes its time."""
    console = Console(stderr=True)
    with console.status(Text(f"{why} …")) if console.is_terminal else nullcontext():
        yield


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """Shows on a terminal's stderr how many of how many are done, and the time left: as the function is told."""
    columns = (rich.TextColumn(what), rich.BarColumn(), rich.MofNCompleteColumn(), rich.TimeRemainingColumn())
    with rich.Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class Progress:
    """Shows how far the sources have come. Nothing is shown where stderr is no terminal."""

    def __init__(self, sources: Sequence[Source], embedded: Embedded) -> None:
        self._embedded: Final = embedded
        self._started: Final = time.monotonic()
        self._recordings: Final = {source.camera_id: not source.live for source in sources}
        self._over: Final[set[str]] = set()
        self._rich: Final = rich.Progress(
            rich.TextColumn("[bold]{task.description}"),
            rich.BarColumn(bar_width=24),
            rich.TextColumn(
                "{task.fields[frames]:>7,} frames  {task.fields[rate]:6.1f}/s  {task.fields[faces]:>7,} faces"
            ),
            rich.TimeElapsedColumn(),
            rich.TextColumn("[dim]{task.fields[left]}"),
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._tasks: Final = {
            source.camera_id: self._rich.add_task(
                source.camera_id, total=None if source.live else source.frames_expected,
                frames=0, faces=0, rate=0.0, left="Ctrl-C ends it" if source.live else "",
            )
            for source in sources
        }  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rich.stop()

    def update(self) -> None:
        """Brings the display up to date."""
        elapsed = time.monotonic() - self._started
        if elapsed < FIRST_AFTER:
            return
        self._rich.start()
        by_camera: dict[str, list[RunProgress]] = {}
        for run in self._embedded.runs:
            by_camera.setdefault(run.run.camera_id, []).append(run)
        for camera_id, runs in by_camera.items():
            if camera_id in self._over:
                continue
            frames = sum(run.frames for run in runs)
            faces = sum(run.faces for run in runs)
            self._rich.update(
                self._tasks[camera_id], completed=frames, frames=frames, faces=faces, rate=frames / elapsed
            )
            if self._recordings.get(camera_id) and runs[-1].done:
                self._over.add(camera_id)  # its rate is what it was
