"""How many observations a second the store takes.

    python -m benchmarks.storage [--postgres URL | --server] [--json FILE]

SQLite is measured on a file in a temporary folder, Postgres on the database given, which is left with the rows of one
run named `benchmark-…`; --server starts a server of its own for it (without fsync, as for the tests).
"""

import argparse
import contextlib
import json
import platform
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from contracts.rows import Observation, Rows, Run, Seven, WindowStat
from contracts.settings import StorageSettings
from storage import open_store

P: Seven = (0.1234567, 0.0345678, 0.0456789, 0.4567891, 0.1678912, 0.0789123, 0.0927)
FACES = 2
RATE = 25  # frames a second of event time


def batches(run_id: str, started_at: int, size: int, total: int) -> Iterator[Rows]:
    """What the aggregator makes of a camera that sees two people: per batch, also some windows."""
    for first in range(0, total, size):
        yield Rows(
            observations=[observation(run_id, started_at, number) for number in range(first, min(first + size, total))],
            windows=[window(run_id, started_at, first, person) for person in ("", "p0", "p1")],
        )


def observation(run_id: str, started_at: int, number: int) -> Observation:
    seq, face = divmod(number, FACES)
    return Observation(
        camera_id="benchmark",
        run_id=run_id,
        seq=seq,
        face=face,
        captured_at=started_at + seq * 10**9 // RATE,
        person_id=f"{run_id}-p{face}",
        x=101.25 + face,
        y=203.5,
        width=96.125,
        height=118.0,
        score=0.9123,
        probabilities=P,
        smoothed=P,
        dominant="happy",
        stress=0.3712345,
        stressed=False,
    )


def window(run_id: str, started_at: int, first: int, person: str) -> WindowStat:
    start = started_at // 10**10 * 10**10 + first // FACES // RATE * 10**9
    return WindowStat(
        camera_id="benchmark",
        run_id=run_id,
        person_id=person and f"{run_id}-{person}",
        window_seconds=10,
        window_start=start,
        frames=10 * RATE,
        observations=10 * RATE,
        people=1,
        seconds_observed=10.0,
        mean=P,
        dominant="happy",
        transitions=1,
        stress_mean=0.25,
        stress_max=0.5,
        stress_ratio=0.125,
        happiness_ratio=0.5,
    )


def measure(url: str, size: int, total: int) -> dict[str, Any]:
    """Writes `total` observations in batches of `size`, then the same again, which stores nothing."""
    started_at = time.time_ns()
    run_id = f"benchmark-{size}-{started_at}"
    with open_store(StorageSettings(url=url)) as store:
        run = Run(
            run_id=run_id,
            camera_id="benchmark",
            source="benchmark",
            live=False,
            width=1,
            height=1,
            started_at=started_at,
            detector="none",
            model="none",
        )
        store.start_run(run)
        seconds = {}
        prepared = list(batches(run_id, started_at, size, total))
        for what in ("new", "repeated"):
            began = time.perf_counter()
            for rows in prepared:
                store.write(rows)
            seconds[what] = time.perf_counter() - began
        began = time.perf_counter()
        store.totals([run_id])
        store.people([run_id])
        summary = time.perf_counter() - began
    return {
        "batch": size,
        "observations": total,
        "rows_per_second": round(total / seconds["new"]),
        "repeated_rows_per_second": round(total / seconds["repeated"]),
        "milliseconds_per_batch": round(1000 * seconds["new"] * size / total, 2),
        "summary_milliseconds": round(1000 * summary, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--postgres", metavar="URL", help="a Postgres database to write to")
    parser.add_argument("--server", action="store_true", help="start a Postgres server for it")
    parser.add_argument("--rows", type=int, default=100_000, help="observations per measurement")
    parser.add_argument("--batch", type=int, action="append", help="observations per transaction; repeatable")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    arguments = parser.parse_args()
    sizes = arguments.batch or [2000, 100]
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        urls = {"sqlite": f"sqlite:///{folder}/benchmark.db"}
        if arguments.server:
            from tests.services.postgres import postgres_server

            urls["postgres"] = stack.enter_context(postgres_server())
        if arguments.postgres:
            urls["postgres"] = arguments.postgres
        results = [
            {"database": database, **measure(url, size, arguments.rows)}
            for database, url in urls.items()
            for size in sizes
        ]
        bytes_each = (folder / "benchmark.db").stat().st_size / (arguments.rows * len(sizes))
    table = Table(*(name.replace("_", " ") for name in results[0]))
    for result in results:
        table.add_row(*(f"{value:,}" if not isinstance(value, str) else value for value in result.values()))
    Console().print(table, f"SQLite: {bytes_each:.0f} bytes an observation")
    if arguments.json:
        figures = {"machine": platform.processor() or platform.machine(), "python": platform.python_version()}
        report = {**figures, "sqlite_bytes_per_observation": round(bytes_each), "results": results}
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
