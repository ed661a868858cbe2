"""Forgetting and privacy level aggregate, as a user has them: the command line and one file."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aggregator import Aggregator
from contracts.messages import EmotionsMessage
from contracts.settings import AggregatorSettings, StorageSettings
from storage.store import Store
from tests.pipeline.conftest import Command, select
from tests.pipeline.traces import Traces
from tests.storage.samples import some_rows

pytestmark = pytest.mark.xdist_group("tensorflow")

WINDOWS = (2, 5)
FLAGS = [part for seconds in WINDOWS for part in ("--window", seconds)]


def bytes_of(folder: Path) -> bytes:
    return b"\0".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[EmotionsMessage]:
    """What the aggregators are told, from now on."""
    messages: list[EmotionsMessage] = []
    for name in ("add", "finish"):
        told = getattr(Aggregator, name)

        def listen(self: Aggregator, message: Any, told: Any = told) -> Any:
            if self._settings.windows == WINDOWS:
                messages.append(message)
            return told(self, message)

        monkeypatch.setattr(Aggregator, name, listen)
    return messages


def test_aggregate_leaves_nothing_about_any_one_person(
    affectstream: Command, tmp_path: Path, heard: list[EmotionsMessage]
) -> None:
    done = affectstream("--debug", "run", "demo:6", *FLAGS, "--privacy", "aggregate", "--json")
    assert done.code == 0
    assert done.object["people"] is None
    traces = Traces(list(heard), AggregatorSettings(windows=WINDOWS))
    assert len(traces.people) >= 2
    assert len(traces.numbers) > 1000
    assert select(tmp_path / "affectstream.db", "SELECT count(*) FROM window_stat") != [(0,)]
    for content in (bytes_of(tmp_path), done.out.encode(), done.err.encode()):
        assert traces.in_bytes(content) == set()
    # The search would have found them.
    with Store(StorageSettings(url=str(tmp_path / "other.db"))) as store:
        store.write(traces.rows)
    found = traces.in_bytes((tmp_path / "other.db").read_bytes())
    assert traces.people <= found
    assert len(found) > 1000
    assert len(traces.in_bytes(msgspec.json.encode(traces.rows))) > 1000


def test_a_person_is_forgotten_in_one_command(affectstream: Command, tmp_path: Path) -> None:
    assert affectstream("run", "demo:4").code == 0
    database = tmp_path / "affectstream.db"
    whole = select(database, "SELECT * FROM camera_window")
    gone, *others = [str(name) for (name,) in select(database, "SELECT person_id FROM person ORDER BY 1")]
    unknown = affectstream("forget", "nobody")
    assert (unknown.code, unknown.err.count("\n"), "nobody is called nobody" in unknown.err) == (2, 1, True)
    empty = affectstream("forget", "")
    assert (empty.code, empty.err.count("\n"), "a pseudonym is empty" in empty.err) == (2, 1, True)
    assert select(database, f"SELECT count(*) FROM observation WHERE person_id = '{gone}'") != [(0,)]
    done = affectstream("forget", gone)
    assert (done.code, done.err) == (0, "")
    assert "observation" in done.out
    assert "in no text and no bytes of any table" in done.out
    assert gone.encode() not in bytes_of(tmp_path)
    assert select(database, "SELECT * FROM camera_window") == whole
    again = affectstream("forget", gone, *others, "--json").object
    assert again["removed"]["person"] == len(others)
    assert (again["left"], again["traces"]) == ({}, None)
    assert "nothing was there" in affectstream("forget", gone).out


@pytest.mark.parametrize(("answer", "code"), [(b"n\n", 1), (b"\x04", 1), (b"y\n", 0)])
def test_at_a_terminal_it_asks_first(tmp_path: Path, answer: bytes, code: int) -> None:
    url = str(tmp_path / "test.db")
    with Store(StorageSettings(url=url)) as store:
        store.write(some_rows())
    keyboard, terminal = os.openpty()
    os.write(keyboard, answer)
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "forget", "door-1-p1", "--db", url],
        stdin=terminal, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    os.close(terminal)
    os.close(keyboard)
    assert done.returncode == code, done.stderr
    assert "door-1-p1  door, 2026-01-01 00:00:00 to 2026-01-01 00:00:05 UTC\nErase for ever?" in done.stderr
    assert ("nobody was forgotten" in done.stderr) == (code == 1)
    assert select(Path(url), "SELECT count(*) FROM person") == [(code,)]


def test_a_person_is_forgotten_while_the_run_goes_on(tmp_path: Path, affectstream: Command) -> None:
    database = tmp_path / "affectstream.db"
    command = [sys.executable, "-m", "pipeline", "run", "demo:9", "--pace", "realtime", "--window", "1", "--json"]
    environment = {"AFFECTSTREAM_DETECTOR_NAME": "haar", "PYTHONPATH": str(Path(__file__).parents[2])}
    running = subprocess.Popen(
        command, cwd=tmp_path, env=os.environ | environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        gone = _first_person(database, running)
        done = affectstream("forget", gone, "--json")
        assert (done.code, done.err) == (0, "")
        assert done.object["removed"]["person"] == 1
        assert running.poll() is None, "it should have been forgotten in mid-run"
        out, err = running.communicate(timeout=120)
    finally:
        running.kill()
        running.wait()
    assert (running.returncode, err) == (0, "")
    said = json.loads(out)
    assert said["frames"] == 9 * 25
    assert gone.encode() not in bytes_of(tmp_path)
    assert select(database, "SELECT sum(frames) FROM window_stat WHERE person_id = ''") == [(9 * 25,)]
    assert select(database, "SELECT count(*) FROM person") != [(0,)]


def _first_person(database: Path, running: "subprocess.Popen[str]") -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and running.poll() is None:
        if database.exists():
            with closing(sqlite3.connect(database)) as connection:
                tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
                if "person" in tables:
                    for (name,) in connection.execute("SELECT person_id FROM person ORDER BY first_seen LIMIT 1"):
                        return str(name)
        time.sleep(0.1)
    raise AssertionError("nobody was seen")


@pytest.mark.parametrize("command", ["forget somebody --yes", "retain --observations 7", "retain"])
def test_where_there_is_no_database_nothing_was_erased_and_none_is_made(
    affectstream: Command, tmp_path: Path, command: str
) -> None:
    done = affectstream(*command.split(), "--db", "mistyped.db")
    assert (done.code, done.out) == (2, "")
    assert "there is no database mistyped.db yet" in done.err
    assert list(tmp_path.iterdir()) == []


def test_retention_is_enforced_in_one_command(affectstream: Command, tmp_path: Path) -> None:
    assert affectstream("run", "demo:2", "--start", "2020-02-01T12:00:00Z").code == 0
    assert affectstream("retain").out.startswith("everything is kept for ever")
    assert affectstream("run", "demo:2", "--start", "now").code == 0
    (tmp_path / "affectstream.toml").write_text("[retention]\nobservation = 30\n")
    rows = "SELECT count(*) FROM observation WHERE captured_at < '2021'"
    ((old,),) = select(tmp_path / "affectstream.db", rows)
    assert old > 0
    assert affectstream("retain", "--dry-run", "--json").object["removed"] == {"observation": old}
    assert select(tmp_path / "affectstream.db", rows) == [(old,)]
    assert f"{old}  observation removed" in affectstream("retain").out
    assert select(tmp_path / "affectstream.db", rows) == [(0,)]
    assert affectstream("retain", "--json").object["removed"] == {"observation": 0}
    assert affectstream("retain", "--runs", "10", "--json").object["removed"] == {"observation": 0, "run": 1}
    refused = affectstream("retain", "--runs", "0")
    assert (refused.code, "--runs" in refused.err) == (2, True)
