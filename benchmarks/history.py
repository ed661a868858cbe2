"""How long questions take when much is stored: the views, asked in a real Postgres.

    python -m benchmarks.history [--observations 10000000] [--days 30] [--cameras 6] [--json FILE]

Starts a Postgres server of its own with the default settings, except that it does not wait for the disk, and makes the
data inside it (minutes, and 0.5 GB per million observations). A question counts until its last row has arrived here.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from rich.console import Console
from rich.progress import track
from rich.table import Table
from sqlalchemy import Connection, create_engine, text

from benchmarks import checkout
from benchmarks.month import FIRST_DAY, make
from benchmarks.result import from_shell, positive
from contracts.emotions import EMOTIONS
from storage.choosing import choose

T = TypeVar("T")


class Question(NamedTuple):
    """A question in SQL; it may use the parameters of `parameters()`."""

    name: str
    sql: str


_MEANS: Final = ", ".join(f"mean_{emotion}" for emotion in EMOTIONS)
_MIX: Final = ", ".join(f"sum(mean_{e} * seconds_observed) / sum(seconds_observed) AS {e}" for e in EMOTIONS)
_STRESS: Final = "sum(stress_ratio * seconds_observed) / sum(seconds_observed) AS stress_ratio"
_SUMS: Final = f"sum(people) AS people, sum(seconds_observed) AS seconds_observed, {_MIX}, {_STRESS}"
_MONTH: Final = "window_start >= :start AND window_start < :end AND observations > 0"

QUESTIONS: Final[Sequence[Question]] = (
    Question(
        "a person's day, frame by frame",
        "SELECT * FROM person_moment WHERE person_id = :person AND captured_at >= :day AND captured_at < :next_day "
        "ORDER BY captured_at",
    ),
    Question(
        "a person, frame by frame, without a day",
        "SELECT * FROM person_moment WHERE person_id = :person ORDER BY captured_at",
    ),
    Question(
        "everybody before a camera in ten minutes, frame by frame",
        "SELECT * FROM person_moment WHERE camera_id = :camera AND captured_at >= :noon "
        "AND captured_at < CAST(:noon AS timestamptz) + interval '10 minutes' ORDER BY captured_at",
    ),
    Question(
        "a person's timeline, windows of 10 s",
        f"SELECT window_start, {_MEANS}, dominant, stress_mean FROM person_window "
        "WHERE person_id = :person AND window_seconds = 10 ORDER BY window_start",
    ),
    Question(
        "everybody at a camera in an hour, windows of 10 s",
        "SELECT * FROM person_window WHERE camera_id = :camera AND window_seconds = 10 "
        "AND window_start >= :noon AND window_start < CAST(:noon AS timestamptz) + interval '1 hour' "
        "ORDER BY window_start",
    ),
    Question("a person's summary", "SELECT * FROM person_summary WHERE person_id = :person"),
    Question("the latest 100 people", "SELECT * FROM person_summary ORDER BY last_seen DESC LIMIT 100"),
    Question(
        "the latest 100 people of a camera",
        "SELECT * FROM person_summary WHERE camera_id = :camera ORDER BY last_seen DESC LIMIT 100",
    ),
    Question(
        "the ten of a camera's day who were stressed most",
        "SELECT * FROM person_summary WHERE camera_id = :camera AND last_seen >= :day AND last_seen < :next_day "
        "ORDER BY stress_ratio DESC NULLS LAST LIMIT 10",
    ),
    Question(
        "everybody who was at a camera in a week",
        "SELECT * FROM person_summary WHERE camera_id = :camera "
        "AND last_seen >= CAST(:day AS timestamptz) - interval '7 days' AND last_seen < :day",
    ),
    Question(
        "a camera's month by hour, from windows of 900 s",
        f"SELECT date_trunc('hour', window_start) AS hour, {_SUMS} FROM camera_window "
        f"WHERE camera_id = :camera AND window_seconds = 900 AND {_MONTH} GROUP BY hour ORDER BY hour",
    ),
    Question(
        "a camera's month by hour, from windows of 60 s",
        f"SELECT date_trunc('hour', window_start) AS hour, {_SUMS} FROM camera_window "
        f"WHERE camera_id = :camera AND window_seconds = 60 AND {_MONTH} GROUP BY hour ORDER BY hour",
    ),
    Question(
        "a camera's month by hour of the day",
        f"SELECT extract(hour FROM window_start) AS hour, {_SUMS} FROM camera_window "
        f"WHERE camera_id = :camera AND window_seconds = 900 AND {_MONTH} GROUP BY hour ORDER BY hour",
    ),
    Question(
        "a camera's day by minute",
        "SELECT * FROM camera_window WHERE camera_id = :camera AND window_seconds = 60 "
        "AND window_start >= :day AND window_start < :next_day ORDER BY window_start",
    ),
    Question(
        "all cameras over the month, by day",
        f"SELECT camera_id, date_trunc('day', window_start) AS day, {_SUMS} FROM camera_window "
        f"WHERE window_seconds = 900 AND {_MONTH} GROUP BY camera_id, day ORDER BY camera_id, day",
    ),
    Question(
        "all cameras in the last hour, windows of 10 s",
        "SELECT * FROM camera_window WHERE window_seconds = 10 "
        "AND window_start >= CAST(:end AS timestamptz) - interval '1 hour' ORDER BY window_start",
    ),
    Question(
        "a camera's episodes in the month",
        "SELECT * FROM episode WHERE camera_id = :camera AND started_at >= :start AND started_at < :end "
        "ORDER BY started_at DESC",
    ),
    Question("the ten longest episodes of all", "SELECT * FROM episode ORDER BY seconds DESC LIMIT 10"),
    Question("how the cameras stand", "SELECT * FROM camera_summary ORDER BY camera_id"),
    Question("a camera's runs", "SELECT * FROM camera_run WHERE camera_id = :camera ORDER BY started_at DESC"),
    Question(
        "a camera's dead frames in the month",
        "SELECT * FROM dead_frame WHERE camera_id = :camera AND captured_at >= :start AND captured_at < :end "
        "ORDER BY captured_at",
    ),
)


def parameters(connection: Connection, days: int) -> dict[str, Any]:
    """What the questions ask about: a camera, somebody who was seen for long in the midst of the month, and times."""
    start = datetime.combine(FIRST_DAY, datetime.min.time(), UTC)
    day = start + timedelta(days=days // 2)
    longest = text(
        "SELECT person_id FROM person WHERE camera_id = 'camera-1' AND first_seen >= :day AND last_seen < :next_day "
        "ORDER BY observations DESC LIMIT 1"
    )
    times = {"day": day, "next_day": day + timedelta(days=1)}
    person = connection.scalar(longest, times)
    month = {"start": start, "end": start + timedelta(days=days), "noon": day + timedelta(hours=12)}
    return {"camera": "camera-1", "person": person, **times, **month}


def measure(
    connection: Connection, questions: Sequence[Question], values: Mapping[str, Any], repeats: int
) -> list[dict[str, Any]]:
    """Asks each question so many times, after once for nothing; milliseconds, and how many rows it has."""
    results = []
    for question in _shown(questions, "asking"):
        taken, rows = [], 0
        for _ in range(repeats + 1):
            began = time.perf_counter()
            rows = len(connection.execute(text(question.sql), dict(values)).all())
            taken.append(1000 * (time.perf_counter() - began))
        median, worst = (round(value, 1) for value in (statistics.median(taken[1:]), max(taken[1:])))
        results.append({"question": question.name, "rows": rows, "median_ms": median, "worst_ms": worst})
    return results


def _shown(things: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
    console = Console(stderr=True)
    return track(things, what, total, console=console, transient=True, disable=not console.is_terminal)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--observations", type=positive, default=10_000_000, help="about so many")
    parser.add_argument("--days", type=positive, default=30, help="spread over so many days")
    parser.add_argument("--cameras", type=positive, default=6, help="seen by so many cameras")
    parser.add_argument("--repeats", type=positive, default=20, help="how many times each question is asked")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    arguments = parser.parse_args()
    with checkout.postgres(shared_buffers="128MB") as url:
        began = time.perf_counter()
        made = make(url, arguments.observations, arguments.days, arguments.cameras)
        for _ in _shown(made, "making the data", arguments.days):
            pass
        engine = create_engine(choose(url).engine.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            # A server does this by itself within minutes (autovacuum).
            connection.execute(text("VACUUM (ANALYZE)"))
            seconds = time.perf_counter() - began
            counts = {
                name: connection.scalar(text(f"SELECT count(*) FROM {name}"))
                for name in ("observation", "window_stat", "person", "stress_episode")
            }
            size = connection.scalar(text("SELECT pg_database_size(current_database())")) or 0
            version = connection.scalar(text("SHOW server_version"))
            results = measure(connection, QUESTIONS, parameters(connection, arguments.days), arguments.repeats)
        engine.dispose()
    table = Table(*(name.replace("_", " ") for name in results[0]))
    for result in results:
        table.add_row(*(f"{value:,}" if not isinstance(value, str) else value for value in result.values()))
    held = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    Console().print(table, f"Postgres {version}; {held}; {size / 1e9:.1f} GB, made in {seconds:.0f} s")
    if arguments.json:
        figures = {"machine": platform.processor() or platform.machine(), "postgres": version, "rows": counts}
        report = {**figures, "bytes": size, "seconds_to_make": round(seconds), "results": results}
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    from_shell(main)
