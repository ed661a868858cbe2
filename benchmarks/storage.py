"""How many observations a second the store takes, and how much of the disk each takes.

SQLite is measured on a new file each time, Postgres on a database that may hold the rows of others: ours are deleted in
the end.
"""

import math
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec
from sqlalchemy import Connection, delete, text

from benchmarks import checkout
from benchmarks.result import Cell, Column, Table, spread
from contracts.errors import InputError
from contracts.rows import Observation, Rows, Run, Seven, WindowStat
from contracts.settings import StorageSettings
from storage import open_store, tables
from storage.store import Store

BATCHES = (2000, 100)
CAMERA = f"bench-{secrets.token_hex(3)}"  # names as long as those of a real camera, for they are stored in every row
P: Seven = (0.1234567, 0.0345678, 0.0456789, 0.4567891, 0.1678912, 0.0789123, 0.0927)
FACES = 2
RATE = 25  # frames a second of event time
SIZE = {
    "sqlite": "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
    "postgresql": "SELECT pg_database_size(current_database())",
}


def batches(run_id: str, started_at: int, size: int, total: int) -> Iterator[Rows]:
    """What the aggregator makes of a camera that sees two people: per batch, also some windows."""
    for first in range(0, total, size):
        yield Rows(
            observations=[observation(run_id, started_at, number) for number in range(first, min(first + size, total))],
            windows=[window(run_id, started_at, first, person) for person in ("", "1", "2")],
        )


def observation(run_id: str, started_at: int, number: int) -> Observation:
    seq, face = divmod(number, FACES)
    return Observation(
        camera_id=CAMERA,
        run_id=run_id,
        seq=seq,
        face=face,
        captured_at=started_at + seq * 10**9 // RATE,
        person_id=f"{run_id}.{face + 1}",
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
        camera_id=CAMERA,
        run_id=run_id,
        person_id=person and f"{run_id}.{person}",
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


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What writing a run came to."""

    rows: int
    new: float  # seconds
    repeated: float  # seconds in which the same rows were written again, which stores nothing
    summary: float  # seconds
    bytes: float  # by which the database has grown


def measure(
    *, postgres: str | None, server: bool, rows: int, batches: Sequence[int], rounds: int, note: Callable[[str], None]
) -> list[Table]:
    """Observations into SQLite, and into Postgres where a URL is given or a server is to be started for it.

    Raises InputError for a URL that is none of Postgres, StorageError where a database refuses.
    """
    if postgres and not postgres.startswith("postgres"):
        raise InputError("--postgres wants the URL of a Postgres database: postgresql://USER@HOST/NAME")
    written: dict[tuple[str, int], list[Written]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if postgres:
            stack.callback(_delete, postgres)
        elif server:
            postgres = stack.enter_context(checkout.postgres())
        for number in range(rounds):
            note(f"round {number + 1} of {rounds}")
            for size in batches:
                urls = {"SQLite": f"sqlite:///{folder}/{size}-{number}.db", "Postgres": postgres}
                for database, url in urls.items():
                    if url is not None:
                        written.setdefault((database, size), []).append(write(url, size, rows))
    return [_table(written)]


def write(url: str, size: int, total: int) -> Written:
    """Writes `total` observations in batches of `size`, then the same again, and asks for the summary."""
    started_at = time.time_ns()
    run_id = f"{CAMERA}-{secrets.token_hex(8)}"
    run = Run(
        run_id=run_id, camera_id=CAMERA, source="benchmark", live=False, width=1, height=1, started_at=started_at,
        detector="none", model="none",
    )  # fmt: skip
    prepared = list(batches(run_id, started_at, size, total))
    with open_store(StorageSettings(url=url)) as store:
        store.start_run(run)
        before = _bytes(store)
        new = _seconds(lambda: _all(store, prepared))
        grown = _bytes(store) - before
        repeated = _seconds(lambda: _all(store, prepared))
        summary = _seconds(lambda: (store.totals([run_id]), store.people([run_id])))
    return Written(rows=total, new=new, repeated=repeated, summary=summary, bytes=grown)


def _table(written: dict[tuple[str, int], list[Written]]) -> Table:
    rows: list[list[Cell]] = [
        [
            f"{database}, {size} a transaction",
            spread([one.rows / one.new for one in each]),
            spread([one.rows / one.repeated for one in each]),
            spread([1000 * one.new / math.ceil(one.rows / size) for one in each]),
            spread([one.bytes / one.rows for one in each]),
            spread([1000 * one.summary for one in each]),
        ]
        for (database, size), each in written.items()
    ]
    (total,) = {one.rows for each in written.values() for one in each}
    return Table(
        title="observations into the store",
        columns=(
            Column("database"), Column("new", "rows/s", 0, better="higher"),
            Column("written again", "rows/s", 0, better="higher"), Column("transaction", "ms", 2, better="lower"),
            Column("on disk", "bytes per row", 0, better="lower"), Column("summary of the run", "ms", better="lower"),
        ),
        rows=rows,
        note=f"{total:,} observations of {FACES} people at {RATE} frames/s, with three windows in each transaction; on "
        "disk with indexes and windows. A server that is started for this runs without fsync.",
    )  # fmt: skip


def _all(store: Store, prepared: Sequence[Rows]) -> None:
    for rows in prepared:
        store.write(rows)


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _bytes(store: Store) -> int:
    """How large the database is."""

    def ask(connection: Connection) -> int:
        return int(connection.execute(text(SIZE[connection.dialect.name])).scalar_one())

    return store.transact(ask, write=False)


def _delete(url: str) -> None:
    """Takes our rows out of a database that is not ours."""

    def work(connection: Connection) -> None:
        for table in (tables.observation, tables.window_stat, tables.run, tables.camera):
            connection.execute(delete(table).where(table.c.camera_id == CAMERA))

    with open_store(StorageSettings(url=url)) as store:
        store.transact(work)
