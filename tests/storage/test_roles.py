"""Who logs in as a writer or a reader may do what that takes, and nothing more."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.exc import ProgrammingError

from contracts.errors import InputError, StorageError
from contracts.rows import Rows
from storage.roles import READER, VIEWS, WRITER, make_days, make_roles
from storage.tables import metadata
from tests.services.postgres import MISSING, postgres_programs, postgres_server
from tests.storage.samples import DAY, START, make_older, observation, opened, run, select, some_rows


@contextmanager
def changing(url: str) -> Iterator[Connection]:
    """Behind the store's back; each statement at once."""
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg2"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.fixture
def own_server() -> Iterator[str]:
    """A server on which nobody has made the roles yet: they belong to all its databases."""
    if postgres_programs() is None:
        pytest.skip(MISSING)
    with postgres_server() as url:
        yield url


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


def test_a_writer_stores_rows_where_the_database_is_closed_to_everybody_else(own_server: str) -> None:
    parsed = make_url(own_server)
    with changing(own_server) as connection:
        connection.execute(text(f'REVOKE ALL ON DATABASE "{parsed.database}" FROM PUBLIC'))
        with opened(own_server) as store:
            make_roles(store)
        for role in (WRITER, READER):
            connection.execute(text(f"CREATE ROLE user_of_{role} LOGIN PASSWORD 'of-the-tests' IN ROLE {role}"))
    user = {role: parsed.set(username=f"user_of_{role}", password="of-the-tests") for role in (WRITER, READER)}
    with opened(user[WRITER].render_as_string(hide_password=False)) as store:
        store.write(some_rows())
    with changing(user[READER].render_as_string(hide_password=False)) as connection:
        assert connection.scalar(text("SELECT count(*) FROM person_summary"))


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


PLANTED = (
    "to_char(date, text)", "format(text, text)", "format(text, text, text)", "format(text, text, text, text)",
    "format(text, text, text, text, text, text)", "to_regclass(text)", "glue(text, date)", "glue(date, text)",
)  # fmt: skip
"""Functions that fit better than those of the system, where a call is not exact."""


def test_what_others_plant_in_the_schema_does_not_run_with_the_owners_rights(
    login: Callable[[str], str], postgres_url: str
) -> None:
    stranger = login(READER)
    with changing(postgres_url) as connection:
        connection.execute(text(f"GRANT CREATE ON SCHEMA public TO {make_url(stranger).username}"))
    body = "LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'planted, as %', current_user; END $$"
    with changing(stranger) as connection:
        for signature in PLANTED:
            connection.execute(text(f"CREATE FUNCTION public.{signature} RETURNS text {body}"))
        for left, right in (("text", "date"), ("date", "text")):
            glue = f"LEFTARG = {left}, RIGHTARG = {right}, FUNCTION = public.glue"
            connection.execute(text(f"CREATE OPERATOR public.|| ({glue})"))
    with opened(postgres_url) as store:
        make_roles(store)
    with opened(login(WRITER)) as store:
        store.write(Rows(observations=[observation(captured_at=START + 3 * DAY)]))
        assert store.drop_day(store.days()[0]) == 1
    assert select(postgres_url, "SELECT to_regclass('observation_20260104') IS NULL") == [(True,)]


def test_nobody_but_the_owner_may_make_anything_in_the_schema(login: Callable[[str], str], postgres_url: str) -> None:
    with changing(postgres_url) as connection:
        connection.execute(text("GRANT CREATE ON SCHEMA public TO PUBLIC"))
    with opened(postgres_url) as store:
        make_roles(store)
    for role in (WRITER, READER):
        with pytest.raises(ProgrammingError, match="permission denied for schema public"), changing(login(role)) as one:
            one.execute(text("CREATE TABLE mine (id integer)"))


def test_who_owns_the_tables_owns_the_functions_and_may_make_other_tables(postgres_url: str) -> None:
    parsed = make_url(postgres_url)
    name = f"owner_of_{parsed.database}"
    with changing(postgres_url) as connection:
        connection.execute(text("GRANT CREATE ON SCHEMA public TO PUBLIC"))
        connection.execute(text(f"CREATE ROLE {name} LOGIN PASSWORD 'of-the-tests'"))
    url = parsed.set(username=name, password="of-the-tests").render_as_string(hide_password=False)
    opened(url).close()
    with opened(postgres_url) as store:
        make_roles(store)
    with opened(url) as store:
        assert len(make_days(store, 2)) == 2
    with changing(url) as connection:
        connection.execute(text("CREATE TABLE of_the_next_version (id integer)"))
    owners = "SELECT DISTINCT proowner::regrole::text FROM pg_proc WHERE proname LIKE 'affectstream%day'"
    assert select(postgres_url, owners) == [(name,)]


def test_tables_in_a_schema_of_their_own_have_their_functions_there(postgres_url: str) -> None:
    with changing(postgres_url) as connection:
        connection.execute(text('CREATE SCHEMA "Faces"'))
    url = postgres_url + "?options=-csearch_path%3D%22Faces%22"
    with opened(url) as store:
        make_roles(store)
        store.write(some_rows())
        assert [store.drop_day(day) for day in store.days()] == [50]


def test_a_reader_is_told_to_become_a_writer_and_never_the_owner(login: Callable[[str], str]) -> None:
    url = login(READER)
    with pytest.raises(StorageError, match=f"GRANT {WRITER} TO {make_url(url).username} ") as caught:
        opened(url)
    assert "OWNER" not in str(caught.value)


def test_an_owner_who_may_not_make_roles_is_told_so(own_server: str) -> None:
    parsed = make_url(own_server)
    with changing(own_server) as connection:
        connection.execute(text("CREATE ROLE plain LOGIN PASSWORD 'of-the-tests'"))
        connection.execute(text("CREATE DATABASE faces OWNER plain"))
    mine = parsed.set(username="plain", password="of-the-tests", database="faces")
    with opened(mine.render_as_string(hide_password=False)) as store:
        with pytest.raises(InputError, match=f"plain needs CREATEROLE to make {WRITER} and {READER}; as a superuser"):
            make_roles(store)
        with changing(own_server) as connection:
            for role in (WRITER, READER):
                connection.execute(text(f"CREATE ROLE {role} NOLOGIN"))
        make_roles(store)  # they are there: it is only about their rights


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
