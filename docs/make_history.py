"""Writes the tables of views and columns in docs/history.md, from the comments in the database.

python docs/make_history.py        starts a Postgres server for it (Debian: postgresql)
"""

import re
import sys
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, create_engine, text

ROOT: Final = Path(__file__).resolve().parents[1]
DOCUMENT: Final = ROOT / "docs" / "history.md"
BEGIN: Final = "<!-- made by docs/make_history.py -->"
END: Final = "<!-- end of what is made -->"

_TYPES: Final = {"timestamp with time zone": "timestamptz"}


def views(connection: Connection, names: tuple[str, ...]) -> str:
    """The views of a Postgres database as Markdown: a table of columns for each, from its comments."""
    return "\n".join(_view(connection, name) for name in names)


def _view(connection: Connection, name: str) -> str:
    about = connection.scalar(text("SELECT obj_description(to_regclass(:name), 'pg_class')"), {"name": name})
    columns = connection.execute(
        text(
            "SELECT attname, format_type(atttypid, NULL), col_description(attrelid, attnum) FROM pg_attribute "
            "WHERE attrelid = to_regclass(:name) AND attnum > 0 ORDER BY attnum"
        ),
        {"name": name},
    ).all()
    rows = _together([(f"`{column}`", _TYPES.get(kind, kind), meaning) for column, kind, meaning in columns])
    lines = "".join(f"| {column} | {kind} | {meaning} |\n" for column, kind, meaning in rows)
    return f"### `{name}`\n\n{about}.\n\n| column | type | meaning |\n|---|---|---|\n{lines}"


def _together(rows: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """Columns that differ only in the emotion share a line: `mean_angry` … `mean_neutral`."""
    from contracts.emotions import EMOTIONS

    merged: list[tuple[str, str, str]] = []
    for column, kind, meaning in rows:
        first, last = f"_{EMOTIONS[0]}`", f"_{EMOTIONS[-1]}`"
        if any(column.endswith(f"_{emotion}`") for emotion in EMOTIONS[1:]):
            if column.endswith(last):
                before, _, about = merged.pop()
                merged.append((f"{before} … {column}", kind, about))
        elif column.endswith(first):
            merged.append((column, kind, re.sub(rf"\b{EMOTIONS[0]}\b", "the emotion", meaning)))
        else:
            merged.append((column, kind, meaning))
    return merged


def replaced(document: str, made: str) -> str:
    """The document with what is between the two marks made anew."""
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{made}\n{END}{after}"


def main() -> None:
    sys.path.insert(0, str(ROOT))
    from contracts.settings import StorageSettings
    from storage import open_store
    from storage.choosing import choose
    from storage.roles import VIEWS
    from tests.services.postgres import postgres_server

    with postgres_server() as url:
        open_store(StorageSettings(url=url)).close()
        engine = create_engine(choose(url).engine.url)
        with engine.connect() as connection:
            made = views(connection, VIEWS)
        engine.dispose()
    DOCUMENT.write_text(replaced(DOCUMENT.read_text(encoding="utf-8"), made), encoding="utf-8")


if __name__ == "__main__":
    main()
