"""What the live page costs a run: frames/s and CPU seconds with it against without, in turn.

Each way is run over the recording once, and over the recording again and again as one that lasts. What is more in the
long run is what the frames cost; what is left of the short one is the start, the end, and a viewer's first page.
"""

import json
import math
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.result import Cell, Column, Spread, Table, spread
from benchmarks.scaling_videos import repeat
from benchmarks.viewers import CAMERA, CHROMIUM, Look, browser, client, nobody
from contracts.errors import AffectstreamError, InputError

WITHOUT: Final = "without --live"
NOBODY: Final = "nobody looks"
CLIENT: Final = "a client looks"
BROWSER: Final = "Chromium looks"


class Once(NamedTuple):
    """What one run came to."""

    frames: int
    seconds: float  # from the first frame to the last
    whole: float  # seconds, with start and end
    cpu: float  # seconds of all cores, of the run's process, with start and end
    pictures: int  # that the viewer got


class Both(NamedTuple):
    """A way in one round: a run over the recording once, and one that lasts."""

    short: Once
    long: Once

    @property
    def speed(self) -> float:
        """Frames/s while it runs."""
        return self.long.frames / self.long.seconds

    @property
    def cpu(self) -> float:
        """Milliseconds for a frame."""
        return 1000 * (self.long.cpu - self.short.cpu) / (self.long.frames - self.short.frames)

    @property
    def start(self) -> float:
        """Seconds before the first frame and after the last."""
        return self.short.whole - self.short.seconds

    @property
    def start_cpu(self) -> float:
        """CPU seconds that the number of frames does not change."""
        return self.short.cpu - self.cpu * self.short.frames / 1000


def measure(
    video: Path, *, rounds: int, seconds: float, with_browser: bool, options: Sequence[str] = (),
    note: Callable[[str], None],
) -> list[Table]:  # fmt: skip
    """The tables. The long runs last about so many seconds; `options` are those of the command line before `run`.

    Raises InputError where the recording cannot be read, AffectstreamError where a run fails.
    """
    command = [sys.executable, "-m", "pipeline", *options, "run", "--json", "--camera", CAMERA]
    with ExitStack() as stack:
        ways: dict[str, Look | None] = {WITHOUT: None, NOBODY: nobody, CLIENT: client}
        if with_browser and CHROMIUM.exists():
            ways[BROWSER] = stack.enter_context(browser())
        elif with_browser:
            note(f"there is no {CHROMIUM}: measured without a browser")
        first = _once(command, video, None)  # not counted: disk caches
        loops = max(2, math.ceil(seconds / first.seconds))
        long = Path(stack.enter_context(tempfile.TemporaryDirectory())) / f"long{video.suffix}"
        repeat(video, long, loops)
        runs: dict[str, list[Both]] = {way: [] for way in ways}
        for number in range(rounds):
            for way in list(ways) if number % 2 else list(ways)[::-1]:
                runs[way].append(both := Both(_once(command, video, ways[way]), _once(command, long, ways[way])))
                note(f"round {number + 1} of {rounds}, {way}: {both.speed:.0f} frames/s, {both.cpu:.2f} ms CPU each")
    return [_cost(video, runs), _start(video, runs)]


def _cost(video: Path, runs: dict[str, list[Both]]) -> Table:
    def against(way: str, figure: Callable[[Both], float]) -> Spread | None:
        if way == WITHOUT:
            return None
        return spread([figure(one) / figure(other) for one, other in zip(runs[way], runs[WITHOUT], strict=True)])

    rows: list[list[Cell]] = [
        [
            way, spread([both.speed for both in each]), against(way, lambda both: both.speed),
            spread([both.cpu for both in each]), against(way, lambda both: both.cpu),
            spread([both.long.pictures / both.long.seconds for both in each]) if way == CLIENT else None,
        ]
        for way, each in runs.items()
    ]  # fmt: skip
    return Table(
        title=f"{video.name}: what the live page costs",
        columns=(
            Column("way"), Column("speed", "frames/s", better="higher"),
            Column("speed", "to without", 3, better="higher"), Column("CPU", "ms per frame", 2, better="lower"),
            Column("CPU", "to without", 3, better="lower"), Column("pictures", "per s"),
        ),
        rows=rows,
        note="CPU is of the run's process on all cores, without its start and end; ratios are within each round.",
    )  # fmt: skip


def _start(video: Path, runs: dict[str, list[Both]]) -> Table:
    return Table(
        title=f"{video.name}: start and end",
        columns=(Column("way"), Column("time", "s", 2, better="lower"), Column("CPU", "s", 2, better="lower")),
        rows=[
            [way, spread([both.start for both in each]), spread([both.start_cpu for both in each])]
            for way, each in runs.items()
        ],
        note="CPU is what remains of a short run when its frames are taken off; with a viewer, also their first page.",
    )


def _once(command: Sequence[str], video: Path, look: Look | None) -> Once:
    """One run in a process of its own; with the live page if it has a viewer, `nobody` included."""
    before, began = _cpu_of_children(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        place = {"AFFECTSTREAM_LIVE_PORT": "0", "AFFECTSTREAM_STORAGE_URL": f"sqlite:///{folder}/rows.db"}
        arguments = [*command, str(video.resolve()), *(["--live"] if look else [])]
        with subprocess.Popen(
            arguments, env=os.environ | place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            pictures = look(_address(process), process) if look else 0
            out, err = process.communicate()
        whole = time.perf_counter() - began
    if process.returncode:
        raise _failure(err, process.returncode)
    said = json.loads(out)
    return Once(said["frames"], said["wall_seconds"], whole, _cpu_of_children() - before, pictures)


def _cpu_of_children() -> float:
    """Seconds of all processes that were started from here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _address(process: "subprocess.Popen[str]") -> str:
    """The page's address, once it is served."""
    assert process.stderr is not None
    said = ""
    for said in process.stderr:
        if found := re.search(r"live page at (\S+)", said):
            return found[1]
    raise _failure(said, process.wait())


def _failure(said: str, code: int) -> AffectstreamError:
    """What the run said last, as an error of our own."""
    why = (said.strip().splitlines() or ["the run failed and does not say why"])[-1].removeprefix("affectstream: ")
    return InputError(why) if code == 2 else AffectstreamError(why)
