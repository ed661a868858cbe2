"""The whole job in one process: how fast, where the time goes, how soon it starts, and the `fer` package beside it.

Everything is measured in turn, round by round, so that the ratios hold on a noisy machine. `fer` 25.10.3 gets an
environment of its own under build/, made at the first call.
"""

import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import venv
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue

import msgspec

from benchmarks.result import Cell, Column, Spread, Table, spread
from benchmarks.rig import Pass, Rig
from classifier.card import read_card
from classifier.folders import find_model
from contracts.messages import Frame
from contracts.settings import Settings
from contracts.stages import Detector
from detector import open_detectors
from ingest import open_source

FER = ["fer==25.10.3", "opencv-contrib-python<5", "setuptools<80"]
ENVIRONMENT = Path("build") / "fer"
OURS, SEARCHED, DECODED, THEIRS = "affectstream", "decode and detect only", "decode only", "fer 25.10.3"
SPEED = (
    Column("way"),
    Column("speed", "frames/s", better="higher"),
    Column("speed", "faces/s", better="higher"),
    Column("found", "faces per frame", 2, better="higher"),
)


def whole(video: Path, settings: Settings) -> Pass:
    """The whole job into a new SQLite file, as `affectstream run` does it."""
    with Rig(settings) as rig:
        return rig.watch(rig.cameras(video, 1))


def searched(video: Path, settings: Settings) -> Pass:
    """Decoding and detection alone, with as many detectors, and as many frames on their way."""
    crop = read_card(find_model(settings.classifier.model, settings.models)).crop
    detectors = open_detectors(settings.detector, settings.models, crop, note=_quiet)
    frames: SimpleQueue[Frame | None] = SimpleQueue()
    permits = threading.Semaphore(settings.ingest.in_flight)
    faces: list[int] = []

    def search(detector: Detector) -> None:
        while (frame := frames.get()) is not None:
            faces.append(len(detector.detect([frame.picture])[0]))
            permits.release()

    threads = [threading.Thread(target=search, args=[detector]) for detector in detectors]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for event in open_source(str(video), camera_id="bench", settings=settings.ingest).events():
        if isinstance(event, Frame):
            permits.acquire()
            frames.put(event)
    for _ in threads:
        frames.put(None)
    for thread in threads:
        thread.join()
    return Pass(frames=len(faces), faces=sum(faces), seconds=time.perf_counter() - began)


def decoded(video: Path, settings: Settings) -> Pass:
    """Decoding alone."""
    source = open_source(str(video), camera_id="bench", settings=settings.ingest)
    began = time.perf_counter()
    frames = sum(isinstance(event, Frame) for event in source.events())
    return Pass(frames=frames, faces=0, seconds=time.perf_counter() - began)


def fer(video: Path) -> Pass:
    """The `fer` package, in an environment and a process of its own."""
    python, installed = ENVIRONMENT.resolve() / "bin" / "python", ENVIRONMENT / ".installed"
    if not installed.exists():
        print(f"making an environment for {FER[0]} in {ENVIRONMENT} …", file=sys.stderr)
        venv.create(ENVIRONMENT, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *FER], check=True)
        installed.touch()  # not before: what was interrupted is made again
    script = Path(__file__).with_name("fer_baseline.py")
    done = subprocess.run([python, script, video], check=True, capture_output=True, text=True)
    return msgspec.json.decode(done.stdout.strip().splitlines()[-1], type=Pass)


def measure(
    videos: Sequence[Path], settings: Settings, *, rounds: int, with_fer: bool, note: Callable[[str], None]
) -> list[Table]:
    """The tables of all recordings, of what the model can do, and of the start."""
    tables = []
    for video in videos:
        tables += _video(video, settings, rounds=rounds, with_fer=with_fer, note=note)
    note("start")
    return [*tables, model(settings), start(videos[0], rounds=rounds)]


