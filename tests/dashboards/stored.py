"""What a real run stores, in a Postgres, for those who ask it as the reader."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, create_engine, make_url, text

from contracts.settings import StorageSettings
from dashboards.grafana.macros import Range
from storage import open_store
from storage.roles import READER, make_roles
from storage.tables import metadata

START: Final = datetime(2026, 1, 31, 9, 0, tzinfo=UTC)
LENGTH: Final = 30  # seconds of the built-in scene
QUOTED: Final = "O'Brien's \"door\", left"
PLAIN: Final = "yard"
SETTINGS: Final = """\
[aggregator]
stress_on = 0.02
stress_off = 0.01
stress_on_after = 0.2
stress_smoothing = 0.2
[detector]
working_width = 320
"""
"""So low that the scene has episodes; pictures so small that it is quick."""


def fill(url: str, folder: Path) -> None:
    """The built-in scene as camera QUOTED saw it, named before names were checked; PLAIN saw the same, but a frame."""
    config = folder / "low.toml"
    config.write_text(SETTINGS)
    options = ["--camera", "left", "--detector", "haar", "--start", START.isoformat(), "--db", url, "--json"]
    command = [sys.executable, "-m", "pipeline", "--config", str(config), "run", "demo", *options]
    subprocess.run(command, check=True, capture_output=True, timeout=280)
    with open_store(StorageSettings(url=url)) as store:
        run_id = store.runs()[0].run_id
    engine = engine_of(url)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO camera SELECT :name, created_at FROM camera"), {"name": QUOTED})
        for table in ("run", "person", "observation", "window_stat", "stress_episode"):
            connection.execute(text(f"UPDATE {table} SET camera_id = :name"), {"name": QUOTED})
        connection.execute(text("DELETE FROM camera WHERE camera_id = 'left'"))
        for table in ("camera", "run", "person", "observation", "window_stat", "stress_episode"):
            values = ", ".join(_twin(column.name, run_id) for column in metadata.tables[table].columns)
            connection.execute(text(f"INSERT INTO {table} SELECT {values} FROM {table}"))
        dead = "INSERT INTO dead_letter VALUES (:camera, 'yard-1', 7, :at, 'detect', 'cannot be decoded')"
        connection.execute(text(dead), {"camera": PLAIN, "at": START})
    engine.dispose()


def _twin(column: str, run_id: str) -> str:
    """What the other camera's row has in this column."""
    if column == "camera_id":
        return f"'{PLAIN}'"
    return f"replace({column}, $${run_id}$$, 'yard-1')" if column in {"run_id", "person_id"} else column


@contextmanager
def reader(url: str) -> Iterator[Engine]:
    """A login that may read the views and nothing else."""
    with open_store(StorageSettings(url=url)) as store:
        make_roles(store)
    parsed = make_url(url)
    name = f"grafana_of_{parsed.database}"
    owner = engine_of(url)
    with owner.begin() as connection:
        connection.execute(text(f"CREATE ROLE {name} LOGIN PASSWORD 'of-the-tests' IN ROLE {READER}"))
    owner.dispose()
    engine = create_engine(parsed.set(drivername="postgresql+psycopg2", username=name, password="of-the-tests"))
    yield engine
    engine.dispose()


def engine_of(url: str) -> Engine:
    return create_engine(make_url(url).set(drivername="postgresql+psycopg2"))


def shown(length: float = LENGTH, **changes: Any) -> Range:
    """A time range that ends with the scene, so long in seconds."""
    end = START.timestamp() + LENGTH
    return Range(datetime.fromtimestamp(end - length, UTC), datetime.fromtimestamp(end, UTC), **changes)
