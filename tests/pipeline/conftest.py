"""The command line, run in this process: quick, and nothing is different but the process."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.cli import main


class Outcome(msgspec.Struct, frozen=True):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def object(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        content: dict[str, Any] = json.loads(self.out)
        return content


Command = Callable[..., Outcome]


@pytest.fixture
def affectstream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Runs `affectstream` with these arguments in an empty folder; the detector is Haar, which needs no file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AFFECTSTREAM_DETECTOR_NAME", "haar")
    for name in ("AFFECTSTREAM_MODELS", "AFFECTSTREAM_CONFIG"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: object) -> Outcome:
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            main([str(argument) for argument in arguments])
        written = capfd.readouterr()
        return Outcome(int(str(left.value.code)), written.out, written.err)

    return run


def select(database: Path, query: str) -> list[tuple[Any, ...]]:
    """The rows that a plain SQLite client sees; the database must be sound."""
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return connection.execute(query).fetchall()


TABLES = {
    "camera": "camera_id",
    "run": "run_id",
    "person": "person_id",
    "observation": "run_id, seq, face",
    "window_stat": "run_id, person_id, window_seconds, window_start",
    "stress_episode": "person_id, started_at",
    "dead_letter": "run_id, seq",
}


def contents(database: Path, camera_id: str) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of a camera, its run called RUN, so that two runs can be compared."""
    ((run_id,),) = select(database, f"SELECT run_id FROM run WHERE camera_id = '{camera_id}'")

    def neutral(value: Any) -> Any:
        return value.replace(run_id, "RUN") if isinstance(value, str) else value

    return {
        table: [
            tuple(map(neutral, row))
            for row in select(database, f"SELECT * FROM {table} WHERE camera_id = '{camera_id}' ORDER BY {order}")
        ]
        for table, order in TABLES.items()
    }


def assert_same_rows(one: dict[str, list[tuple[Any, ...]]], other: dict[str, list[tuple[Any, ...]]]) -> None:
    """The same rows, numbers within 1e-4."""
    for table in TABLES:
        assert len(one[table]) == len(other[table]), table
        for mine, theirs in zip(one[table], other[table], strict=True):
            for a, b in zip(mine, theirs, strict=True):
                assert a == (pytest.approx(b, abs=1e-4) if isinstance(b, float) else b), (table, mine, theirs)