def _video(video: Path, settings: Settings, *, rounds: int, with_fer: bool, note: Callable[[str], None]) -> list[Table]:
    ways: dict[str, Callable[[], Pass]] = {
        OURS: lambda: whole(video, settings),
        SEARCHED: lambda: searched(video, settings),
        DECODED: lambda: decoded(video, settings),
    }
    if with_fer:
        ways[THEIRS] = lambda: fer(video)
    ways[OURS]()  # a first run, not counted: disk caches, allocations
    passes: dict[str, list[Pass]] = {name: [] for name in ways}
    for number in range(rounds):
        for name, way in ways.items():
            passes[name].append(way())
        note(f"{video.name}, round {number + 1} of {rounds}: {passes[OURS][-1].speed:.0f} frames/s")

    def against(other: str, faces: bool = False) -> Spread:
        pairs = list(zip(passes[OURS], passes[other], strict=True))
        if faces:
            return spread([(ours.faces / ours.seconds) / (one.faces / one.seconds) for ours, one in pairs])
        return spread([ours.speed / one.speed for ours, one in pairs])

    rows: list[list[Cell]] = [
        [
            name, spread([one.speed for one in each]), spread([one.faces / one.seconds for one in each]),
            each[0].faces / each[0].frames,
        ]
        for name, each in passes.items()
    ]  # fmt: skip
    ratios: list[list[Cell]] = [[f"frames/s, to {name}", against(name)] for name in ways if name != OURS]
    if with_fer and all(one.faces for one in passes[THEIRS]):  # to nothing there is no ratio
        ratios.append([f"faces/s, to {THEIRS}", against(THEIRS, faces=True)])
    return [
        Table(title=f"{video.name}: speed", columns=SPEED, rows=rows, note=passes[OURS][0].by),
        Table(
            title=f"{video.name}: {OURS} as a ratio, within each round",
            columns=(Column("of what"), Column("ratio", digits=2, better="higher")), rows=ratios,
        ),
        _time(video, passes[OURS][-1]),
    ]  # fmt: skip


def _time(video: Path, last: Pass) -> Table:
    """Where the time of a pass went; waiting for a core counts as well."""
    total = sum(stage["seconds"] for stage in last.stages.values())
    return Table(
        title=f"{video.name}: where the time goes, last round",
        columns=(
            Column("stage"), Column("busy", "s", 2), Column("share", "%", 0), Column("items", digits=0),
            Column("items per call"), Column("per item", "ms", 3, better="lower"),
        ),
        rows=[
            [
                name, stage["seconds"], 100 * stage["seconds"] / total, stage["items"],
                stage["items"] / max(stage["batches"], 1), 1000 * stage["seconds"] / max(stage["items"], 1),
            ]
            for name, stage in last.stages.items()
        ],
        note="Stages run side by side and wait for the cores: the seconds are more than the run took.",
    )  # fmt: skip


def model(settings: Settings) -> Table:
    """What the model that was measured can do, as its card says."""
    card = read_card(find_model(settings.classifier.model, settings.models))
    rows: list[list[Cell]] = [[head, value] for head, value in card.accuracy.items()]
    return Table(
        title=f"{card.name}: accuracy on PublicTest, by head",
        columns=(Column("head"), Column("accuracy", digits=4, better="higher")), rows=rows, note=card.accuracy_note,
    )  # fmt: skip


def start(video: Path, *, rounds: int) -> Table:
    """From the shell's prompt to help, and to the first row that another process can read in the database."""
    command = [sys.executable, "-m", "pipeline"]

    def seconds_of_help() -> float:
        began = time.perf_counter()
        subprocess.run([*command, "--help"], check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - began

    def seconds_to_a_row() -> float | None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "first.db"
            began = time.perf_counter()
            run = subprocess.Popen(
                [*command, "run", video, "--db", file, "--json"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            while not (seen := _has_rows(file)) and run.poll() is None:
                time.sleep(0.02)
            elapsed = time.perf_counter() - began
            run.terminate()
            run.wait()
        return elapsed if seen else None

    seconds_of_help()  # not counted: the disk's cache
    rows = [value for value in (seconds_to_a_row() for _ in range(rounds)) if value is not None]
    return Table(
        title="from the shell's prompt",
        columns=(Column("to"), Column("time", "s", 2, better="lower")),
        rows=[
            ["affectstream --help, whole", spread([seconds_of_help() for _ in range(rounds)])],
            ["affectstream run, first stored row", spread(rows) if rows else None],
        ],
        note="" if rows else f"{video.name} shows no face, so that no row is ever stored.",
    )


def _has_rows(file: Path) -> bool:
    try:
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as database:
            return database.execute("SELECT 1 FROM observation LIMIT 1").fetchone() is not None
    except sqlite3.OperationalError:  # not there yet, or not its tables
        return False


def _quiet(line: str) -> None:
    """A detector that stands in for another is no secret, but the tables say how many faces it finds."""
