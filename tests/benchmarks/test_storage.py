"""`affectstream bench storage` measures both databases, and leaves a database of yours as it was."""

from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from benchmarks import checkout, storage
from benchmarks.result import Table, middle, read
from contracts.errors import InputError
from pipeline.cli import main
from tests.services.postgres import MISSING, postgres_programs, postgres_server

BATCHES = (7, 30)


def measured(*, postgres: str | None = None, server: bool = False) -> Table:
    (table,) = storage.measure(
        postgres=postgres, server=server, rows=60, batches=BATCHES, rounds=2, note=lambda line: None
    )
    assert all((middle(cell) or 0) > 0 for row in table.rows for cell in row[1:])
    return table


def test_sqlite_is_measured_for_every_size_of_transaction(tmp_path: Path) -> None:
    sizes = [part for size in BATCHES for part in ("--batch", str(size))]
    with pytest.raises(SystemExit) as left:
        main(["bench", "storage", *sizes, "--rows", "60", "--rounds", "2", "--json", str(tmp_path / "made.json")])
    assert not left.value.code
    (table,) = read(tmp_path / "made.json").tables
    assert [row[0] for row in table.rows] == [f"SQLite, {size} a transaction" for size in BATCHES]


@pytest.mark.skipif(postgres_programs() is None, reason=MISSING)
def test_nothing_of_it_is_left_in_a_database_of_yours() -> None:
    with postgres_server() as url:
        names = {str(row[0]).partition(",")[0] for row in measured(postgres=url).rows}
        engine = create_engine(make_url(url).set(drivername="postgresql+psycopg2"))
        with engine.connect() as connection:
            left = {
                table: connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()
                for table in ("observation", "window_stat", "run", "camera")
            }
        engine.dispose()
    assert names == {"SQLite", "Postgres"}
    assert left == dict.fromkeys(left, 0)


def test_another_kind_of_database_is_refused() -> None:
    with pytest.raises(InputError, match="postgresql://"):
        measured(postgres="sqlite:///some.db")


def test_servers_are_started_from_a_checkout_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkout, "HOUSE", tmp_path)
    with pytest.raises(InputError, match="checkout"):
        measured(server=True)
    with pytest.raises(InputError, match="checkout"), checkout.servers():
        pass


def test_what_a_benchmark_misses_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.services.redis.redis_program", lambda: None)
    monkeypatch.setattr("tests.services.postgres.postgres_programs", lambda: None)
    with pytest.raises(InputError, match="redis-server"), checkout.servers():
        pass
    with pytest.raises(InputError, match="Postgres"):
        measured(server=True)
    monkeypatch.setattr(checkout, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"psutil.*\[dev\]"):
        measured(server=True)


def test_a_transaction_of_fewer_rows_than_it_may_have_takes_as_long_as_it_took() -> None:
    once = storage.Written(rows=100, new=0.1, repeated=0.1, summary=0.1, bytes=1.0)
    (row,) = storage._table({("SQLite", 2000): [once]}).rows
    assert middle(row[3]) == pytest.approx(100.0)
