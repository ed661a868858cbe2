"""Pictures of `affectstream bench scaling`: what was measured with its spread, and the line that it follows."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure

from benchmarks.law import Law, law
from benchmarks.result import Cell, Result, Spread, Table, middle
from benchmarks.rig import STAGES
from benchmarks.scaling import numbers
from benchmarks.scaling_memory import LIVE, RECORDINGS, WARM
from contracts.emotions import COLOURS

OURS: Final = "#0072B2"
OTHER: Final = "#D55E00"
PALETTE: Final = [COLOURS[name] for name in ("surprise", "sad", "angry", "disgust", "fear")]


def draw(made: Result, folder: Path) -> list[Path]:
    """Writes a PNG file for each curve that was measured into a folder; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, figure in _figures({table.title: table for table in made.tables}):
        paths.append(folder / f"scaling-{name}.png")
        figure.savefig(paths[-1], dpi=110)
    return paths


def _figures(tables: dict[str, Table]) -> Iterator[tuple[str, Figure]]:
    if table := tables.get("faces per frame"):
        yield "faces", _curve(table, numbers(table, "found"), "faces per frame")
    if table := tables.get("picture size"):
        yield (
            "sizes",
            _curve(table, numbers(table, "pixels"), "picture size, by pixels; x in megapixels", _names(table)),
        )
    if table := tables.get("cameras at once"):
        yield "cameras", _curve(table, _counts(table), "cameras at once", [str(count) for count in _counts(table)])
    if table := tables.get("memory by cameras"):
        yield "memory", _memory(table)
    if table := tables.get("memory over time, sample by sample"):
        yield "time", _over_time(table)


def _curve(table: Table, x: Sequence[float], label: str, doubling: Sequence[str] = ()) -> Figure:
    """Left the speed, right what a frame takes. `doubling` are names of the points that go on a logarithmic axis."""
    figure = Figure(figsize=(7.8, 3.5), layout="constrained")
    speed, frame = figure.subplots(1, 2, width_ratios=(1.3, 1))
    _points(speed, x, _cells(table, "speed"), OURS, "measured, with spread")
    line = law(x, numbers(table, "cost"))
    _line(speed, x, line, lambda cost: 1000 / cost, OTHER, f"a frame takes {_formula(line)} ms")
    if doubling:
        speed.set_xscale("log", base=2)
        speed.set_xticks(x, doubling)
    speed.set(title="speed", xlabel=label, ylabel="frames/s", ylim=(0, None))
    speed.grid(alpha=0.3)
    speed.legend(frameon=False, fontsize=8.5)
    _stages(frame, table, doubling or [f"{at:.0f}" for at in x])
    return figure


def _stages(axes: Any, table: Table, names: Sequence[str]) -> None:
    bottom = np.zeros(len(names))
    for stage, colour in zip(STAGES, PALETTE, strict=True):
        busy = np.array(numbers(table, stage))
        axes.bar(names, busy, 0.7, bottom, color=colour, label=stage)
        bottom += busy
    axes.plot(names, numbers(table, "processor"), "kD", markersize=5, markeredgecolor="w", label="processor")
    axes.set(title="what a frame takes", ylabel="busy ms, waiting for a core included", ylim=(0, 1.4 * bottom.max()))
    axes.legend(frameon=False, fontsize=8.5, loc="upper left", ncols=2)


def _memory(table: Table) -> Figure:
    figure = Figure(figsize=(6.4, 3.5), layout="constrained")
    axes = figure.subplots()
    counts = _counts(table)
    for name, colour in ((RECORDINGS, OURS), (LIVE, OTHER)):
        _points(axes, counts, _cells(table, name), colour)
        line = law(counts, numbers(table, name))
        _line(axes, counts, line, lambda mebibytes: mebibytes, colour, f"{name}: {_formula(line)} MiB")
    axes.set(xlabel="cameras at once", ylabel="resident memory, MiB", ylim=(0, None), xticks=counts)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8.5)
    return figure


def _over_time(table: Table) -> Figure:
    figure = Figure(figsize=(6.4, 3.5), layout="constrained")
    axes = figure.subplots()
    hours, resident = numbers(table, "time"), numbers(table, "resident")
    axes.plot(hours, resident, color=OURS, marker=".", label="mean of each sample")
    warm = [(at, one) for at, one in zip(hours, resident, strict=True) if at >= WARM * hours[-1]]
    line = law(*map(list, zip(*warm, strict=True)))
    ends = [warm[0][0], warm[-1][0]]
    axes.plot(ends, [line.at(at) for at in ends], color=OTHER, linestyle="--", label=f"{line.b:+.1f} MiB per hour")
    axes.axvspan(0, ends[0], color="grey", alpha=0.12, label="warming up, left out")
    axes.set(xlabel="hours", ylabel="resident memory, MiB", ylim=(0, 1.3 * max(resident)), xlim=(0, hours[-1]))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8.5)
    return figure


def _points(axes: Any, x: Sequence[float], cells: Sequence[Cell], colour: str, label: str | None = None) -> None:
    spreads = [cell if isinstance(cell, Spread) else Spread(*[middle(cell) or 0.0] * 3) for cell in cells]
    y = [one.median for one in spreads]
    bars = [[one.median - one.low for one in spreads], [one.high - one.median for one in spreads]]
    axes.errorbar(x, y, bars, color=colour, fmt="o", capsize=3, label=label)


def _line(axes: Any, x: Sequence[float], line: Law, shown: Callable[[float], float], colour: str, label: str) -> None:
    across = np.linspace(min(x), max(x), 200)
    axes.plot(across, [shown(line.at(at)) for at in across], color=colour, linestyle="--", label=label)


def _formula(line: Law) -> str:
    return f"{line.a:.3g} {'+' if line.b >= 0 else '−'} {abs(line.b):.2g} x"


def _cells(table: Table, name: str) -> list[Cell]:
    place = [column.name for column in table.columns].index(name)
    return [row[place] for row in table.rows]


def _names(table: Table) -> list[str]:
    return [str(row[0]) for row in table.rows]


def _counts(table: Table) -> list[int]:
    """How many each row's name says."""
    return [int(name.partition(" ")[0]) for name in _names(table)]
