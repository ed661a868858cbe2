"""How cost grows: with faces, with pixels, with cameras; and memory with cameras and with time. In the embedded mode.

The recordings are made on the spot (`scaling_videos`), so that nothing is fetched and only one thing differs between
the points of a curve. All points are measured in turn, round by round.
"""

import tempfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from benchmarks import scaling_memory
from benchmarks.law import BENT, FEWEST, law
from benchmarks.result import Cell, Column, Spread, Table, middle, spread
from benchmarks.rig import STAGES, Pass, Rig
from benchmarks.scaling_videos import RATE, Recordings, Size, encode, faces_of
from contracts.errors import InputError
from contracts.messages import Frame
from contracts.settings import Settings
from ingest import open_source

CURVES: Final = ("faces", "sizes", "cameras", "memory")
TIME: Final = "time"  # the memory of one process over hours; only where it is asked for
FACES = (0, 1, 6, 12, 30)
SIZES: dict[str, Size] = {"360p": (640, 360), "720p": (1280, 720), "1080p": (1920, 1080), "4K": (3840, 2160)}
CAMERAS = (1, 2, 4, 8, 16)
SIZE, FEW = "720p", 2
"""Of the picture, and faces in it, where something else is what differs."""

COST: Final = (
    Column("speed", "frames/s", better="higher"),
    Column("cost", "ms per frame", 2, better="lower"),
    Column("processor", "ms per frame", 2, better="lower"),
    *(Column(stage, "busy ms per frame", 2) for stage in STAGES),
)


class Point(NamedTuple):
    """What is measured once in each round."""

    name: str
    video: Path
    size: Size
    cameras: int = 1


class Curve(NamedTuple):
    """Points that differ in one thing, `x`."""

    title: str
    per: str  # one more of what is on the x axis
    columns: tuple[Column, ...]  # what a point is, the first its name
    cells: Callable[[Point, list[Pass]], list[Cell]]
    x: Callable[[Point, list[Pass]], float]
    points: list[Point]


def measure(
    settings: Settings, *, curves: Collection[str] = CURVES, rounds: int, seconds: float, people: str | None,
    hours: float | None, note: Callable[[str], None],
) -> list[Table]:  # fmt: skip
    """The tables of these curves.

    `seconds` is how long the recordings are, `people` whose faces are in them: a recording, or the demo's if None.
    With `hours`, memory is watched for so long. Raises InputError for an unknown curve, or a recording without faces.
    """
    if unknown := sorted(set(curves) - {*CURVES, TIME}):
        raise InputError(f"there is no curve {unknown[0]!r}; there are {', '.join([*CURVES, TIME])}")
    if TIME in curves and hours is None:
        raise InputError("the curve of memory over time wants to know how long: add --hours")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tables: list[Table] = []
        note("making the recordings")
        if set(curves) & set(CURVES):
            recordings = Recordings(folder, faces_of(people or "demo", settings))
            tables, laws = _speed(settings, recordings, curves, rounds=rounds, seconds=seconds, note=note)
            if "memory" in curves:
                video = recordings.get(SIZES[SIZE], FEW, 2)
                tables.append(table := scaling_memory.by_cameras(video, settings, CAMERAS, note=note))
                laws += _laws_of_memory(table)
            tables.append(_laws(laws))
        if hours is not None:
            video = Path(people) if people else _demo(folder / "demo.mp4", settings)
            tables += scaling_memory.over_time(video, people or "demo, 30 s", settings, hours, note=note)
    return tables


def _speed(
    settings: Settings, recordings: Recordings, wanted: Collection[str], *, rounds: int, seconds: float,
    note: Callable[[str], None],
) -> tuple[list[Table], list[list[Cell]]]:  # fmt: skip
    """A table for each curve and one of slopes, and the rows that they give to the table of laws."""
    made = {"faces": _faces, "sizes": _sizes, "cameras": _cameras}
    curves = [make(recordings, seconds) for name, make in made.items() if name in wanted]
    if not curves:
        return [], []
    passes = _passes(curves, settings, rounds, note)
    tables, laws, slopes = [], [], []
    for curve in curves:
        x = [curve.x(point, passes[point]) for point in curve.points]
        tables.append(_table(curve, passes))
        names = [point.name for point in curve.points]
        for column, what in (("cost", ""), ("processor", ", processor")):
            laws.append(_law(curve.title + what, "ms per frame", curve.per, names, x, numbers(tables[-1], column)))
        slopes.append(_slopes(curve, x, tables[-1]))
    columns = (Column("curve"), Column("for one more"), *(Column(column.name, "ms", 2) for column in COST[1:]))
    why = (
        "Slopes of the least-squares lines. Where many threads wait for few cores, as those of many cameras do, a "
        "stage is busy for longer without costing more: then the processor's slope tells."
    )
    return [*tables, Table(title="which stage carries the slope", columns=columns, rows=slopes, note=why)], laws


def _passes(
    curves: Sequence[Curve], settings: Settings, rounds: int, note: Callable[[str], None]
) -> dict[Point, list[Pass]]:
    points = [point for curve in curves for point in curve.points]
    passes: dict[Point, list[Pass]] = {point: [] for point in points}
    with Rig(settings) as rig:
        for curve in curves:  # not counted: networks compiled, modules loaded at the first face, memory, disk caches
            rig.watch(rig.cameras(curve.points[-1].video, 1))
        for number in range(rounds):
            for point in points:
                passes[point].append(seen := rig.watch(rig.cameras(point.video, point.cameras)))
                note(f"round {number + 1} of {rounds}, {point.name}: {seen.speed:.0f} frames/s")
    return passes


