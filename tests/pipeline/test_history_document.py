"""docs/history.md says what is there, and its questions are answered."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, insert, select, text

from contracts.settings import StorageSettings
from docs.make_history import DOCUMENT, replaced, views
from pipeline.cli import main
from storage import open_store
from storage.choosing import choose
from storage.roles import VIEWS
from storage.tables import metadata
from tests.services.postgres import MISSING, postgres_programs, postgres_server

pytestmark = pytest.mark.xdist_group("tensorflow")
TEXT = DOCUMENT.read_text(encoding="utf-8")
BLOCK = re.compile(r"```sql ?(\w*)\n(.*?)```", re.DOTALL)
QUESTIONS = [
    pytest.param(part, id=part.splitlines()[0])
    for part in re.split(r"\n### (?=\d)", TEXT.partition("\n## How long")[0])[1:]
]

INVENTED = ("1.", "2.", "5.", "10.")
"""The questions whose answers show what the demo has not: stress, and weeks."""


@pytest.fixture(scope="module")
def sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo run in which the least sign of stress counts."""
    folder = tmp_path_factory.mktemp("history")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("AFFECTSTREAM_DETECTOR_NAME", "haar")
        for name, value in {"ON": 0.05, "OFF": 0.01, "ON_AFTER": 0.5}.items():
            patch.setenv(f"AFFECTSTREAM_AGGREGATOR_STRESS_{name}", str(value))
        with pytest.raises(SystemExit) as left:
            main(["run", "demo:12", "--db", "demo.db", "--json"])
    assert left.value.code == 0
    return folder / "demo.db"


@pytest.fixture(scope="module")
def postgres(sqlite_file: Path) -> Iterator[Engine]:
    """The same rows in a real Postgres."""
    if postgres_programs() is None:
        pytest.skip(MISSING)
    with postgres_server() as url:
        with open_store(StorageSettings(url=url)) as store:
            store.prepare_days([date(2025, 1, 1)])
        source, engine = create_engine(f"sqlite:///{sqlite_file}"), create_engine(choose(url).engine.url)
        with source.connect() as old, engine.begin() as new:
            for table in metadata.tables.values():
                if rows := [dict(row) for row in old.execute(select(table)).mappings()]:
                    new.execute(insert(table), rows)
        source.dispose()
        yield engine
        engine.dispose()


@pytest.fixture(scope="module")
def yunet_file(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Path:
    """The run of which the document shows the answers."""
    folder = tmp_path_factory.mktemp("answers")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("AFFECTSTREAM_MODELS", str(shared / "models"))
        with pytest.raises(SystemExit) as left:
            main(["run", "demo", "--db", "demo.db", "--detector", "yunet", "--json"])
    assert left.value.code == 0
    return folder / "demo.db"


def blocks(question: str, database: str) -> list[str]:
    return [sql for kind, sql in BLOCK.findall(question) if kind in {"", database}]


def shape(question: str) -> list[str]:
    """The columns of the answer that the document promises: the head of its last table, which has a row."""
    head, rule, *rows = [line for line in question.splitlines() if line.startswith("|")]
    columns = [cell.strip() for cell in head.strip("|").split("|")]
    assert re.fullmatch(r"[|-]+", rule)
    assert rows
    assert all(len(row.strip("|").split("|")) == len(columns) for row in rows)
    return columns


def test_there_are_ten_questions() -> None:
    assert len(QUESTIONS) >= 10


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_is_answered_by_sqlite_in_the_shape_that_is_promised(question: str, sqlite_file: Path) -> None:
    (query,) = blocks(question, "sqlite")
    with closing(sqlite3.connect(sqlite_file)) as connection:
        answer = connection.execute(query)
        assert [name for name, *_ in answer.description] == shape(question)
        rows = answer.fetchall()
    assert rows
    assert all(_known(row) for row in rows)


@pytest.mark.parametrize("question", [one for one in QUESTIONS if not str(one.id).startswith(INVENTED)])
def test_the_answer_that_is_shown_is_that_of_a_run_with_yunet(question: str, yunet_file: Path) -> None:
    (query,) = blocks(question, "sqlite")
    with closing(sqlite3.connect(yunet_file)) as connection:
        found = connection.execute(query).fetchone()
    shown = [cell.strip() for cell in question.rpartition("|---|")[2].splitlines()[1].strip("|").split("|")]
    for value, cell in zip(found, shown, strict=True):
        if isinstance(value, float | int):
            assert float(cell) == pytest.approx(value, abs=0.01)  # rounded, and processors differ a little
        elif "demo-" in value:  # a person: the number is the same, the run's name is another each time
            assert value.rpartition(".")[2] == cell.rpartition(".")[2]
        else:
            assert value.startswith(cell)


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_is_answered_by_postgres_in_the_same_way(question: str, sqlite_file: Path, postgres: Engine) -> None:
    (query,) = blocks(question, "postgres")
    (same,) = blocks(question, "sqlite")
    with postgres.connect() as connection, closing(sqlite3.connect(sqlite_file)) as other:
        answer = connection.execute(text(query.replace(":", "\\:")))
        assert list(answer.keys()) == shape(question)
        rows, others = answer.all(), other.execute(same).fetchall()
    assert len(rows) == len(others)
    for row, theirs in zip(rows, others, strict=True):
        assert _numbers(row) == pytest.approx(_numbers(theirs), rel=1e-6)


def test_the_columns_in_the_document_are_those_of_the_database(postgres: Engine) -> None:
    with postgres.connect() as connection:
        made = views(connection, VIEWS)
    assert replaced(TEXT, made) == TEXT, "the views have changed: python docs/make_history.py"


def _known(row: tuple[Any, ...]) -> bool:
    return None not in row


def _numbers(row: Any) -> list[float]:
    return [float(value) for value in row if not isinstance(value, str) and hasattr(value, "__float__")]
