"""Writes measured figures into docs/performance.md, from what `affectstream bench NAME --json` wrote.

    python docs/make_performance.py RESULT.json... [--document docs/performance.md]

The document says where they go, with marks that stay. What stands between a mark and the end is made anew:

    <!-- table scaling: the law -->          the table of that title, of `bench scaling`
    <!-- machine scaling: the law -->        with which command it was measured, when, and where
    <!-- end -->

Places of tables that are in none of the results stay as they are, and are named. Of two results with the same table the
last one counts. The curves of `bench scaling` become pictures/scaling-*.png beside the document.
"""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import plots  # noqa: E402
from benchmarks.result import Result, Table, read, text  # noqa: E402
from contracts.errors import InputError  # noqa: E402

PLACE: Final = re.compile(r"(<!-- (table|machine) ([\w-]+): (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)


def written(document: str, results: Sequence[Result], note: Callable[[str], None]) -> str:
    """The document with the figures of these results in their places; `note` hears of places that stay as they are."""
    measured = {(made.bench, table.title): (made, table) for made in results for table in made.tables}

    def anew(found: re.Match[str]) -> str:
        begin, kind, bench, title, end = found.groups()
        if (bench, title) not in measured:
            note(f"left as it was: {kind} {bench}: {title}")
            return found.group()
        made, table = measured[bench, title]
        return f"{begin}\n{_where(made) if kind == 'machine' else _table(table)}\n{end}"

    return PLACE.sub(anew, document)


def _where(made: Result) -> str:
    return f"`{made.command}`, {made.made_at[:10]}, on {made.machine}.\n"


def _table(table: Table) -> str:
    """As Markdown, with its note below."""
    lines = [
        [f"{column.name}, {column.unit}" if column.unit else column.name for column in table.columns],
        ["---", *["---:"] * (len(table.columns) - 1)],
        *(
            [text(cell, column.digits).replace("|", "\\|") for cell, column in zip(row, table.columns, strict=True)]
            for row in table.rows
        ),
    ]
    drawn = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f"{drawn}\n{table.note}\n" if table.note else drawn


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="+", metavar="RESULT.json")
    parser.add_argument("--document", type=Path, default=ROOT / "docs" / "performance.md")
    options = parser.parse_args(arguments)
    try:
        results = [read(path) for path in options.results]
        document = options.document.read_text(encoding="utf-8")
        made = written(document, results, note=lambda line: print(line, file=sys.stderr))
        options.document.write_text(made, encoding="utf-8")
    except (InputError, OSError) as error:
        sys.exit(f"make_performance: {error}")
    for one in results:
        if one.bench == "scaling":
            plots.draw(one, options.document.parent / "pictures")


if __name__ == "__main__":
    main()
