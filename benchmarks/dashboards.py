"""How long the panels of the Grafana dashboards take to ask when much is stored.

    python -m benchmarks.dashboards [--observations 10000000] [--days 30] [--cameras 6] [--json FILE]
    python -m benchmarks.dashboards --database URL --days 30      # data that is there already

Makes the data of `benchmarks.history` in a Postgres server of its own, expands Grafana's macros as it does for a panel
of 1000 points, all cameras chosen, and asks over the last hour, day and all days. A question counts until its last row
has arrived here.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import track
from rich.table import Table
from sqlalchemy import Connection, create_engine

from benchmarks import checkout
from benchmarks.month import FIRST_DAY, make
from benchmarks.result import from_shell, positive
from contracts.errors import InputError, StorageError
from contracts.settings import Settings
from dashboards.grafana.catalog import Asked, queries
from dashboards.grafana.macros import Range, Value, expand, last
from storage.choosing import choose

RANGES: Final = {"1 h": timedelta(hours=1), "24 h": timedelta(days=1)}


def measure(connection: Connection, days: int, repeats: int) -> Iterator[dict[str, Any]]:
    """Asks everything over each range, after once for nothing; milliseconds."""
    noon = datetime.combine(FIRST_DAY, datetime.min.time(), UTC) + timedelta(days=days - 0.5)
    ranges = {name: last(length, noon) for name, length in RANGES.items()}
    ranges[f"{days} d"] = last(timedelta(days=days), noon + timedelta(days=0.5))
    cameras = list(connection.exec_driver_sql("SELECT camera_id FROM camera_summary").scalars())
    asked = [query for query in queries(Settings()) if query.language == "sql"]
    for name, shown in ranges.items():
        variables: dict[str, Value] = {"camera": cameras, "person": _somebody(connection, shown)}
        for query in track(asked, name, console=Console(stderr=True), transient=True):
            yield {"range": name, "query": str(query), **_time(connection, _sent(query, shown, variables), repeats)}


def _somebody(connection: Connection, shown: Range) -> str:
    """Who was seen for long in this range. Raises InputError where nobody was."""
    query = (
        "SELECT person_id FROM person_summary WHERE last_seen BETWEEN %s AND %s "
        "ORDER BY seconds_observed DESC, person_id LIMIT 1"
    )
    somebody = connection.exec_driver_sql(query, (shown.start, shown.end)).scalar_one_or_none()
    if somebody is None:
        raise InputError(f"the database has nobody between {shown.start} and {shown.end}: is it of `benchmarks.month`?")
    return str(somebody)


def _sent(query: Asked, shown: Range, variables: dict[str, Value]) -> str:
    return expand(query.text, shown, variables, least=(query.panel or {}).get("interval"))


def _time(connection: Connection, sql: str, repeats: int) -> dict[str, Any]:
    taken, rows = [], 0
    for _ in range(repeats + 1):
        began = time.perf_counter()
        rows = len(connection.exec_driver_sql(sql.replace("%", "%%")).all())
        taken.append(1000 * (time.perf_counter() - began))
    return {"rows": rows, "median_ms": round(statistics.median(taken[1:]), 1), "worst_ms": round(max(taken[1:]), 1)}


@contextmanager
def _database(arguments: argparse.Namespace) -> Iterator[str]:
    if arguments.database:
        yield arguments.database
        return
    with checkout.postgres(shared_buffers="128MB") as url:
        made = make(url, arguments.observations, arguments.days, arguments.cameras)
        for _ in track(made, "making the data", arguments.days, console=Console(stderr=True), transient=True):
            pass
        engine = create_engine(choose(url).engine.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql("VACUUM (ANALYZE)")  # a server does this by itself within minutes
        engine.dispose()
        yield url


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--observations", type=positive, default=10_000_000, help="about so many")
    parser.add_argument("--days", type=positive, default=30, help="spread over so many days")
    parser.add_argument("--cameras", type=positive, default=6, help="seen by so many cameras")
    parser.add_argument("--database", metavar="URL", help="a Postgres that has such data already")
    parser.add_argument("--repeats", type=positive, default=10, help="how many times each is asked")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    arguments = parser.parse_args()
    with _database(arguments) as url:
        database = choose(url)
        try:
            with database.engine.connect() as connection:
                results = list(measure(connection, arguments.days, arguments.repeats))
        except database.driver_errors as error:
            raise StorageError(database.explain(error)) from error
        finally:
            database.close()
    table = Table("query", *(f"{name}, ms" for name in dict.fromkeys(result["range"] for result in results)))
    for query in dict.fromkeys(result["query"] for result in results):
        table.add_row(query, *(f"{result['median_ms']:,}" for result in results if result["query"] == query))
    Console().print(table)
    if arguments.json:
        report = {"machine": platform.processor() or platform.machine(), "results": results}
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    from_shell(main)
