"""The tables are what the code thinks they are, and nobody else's are touched."""

import multiprocessing
import sqlite3
from contextlib import closing
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from contracts.errors import StorageError
from contracts.rows import Rows
from storage.choosing import choose
from storage.schema import HEAD, belongs, configuration
from storage.tables import VERSION_TABLE, metadata
from tests.storage.samples import DAY, START, everything, make_older, observation, opened, run, select, some_rows


def execute(url: str, *statements: str) -> None:
    """Does something to the database behind the store's back."""
    engine = create_engine(choose(url).engine.url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def test_the_migrations_make_the_tables_that_the_code_expects(url: str) -> None:
    with opened(url) as store:
        store.write(some_rows())  # in Postgres, with a partition
    engine = create_engine(choose(url).engine.url)
    with engine.connect() as connection:
        options = {"version_table": VERSION_TABLE, "include_name": belongs, "compare_type": True}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
    engine.dispose()


def test_the_schema_of_this_version_is_the_last_migration() -> None:
    assert ScriptDirectory.from_config(configuration()).get_heads() == [HEAD]


def test_columns_say_what_they_mean(postgres_url: str) -> None:
    with opened(postgres_url):
        pass
    mute = (
        "SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid WHERE c.relkind IN ('r', 'p', 'v') "
    )
    mute += "AND c.relnamespace = 'public'::regnamespace AND attnum > 0 AND col_description(c.oid, attnum) IS NULL"
    assert select(postgres_url, f"{mute} AND relname <> '{VERSION_TABLE}'") == [(0,)]


def test_views_say_what_they_show(postgres_url: str) -> None:
    with opened(postgres_url):
        pass
    mute = "SELECT relname FROM pg_class WHERE relkind = 'v' AND relnamespace = 'public'::regnamespace "
    assert select(postgres_url, f"{mute} AND obj_description(oid, 'pg_class') IS NULL") == []


def test_an_older_database_is_upgraded_and_keeps_its_rows(url: str) -> None:
    make_older(url, "0002")
    before = everything(url)
    assert all(before.values())
    opened(url).close()
    assert everything(url) == before
    assert select(url, f"SELECT version_num FROM {VERSION_TABLE}") == [(HEAD,)]
    assert select(url, "SELECT camera_id, runs, people, dead_letters FROM camera_summary") == [("door", 1, 1, 1)]
    assert select(url, "SELECT person_id, dominant, stress_episodes FROM person_summary") == [("door-1-p1", "happy", 1)]
    assert select(url, "SELECT count(*) FROM person_moment") == [(1,)]


def open_and_write(url: str, number: int, go: Barrier) -> None:
    go.wait(30)
    with opened(url) as store:
        store.start_run(run(run_id=f"run-{number}"))
        rows = [observation(seq, run_id=f"run-{number}", captured_at=START + seq * DAY) for seq in range(4)]
        store.write(Rows(observations=rows))


def test_processes_that_open_a_new_database_at_once_all_get_it(url: str) -> None:
    context = multiprocessing.get_context("spawn")
    go = context.Barrier(3)
    processes = [context.Process(target=open_and_write, args=(url, number, go)) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert select(url, "SELECT count(*) FROM run") == [(3,)]
    assert select(url, "SELECT count(*) FROM observation") == [(12,)]
    assert select(url, f"SELECT version_num FROM {VERSION_TABLE}") == [(HEAD,)]


def test_a_newer_schema_is_refused_and_left_alone(url: str) -> None:
    with opened(url) as store:
        store.write(some_rows())
    execute(url, f"UPDATE {VERSION_TABLE} SET version_num = '0042'")
    before = everything(url)
    with pytest.raises(
        StorageError, match=r"was written by a newer affectstream \(schema 0042\); upgrade affectstream"
    ):
        opened(url)
    assert everything(url) == before


def test_another_programs_database_is_refused_and_left_alone(url: str) -> None:
    execute(url, "CREATE TABLE customer (id INTEGER)", "INSERT INTO customer VALUES (1)")
    with pytest.raises(StorageError, match=r"belongs to another program \(it has customer\)"):
        opened(url)
    assert select(url, "SELECT * FROM customer") == [(1,)]
    with pytest.raises(Exception, match=VERSION_TABLE):
        select(url, f"SELECT * FROM {VERSION_TABLE}")


@pytest.mark.parametrize("prepare", ["PRAGMA journal_mode = WAL", "PRAGMA user_version = 3"])
def test_another_programs_file_keeps_every_byte(tmp_path: Path, prepare: str) -> None:
    file = tmp_path / "other.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(prepare)
        connection.execute("CREATE TABLE customer (id INTEGER)")
        connection.commit()
    before = file.read_bytes()
    with pytest.raises(StorageError, match="belongs to another program"):
        opened(str(file))
    assert file.read_bytes() == before


def test_another_programs_file_is_known_by_its_mark(tmp_path: Path) -> None:
    file = tmp_path / "other.gpkg"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA application_id = 1196444487")
    before = file.read_bytes()
    with pytest.raises(StorageError, match="belongs to another program; give affectstream a database of its own"):
        opened(str(file))
    assert file.read_bytes() == before


def test_days_get_their_partition_when_they_come(postgres_url: str) -> None:
    def partitions() -> list[str]:
        query = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'observation'::regclass ORDER BY 1"
        return [name for (name,) in select(postgres_url, query)]

    with opened(postgres_url) as store, opened(postgres_url) as other:
        assert partitions() == []
        store.write(some_rows())
        other.write(some_rows(25))
        assert partitions() == ["observation_20260101"]
        edge = [observation(100, captured_at=START + DAY - 1), observation(101, captured_at=START + DAY)]
        other.write(Rows(observations=edge))
        assert partitions() == ["observation_20260101", "observation_20260102"]
        assert select(postgres_url, "SELECT count(*) FROM observation_20260102") == [(1,)]
        # The retention of another process drops a day that this one thinks is there.
        execute(postgres_url, "DROP TABLE observation_20260101")
        store.write(some_rows())
        assert select(postgres_url, "SELECT count(*) FROM observation_20260101") == [(50,)]
    indexes = "SELECT count(*) FROM pg_indexes WHERE tablename = 'observation_20260102' AND indexdef LIKE '%brin%'"
    assert select(postgres_url, indexes) == [(1,)]
