"""Two results of `affectstream bench --json` side by side.

    python -m benchmarks.compare BEFORE.json AFTER.json

Tables are matched by their titles, rows by their first cells. A ratio is marked where the figure got worse by more than
its own spread and five per cent: below that a machine that does other things as well tells nothing.
"""

import argparse
import sys
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from rich.console import Console
from rich.table import Table as RichTable

from benchmarks.result import Cell, Column, Result, Spread, Table, from_shell, middle, number, read
from contracts.errors import InputError

NOISE = 0.05


def compare(before: Result, after: Result, console: Console) -> int:
    """Prints what both measured; returns how many figures got worse."""
    console.print(f"before: {before.made_at}, {before.machine}", f"after:  {after.made_at}, {after.machine}", sep="\n")
    if before.machine.processor != after.machine.processor or before.machine.cores != after.machine.cores:
        console.print("these are two machines: only ratios within each of them mean something", style="yellow")
    earlier = {table.title: table for table in before.tables}
    worse = 0
    for table in after.tables:
        if table.title in earlier:
            drawn, bad = _compared(earlier[table.title], table)
            worse += bad
            if drawn.row_count:
                console.print(drawn)
    return worse


def _compared(before: Table, after: Table) -> tuple[RichTable, int]:
    drawn = RichTable("", "", "before", "after", "after / before", title=after.title, title_justify="left")
    cells = {
        (_name(row), column.name, column.unit): cell
        for row in before.rows
        for column, cell in zip(before.columns, row, strict=True)
    }
    worse = 0
    for row in after.rows:
        for column, new in zip(after.columns, row, strict=True):
            old = cells.get((_name(row), column.name, column.unit))
            one, two = middle(old), middle(new)
            if one is None or two is None:
                continue
            bad = _worse(old, new, column)
            worse += bad
            ratio = f"{two / one:.2f}" if one else "-"
            drawn.add_row(
                _name(row), f"{column.name} {column.unit}".strip(), number(one, column.digits),
                number(two, column.digits), f"[red]{ratio} worse[/]" if bad else ratio,
            )  # fmt: skip
    return drawn, worse


def _name(row: list[Cell]) -> str:
    """The words that a row begins with: the first cell alone may stand in several."""
    return ", ".join(str(cell) for cell in takewhile(lambda cell: isinstance(cell, str), row))


def _worse(old: Cell, new: Cell, column: Column) -> bool:
    one, two = middle(old), middle(new)
    if one is None or two is None or column.better is None or one <= 0:
        return False
    loss = (one - two) / one if column.better == "higher" else (two - one) / one
    noise = max((cell.high - cell.low) / 2 / one for cell in (old, new, Spread(0, 0, 0)) if isinstance(cell, Spread))
    return loss > NOISE + noise


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    options = parser.parse_args(arguments)
    try:
        before, after = read(options.before), read(options.after)
    except InputError as error:
        sys.exit(f"compare: {error}")
    if before.bench != after.bench:
        sys.exit(f"compare: {options.before} is of {before.bench}, {options.after} of {after.bench}")
    worse = compare(before, after, Console())
    sys.exit(f"{worse} figures got worse" if worse else 0)


if __name__ == "__main__":
    from_shell(main)
