"""Rows to store, and a look at what was stored."""

import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

from contracts.rows import DeadLetter, Observation, Person, Rows, Run, Seven, StressEpisode, WindowStat
from contracts.settings import StorageSettings
from storage.choosing import choose
from storage.schema import configuration
from storage.store import Store
from storage.tables import metadata
from storage.values import as_columns, to_datetime

START = 1_767_225_600 * 10**9  # 2026-01-01 00:00 UTC
SECOND = 10**9
DAY = 86_400 * SECOND
EVEN: Seven = (
    0.125,
    0.125,
    0.125,
    0.25,
    0.125,
    0.125,
    0.125,
)  # like all numbers here, exact in the four bytes of a REAL


def opened(url: str, retry_seconds: tuple[float, ...] = (0.05, 0.2, 0.5)) -> Store:
    return Store(StorageSettings(url=url), retry_seconds)


def observation(seq: int = 0, **changes: Any) -> Observation:
    values: dict[str, Any] = {
        **{"camera_id": "door", "run_id": "door-1", "seq": seq, "face": 0},
        **{"captured_at": START + seq * SECOND // 25, "person_id": "door-1-p1"},
        **{"x": 10.5, "y": -2.0, "width": 48.0, "height": 64.25, "score": 0.75},
        **{"probabilities": EVEN, "smoothed": EVEN[::-1], "dominant": "sad", "stress": 0.5, "stressed": True},
    }
    return Observation(**(values | changes))


def window(**changes: Any) -> WindowStat:
    values: dict[str, Any] = {
        **{"camera_id": "door", "run_id": "door-1", "person_id": "", "window_seconds": 10, "window_start": START},
        **{"frames": 250, "observations": 300, "people": 2, "seconds_observed": 12.0, "mean": EVEN},
        **{"dominant": "happy", "transitions": 3, "stress_mean": 0.25, "stress_max": 0.75},
        **{"stress_ratio": 0.125, "happiness_ratio": 0.5},
    }
    return WindowStat(**(values | changes))


def empty_window(**changes: Any) -> WindowStat:
    nobody = dict.fromkeys(["mean", "dominant", "stress_mean", "stress_max", "stress_ratio", "happiness_ratio"])
    return window(**{"observations": 0, "people": 0, "seconds_observed": 0.0, "transitions": 0, **nobody, **changes})


def person(**changes: Any) -> Person:
    values: dict[str, Any] = {
        **{"person_id": "door-1-p1", "camera_id": "door", "run_id": "door-1"},
        **{"first_seen": START, "last_seen": START + 5 * SECOND, "observations": 125, "seconds_observed": 5.0},
    }
    return Person(**(values | changes))


def episode(**changes: Any) -> StressEpisode:
    values: dict[str, Any] = {
        **{"person_id": "door-1-p1", "camera_id": "door", "run_id": "door-1"},
        **{"started_at": START, "ended_at": START + 3 * SECOND, "stress_mean": 0.5, "stress_max": 0.875},
    }
    return StressEpisode(**(values | changes))


def dead_letter(**changes: Any) -> DeadLetter:
    values: dict[str, Any] = {
        **{"camera_id": "door", "run_id": "door-1", "seq": 7, "captured_at": START},
        **{"stage": "detector", "reason": "the picture is empty"},
    }
    return DeadLetter(**(values | changes))


def run(**changes: Any) -> Run:
    values: dict[str, Any] = {
        **{"run_id": "door-1", "camera_id": "door", "source": "rtsp://door/", "live": True},
        **{"width": 1920, "height": 1080, "started_at": START, "detector": "yunet", "model": "default"},
    }
    return Run(**(values | changes))


def some_rows(first: int = 0, observations: int = 50) -> Rows:
    return Rows(
        observations=[observation(seq) for seq in range(first, first + observations)],
        windows=[window(), window(person_id="door-1-p1", people=1), empty_window(window_start=START + 10 * SECOND)],
        people=[person()],
        episodes=[episode()],
        dead_letters=[dead_letter()],
    )


def any_seven(source: random.Random) -> Seven:
    a, b, c, d, e, f, g = (source.randrange(64) / 64 for _ in range(7))
    return (a, b, c, d, e, f, g)


def select(url: str, query: str) -> list[tuple[Any, ...]]:
    """What another program reads: with the driver alone for SQLite, in UTC."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(Path(url.removeprefix("sqlite:///")))) as connection:
            return connection.execute(query).fetchall()
    engine = create_engine(choose(url).engine.url, connect_args={"options": "-c timezone=utc"})
    try:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]
    finally:
        engine.dispose()


def make_older(url: str, version: str) -> None:
    """Makes a database as an older version did, with a row in each of TABLES."""
    from alembic import command

    backend = choose(url)
    rows: dict[str, Any] = {
        "camera": {"camera_id": "door", "created_at": to_datetime(START)},
        **{"run": as_columns(run()), "person": as_columns(person()), "observation": as_columns(observation())},
        **{"window_stat": as_columns(window(person_id="door-1-p1")), "stress_episode": as_columns(episode())},
        "dead_letter": as_columns(dead_letter()),
    }
    with backend.engine.begin() as connection:
        config = configuration()
        config.attributes["connection"] = connection
        command.upgrade(config, version)
        if connection.dialect.name == "postgresql":
            connection.execute(text("CREATE TABLE observation_default PARTITION OF observation DEFAULT"))
        for name in TABLES:
            connection.execute(metadata.tables[name].insert(), rows[name])
    backend.close()


TABLES = ("camera", "run", "person", "observation", "window_stat", "stress_episode", "dead_letter")


def everything(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables."""
    return {name: sorted(select(url, f"SELECT * FROM {name}"), key=repr) for name in TABLES}
