"""Memory against cameras, and memory over time. Each figure is that of a process of its own: no process ever shrinks.

Such a process is this module as a program: it reads an `Order` from stdin, and writes `Sample`s to stdout.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import mean
from threading import Event
from typing import Any, Final

import msgspec
import numpy as np

from benchmarks.law import law
from benchmarks.result import Cell, Column, Table, from_shell
from benchmarks.rig import Rig
from contracts.errors import AffectstreamError, InputError
from contracts.messages import Frame, RunEnded, RunStarted
from contracts.settings import Settings
from contracts.stages import Source
from ingest.runs import Run

SAMPLES: Final = 40  # of memory over time
WARM: Final = 1 / 3  # of the time, which is left out: buffers, pools and tables still grow to their size
RECORDINGS, LIVE = "recordings", "live cameras"


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What the process does."""

    video: str
    settings: dict[str, Any]
    cameras: int = 1
    seconds: float | None = None  # again and again for so long; once, if None


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What the process took."""

    seconds: float
    frames: int
    resident: float  # MiB, the mean since the last sample: frames on their way come and go
    peak: float  # MiB, ever


class Endless:
    """A recording that begins again as soon as it has ended, all of it one run."""

    live = False
    frames_expected: int | None = None

    def __init__(self, source: Source, seconds: float) -> None:
        """Ends after so many seconds by the clock."""
        self.camera_id = source.camera_id
        self._source = source
        self._seconds = seconds
        self._stop = Event()

    def close(self) -> None:
        """Ends it with the frame that it is at."""
        self._stop.set()
        self._source.close()

    def events(self) -> Iterator[RunStarted | Frame | RunEnded]:
        """One run."""
        until = time.monotonic() + self._seconds
        run: Run | None = None
        begins = 0  # of this time round, UTC ns

        def over() -> bool:
            return self._stop.is_set() or time.monotonic() > until

        while not over():
            shift = 0
            for event in self._source.events():
                if over():
                    break
                if isinstance(event, RunStarted):
                    if run is None:
                        begins = event.started_at
                        run = Run(self.camera_id, event.source, start=begins, live=False)
                        yield msgspec.structs.replace(event, run_id=run.run_id)
                    shift = begins - event.started_at
                elif isinstance(event, RunEnded):
                    begins = event.ended_at + shift
                elif run is not None:
                    yield run.frame(event.picture, event.captured_at + shift)
        if run is not None:
            yield run.ended(None)


def by_cameras(video: Path, settings: Settings, counts: Sequence[int], *, note: Callable[[str], None]) -> Table:
    """The most that so many cameras take, as recordings and as live cameras."""
    live = settings.ingest.model_copy(update={"in_flight": settings.detector.workers + 1})
    ways = {RECORDINGS: settings, LIVE: settings.model_copy(update={"ingest": live})}
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for count in counts:
        for way, its in ways.items():
            *_, last = _samples(Order(video=str(video), settings=its.model_dump(mode="json"), cameras=count))
            taken[way].append(last.peak)
            note(f"memory, {cameras(count)}, {way}: {last.peak:.0f} MiB")
    return Table(
        title="memory by cameras",
        columns=(Column("at once"), *(Column(way, "MiB", 0, better="lower") for way in ways)),
        rows=[[cameras(count), *(taken[way][place] for way in ways)] for place, count in enumerate(counts)],
        note="The most that was resident, each once, in a process of its own. A recording has up to "
        f"{settings.ingest.in_flight} frames on their way (ingest.in_flight), a live camera {live.in_flight}.",
    )


def cameras(number: int) -> str:
    """So many cameras, in words."""
    return f"{number} camera{'' if number == 1 else 's'}"


def over_time(video: Path, name: str, settings: Settings, hours: float, *, note: Callable[[str], None]) -> list[Table]:
    """What becomes of a process that watches for so long: in short, and each sample."""
    samples = []
    for sample in _samples(Order(video=str(video), settings=settings.model_dump(mode="json"), seconds=3600 * hours)):
        samples.append(sample)
        note(f"{sample.seconds / 60:.1f} of {60 * hours:.1f} minutes: {sample.resident:.1f} MiB")
    return [_in_short(samples, name), _each(samples, hours)]


def _in_short(samples: list[Sample], name: str) -> Table:
    warm = [one for one in samples if one.seconds >= WARM * samples[-1].seconds]
    hours, mebibytes = [one.seconds / 3600 for one in warm], [one.resident for one in warm]
    slope = law(hours, mebibytes).b
    by_frames = law([one.frames / 1e6 for one in warm], mebibytes).b
    row: list[Cell] = [
        name, samples[-1].seconds / 3600, samples[-1].frames, warm[0].resident, warm[-1].resident, slope,
        _uncertain(hours, mebibytes), by_frames,
    ]  # fmt: skip
    return Table(
        title="memory over time",
        columns=(
            Column("again and again"), Column("time", "hours", 2), Column("frames", digits=0),
            Column("after a third", "MiB", 1), Column("at the end", "MiB", 1),
            Column("slope", "MiB per hour", 2, better="lower"), Column("its uncertainty", "MiB per hour", 2),
            Column("slope by frames", "MiB per million", 2, better="lower"),
        ),
        rows=[row],
        note="One process, one camera, resident memory. Slopes are those of the least-squares line without the first "
        "third; the uncertainty is twice the standard error.",
    )  # fmt: skip


def _each(samples: list[Sample], hours: float) -> Table:
    rows: list[list[Cell]] = [
        [f"{100 * place / len(samples):.0f} %", one.seconds / 3600, one.resident, one.frames]
        for place, one in enumerate(samples, start=1)
    ]
    columns = (Column("of the time"), Column("time", "hours", 3), Column("resident", "MiB"), Column("frames", digits=0))
    return Table(title="memory over time, sample by sample", columns=columns, rows=rows)


def _uncertain(x: list[float], y: list[float]) -> float | None:
    """Twice the standard error of the slope; None with too few points to tell."""
    if len(x) < 3:
        return None
    line = law(x, y)
    rest = sum((one - line.at(at)) ** 2 for at, one in zip(x, y, strict=True)) / (len(x) - 2)
    return float(2 * np.sqrt(rest / np.sum((np.array(x) - np.mean(x)) ** 2)))


def _samples(order: Order) -> Iterator[Sample]:
    """What a new process that does this says. Raises AffectstreamError where it fails."""
    command = [sys.executable, "-m", __name__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(msgspec.json.encode(order))
            process.stdin.close()
            for line in process.stdout:
                yield msgspec.json.decode(line, type=Sample)
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        why = f"killed by signal {-process.returncode}" if process.returncode < 0 else "why stands above"
        raise AffectstreamError(f"memory could not be measured: the process that was watched ended early, {why}")


class _Sampler:
    """Looks at memory now and then, and says what it was."""

    def __init__(self, every: float | None) -> None:
        """A sample each so many seconds; where None, only when asked."""
        self._every = every
        self._began = self._latest = time.monotonic()
        self._seen: list[float] = []

    def look(self, frames: int) -> None:
        """To be called often."""
        if self._every is None or not frames:  # nothing has come through yet
            return
        self._seen.append(_memory()[0])
        if time.monotonic() - self._latest >= self._every:
            self.say(frames)

    def say(self, frames: int) -> None:
        """Writes a sample."""
        now, peak = _memory()
        self._latest = time.monotonic()
        sample = Sample(
            seconds=self._latest - self._began, frames=frames, resident=mean(self._seen or [now]), peak=peak
        )
        self._seen = []
        sys.stdout.buffer.write(msgspec.json.encode(sample) + b"\n")
        sys.stdout.buffer.flush()


def main() -> None:
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    with Rig(Settings.model_validate(order.settings)) as rig:
        sources = rig.cameras(Path(order.video), order.cameras)
        if order.seconds is not None:
            sources = [Endless(source, order.seconds) for source in sources]
        sampler = _Sampler(order.seconds and order.seconds / SAMPLES)
        seen = rig.watch(sources, sampler.look)
        sampler.say(seen.frames)


def _memory() -> tuple[float, float]:
    """Resident memory of this process in MiB: now, and the most that it ever was.

    Not from getrusage, whose highest is that of the parent, if that was larger when this process began.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError("memory can be measured on Linux only, where there is /proc/self/status") from error
    values = {name: value for name, _, value in (line.partition(":") for line in lines)}
    now, most = (int(values[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))  # said in kB
    return now, most


if __name__ == "__main__":
    from_shell(main)