def _faces(recordings: Recordings, seconds: float) -> Curve:
    size = SIZES[SIZE]
    return Curve(
        title="faces per frame", per="face", columns=(Column("shown"), Column("found", "faces per frame", 2)),
        cells=lambda point, passes: [point.name, _found(passes)], x=lambda point, passes: _found(passes),
        points=[
            Point(f"{number} face{'' if number == 1 else 's'}", recordings.get(size, number, seconds), size)
            for number in FACES
        ],
    )  # fmt: skip


def _sizes(recordings: Recordings, seconds: float) -> Curve:
    def stream(point: Point, passes: list[Pass]) -> float:
        return point.video.stat().st_size * 8 / 1e6 / (passes[0].frames / RATE)

    return Curve(
        title="picture size", per="megapixel",
        columns=(
            Column("size"), Column("pixels", "millions", 2), Column("stream", "Mbit/s", 1),
            Column("found", "faces per frame", 2),
        ),
        cells=lambda point, passes: [point.name, _pixels(point), stream(point, passes), _found(passes)],
        x=lambda point, passes: _pixels(point),
        points=[Point(name, recordings.get(size, FEW, seconds), size) for name, size in SIZES.items()],
    )  # fmt: skip


def _cameras(recordings: Recordings, seconds: float) -> Curve:
    def of_each(point: Point, passes: list[Pass]) -> Spread:
        return spread([one.speed / point.cameras for one in passes])

    size = SIZES[SIZE]
    video = recordings.get(size, FEW, seconds / 2)  # enough, with up to 16 of them
    return Curve(
        title="cameras at once", per="camera",
        columns=(
            Column("at once"), Column("found", "faces per frame", 2), Column("of each", "frames/s", better="higher")
        ),
        cells=lambda point, passes: [point.name, _found(passes), of_each(point, passes)],
        x=lambda point, passes: point.cameras,
        points=[Point(scaling_memory.cameras(number), video, size, number) for number in CAMERAS],
    )  # fmt: skip


def _table(curve: Curve, passes: dict[Point, list[Pass]]) -> Table:
    rows: list[list[Cell]] = []
    for point in curve.points:
        seen = passes[point]
        busy = [median(1000 * one.busy(stage) / one.frames for one in seen) for stage in STAGES]
        rows.append(
            [
                *curve.cells(point, seen), spread([one.speed for one in seen]),
                spread([1000 / one.speed for one in seen]),
                spread([1000 * one.processor / one.frames for one in seen]), *busy,
            ]
        )  # fmt: skip
    few = "" if curve.per == "face" else f"{FEW} faces in each picture. "
    where = "" if curve.per == "megapixel" else f"Pictures of {SIZE}. "
    return Table(
        title=curve.title, columns=(*curve.columns, *COST), rows=rows,
        note=f"{where}{few}Cost is time by the clock, processor that of all cores. Stages run side by side, and "
        "waiting for a core counts as busy: they add up to more than the cost.",
    )  # fmt: skip


def _slopes(curve: Curve, x: Sequence[float], table: Table) -> list[Cell]:
    """By how much each figure of the table grows for one more."""
    return [curve.title, curve.per, *(law(x, numbers(table, column.name)).b for column in COST[1:])]  # speed is no cost


def numbers(table: Table, name: str) -> list[float]:
    """A column of a table: the medians of its cells."""
    place = [column.name for column in table.columns].index(name)
    return [middle(row[place]) or 0.0 for row in table.rows]


def _law(name: str, unit: str, per: str, points: Sequence[Cell], x: Sequence[float], y: Sequence[float]) -> list[Cell]:
    line = law(x, y)
    bend = f"{points[line.bend.point]} ({100 * line.bend.off:+.0f} %)" if line.bend else "nowhere"
    return [name, unit, per, line.a, line.b, 100 * line.deviation, bend]


def _laws_of_memory(table: Table) -> list[list[Cell]]:
    names = [row[0] for row in table.rows]
    return [
        _law(f"memory, {way.name}", "MiB", "camera", names, CAMERAS, numbers(table, way.name))
        for way in table.columns[1:]
    ]


def _laws(rows: list[list[Cell]]) -> Table:
    return Table(
        title="the law",
        columns=(
            Column("curve"), Column("y"), Column("x"), Column("a", digits=2), Column("b", digits=2),
            Column("off by at most", "%"), Column("bends at"),
        ),
        rows=rows,
        note=f"y = a + b x, by least squares. It bends at the first point that is more than {100 * BENT:.0f} % from "
        f"the line through those before it, at least {FEWEST} of them.",
    )  # fmt: skip


def _demo(path: Path, settings: Settings) -> Path:
    """The demo as a recording: people come, hide each other and go."""
    source = open_source("demo", camera_id="demo", settings=settings.ingest)
    pictures = (event.picture for event in source.events() if isinstance(event, Frame))
    encode(path, pictures, (960, 540))
    return path


def _found(passes: list[Pass]) -> float:
    return passes[0].faces / passes[0].frames


def _pixels(point: Point) -> float:
    return point.size[0] * point.size[1] / 1e6
