"""Who logs in as a writer or a reader may do what that takes, and nothing more."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import ProgrammingError

from contracts.errors import InputError
from contracts.rows import Rows
from storage.roles import READER, VIEWS, WRITER, make_days, make_roles
from storage.tables import metadata
from tests.storage.samples import DAY, START, make_older, observation, opened, run, select, some_rows


@pytest.fixture
def login(postgres_url: str) -> Callable[[str], str]:
    """Makes a user with a role, and gives the URL that it logs in with."""
    with opened(postgres_url) as store:
        make_roles(store)
        make_roles(store)  # may be repeated
    parsed = make_url(postgres_url)

    def make(role: str) -> str:
        name = f"user_of_{role}_{parsed.database}"
        engine = create_engine(parsed.set(drivername="postgresql+psycopg2"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE ROLE {name} LOGIN PASSWORD 'of-the-tests' IN ROLE {role}"))
        engine.dispose()
        return parsed.set(username=name, password="of-the-tests").render_as_string(hide_password=False)

    return make


def test_a_writer_stores_rows_of_days_that_are_new(login: Callable[[str], str], postgres_url: str) -> None:
    with opened(login(WRITER)) as store:
        store.write_with_checkpoints(some_rows(), [run()], {"door": (0, b"state")})
        store.write(Rows(observations=[observation(captured_at=START + 3 * DAY)]))
        assert len(store.people(["door-1"])) == 1
    assert select(postgres_url, "SELECT count(*) FROM observation") == [(51,)]


def test_a_reader_sees_the_views_and_no_table(login: Callable[[str], str], postgres_url: str) -> None:
    with opened(postgres_url) as store:
        store.write(some_rows())
    url = login(READER)
    for view in VIEWS:
        select(url, f"SELECT * FROM {view}")
    assert len(select(url, "SELECT * FROM camera_window")) == 2
    for table in [*metadata.tables, "observation_20260101"]:
        with pytest.raises(ProgrammingError, match="permission denied"):
            select(url, f"SELECT * FROM {table}")
    with pytest.raises(ProgrammingError, match="permission denied"):
        select(url, "SELECT affectstream_make_day('2026-05-05')")
    with pytest.raises(ProgrammingError, match="permission denied"):
        select(url, "SELECT affectstream_drop_day('2026-01-01')")


def test_who_could_read_the_views_of_an_older_database_reads_all_of_todays(postgres_url: str) -> None:
    make_older(postgres_url, "0002")
    parsed = make_url(postgres_url)
    name = f"old_reader_{parsed.database}"
    engine = create_engine(parsed.set(drivername="postgresql+psycopg2"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE ROLE {name} LOGIN PASSWORD 'of-the-tests'"))
        connection.execute(text(f"GRANT SELECT ON camera_window TO {name}"))
    engine.dispose()
    opened(postgres_url).close()
    url = parsed.set(username=name, password="of-the-tests").render_as_string(hide_password=False)
    for view in VIEWS:
        select(url, f"SELECT * FROM {view}")
    with pytest.raises(ProgrammingError, match="permission denied"):
        select(url, "SELECT * FROM camera")


def test_every_view_has_its_reader(postgres_url: str) -> None:
    opened(postgres_url).close()
    found = select(postgres_url, "SELECT viewname FROM pg_views WHERE schemaname = 'public'")
    assert {name for (name,) in found} == set(VIEWS)


def test_days_are_made_ahead(postgres_url: str) -> None:
    with opened(postgres_url) as store:
        made = make_days(store, 3)
        assert made[0] == datetime.now(UTC).date().isoformat()
        assert make_days(store, 3) == made
    tables = {name for (name,) in select(postgres_url, "SELECT tablename FROM pg_tables")}
    assert {f"observation_{day.replace('-', '')}" for day in made} <= tables


def test_a_file_has_no_roles(tmp_path: object) -> None:
    with opened(f"sqlite:///{tmp_path}/test.db") as store:
        with pytest.raises(InputError, match="SQLite"):
            make_roles(store)
        assert len(make_days(store, 2)) == 2
