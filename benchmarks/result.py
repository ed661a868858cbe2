"""What a benchmark gives: tables of figures and the machine they were measured on, to show, to keep and to compare."""

import argparse
import importlib.metadata
import os
import platform
import shlex
import statistics
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec
from rich.console import Console
from rich.table import Table as RichTable

from contracts.errors import AffectstreamError, InputError

PACKAGES = ("affectstream", "opencv-python-headless", "openvino", "tensorflow", "numpy")

UNBOUNDED = 10_000
"""Columns of what is no terminal: more than any table has."""


class Spread(msgspec.Struct, frozen=True):
    """A figure that was measured several times."""

    median: float
    low: float
    high: float


Cell = str | float | Spread | None


class Column(msgspec.Struct, frozen=True):
    """A column of figures."""

    name: str
    unit: str = ""
    digits: int = 1
    better: Literal["higher", "lower"] | None = None


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of figures. The first cell of each row is its name."""

    title: str
    columns: tuple[Column, ...]
    rows: list[list[Cell]]
    note: str = ""


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where it was measured, and how quiet it was there."""

    processor: str
    cores: int
    memory_gib: float
    system: str
    python: str
    packages: dict[str, str]
    load_before: float  # processes that wanted a core in the minute before
    gpu: str = ""

    def __str__(self) -> str:
        gpu = f", {self.gpu}" if self.gpu else ""
        versions = ", ".join(f"{name} {version}" for name, version in self.packages.items())
        return (
            f"{self.processor}, {self.cores} cores, {self.memory_gib:.0f} GiB{gpu}, {self.system}, "
            f"Python {self.python}, {versions}; load before {self.load_before:.1f}"
        )


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A whole benchmark."""

    bench: str
    command: str
    made_at: str
    machine: Machine
    tables: list[Table]


def spread(values: Sequence[float]) -> Spread:
    """Median, lowest and highest of at least one value."""
    return Spread(statistics.median(values), min(values), max(values))


def machine() -> Machine:
    """This one. Call it before measuring: afterwards the load is one's own."""
    return Machine(
        processor=_processor(), cores=os.cpu_count() or 1,
        memory_gib=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30,
        system=f"{platform.system()} {platform.release()}", python=platform.python_version(),
        packages={name: importlib.metadata.version(name) for name in PACKAGES}, load_before=os.getloadavg()[0],
        gpu=_gpu(),
    )  # fmt: skip


def result(bench: str, command: str, where: Machine, tables: list[Table]) -> Result:
    """A benchmark that has just ended."""
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    return Result(bench=bench, command=command, made_at=made_at, machine=where, tables=tables)


def shell_command(bench: str, arguments: Sequence[str] | None) -> str:
    """What measures the same again. `arguments`: those of the benchmark's `main`, None for the shell's."""
    return shlex.join(["python", "-m", f"benchmarks.{bench}", *(sys.argv[1:] if arguments is None else arguments)])


def conclude(bench: str, command: str, where: Machine, tables: list[Table], output: Path | None) -> None:
    """Shows a benchmark that has just ended, and writes it where that is wanted."""
    made = result(bench, command, where, tables)
    show(made)
    if output is not None:
        write(made, output)


def write(made: Result, path: Path) -> None:
    """As JSON. Raises InputError where it cannot be written."""
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(made), indent=1) + b"\n")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error


def read(path: Path) -> Result:
    """What `write` wrote. Raises InputError for anything else."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Result)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise InputError(f"{path} is not what `affectstream bench --json` writes: {error}") from error


def show(made: Result, console: Console | None = None) -> None:
    """Prints the tables, whole where it is no terminal: what is kept in a file has room for all figures."""
    console = console or Console()
    if not console.is_terminal:
        console.width = UNBOUNDED
    for table in made.tables:
        console.print(_drawn(table))
        if table.note:
            console.print(table.note, style="dim", highlight=False)
        console.print()
    console.print(str(made.machine), style="dim", highlight=False)


def middle(cell: Cell) -> float | None:
    """The figure of a cell; None for text and where nothing was measured."""
    if isinstance(cell, Spread):
        return cell.median
    return float(cell) if isinstance(cell, int | float) else None


def from_shell(main: Callable[[], object]) -> None:
    """Runs what stands behind `python -m benchmarks.NAME`. What goes wrong is said in one line."""
    try:
        code = main()
    except AffectstreamError as error:
        sys.exit(f"affectstream: {error}")
    except OSError as error:  # a file that is named cannot be read, or written to
        sys.exit(f"affectstream: {error.filename}: {error.strerror}" if error.filename else f"affectstream: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


def positive(text: str) -> int:
    """What argparse makes of an option that counts something: 1 or more."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of 1 or more")
    return int(text)


def fraction(text: str) -> float:
    """What argparse makes of an option that is a part of something: more than 0, and 1 at most."""
    try:
        part = float(text)
    except ValueError:
        part = 0.0
    if not 0 < part <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share: more than 0, and 1 at most")
    return part


def number(value: float, digits: int) -> str:
    """Readable: thousands apart, no more digits than mean something."""
    return f"{value:,.{digits if abs(value) < 10_000 else 0}f}"


def _drawn(table: Table) -> RichTable:
    drawn = RichTable(title=table.title, title_justify="left", title_style="bold")
    for place, column in enumerate(table.columns):
        name = column.name + (f"\n{column.unit}" if column.unit else "")
        drawn.add_column(name, justify="right" if place else "left", no_wrap=not place, overflow="fold")
    for row in table.rows:
        drawn.add_row(*(text(cell, column.digits) for cell, column in zip(row, table.columns, strict=True)))
    return drawn


def text(cell: Cell, digits: int) -> str:
    """What people read, with the range of what was measured several times."""
    if cell is None:
        return "-"
    if isinstance(cell, Spread):
        middle, low, high = (number(value, digits) for value in (cell.median, cell.low, cell.high))
        return middle if low == high else f"{middle} ({low} to {high})"
    return cell if isinstance(cell, str) else number(cell, digits)


def _processor() -> str:
    names = Path("/proc/cpuinfo")
    if names.exists():
        for line in names.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _gpu() -> str:
    """The NVIDIA card, as its driver names it."""
    for card in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        for line in card.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("Model:"):
                return line.partition(":")[2].strip()
    return ""
