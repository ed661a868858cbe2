"""The servers, set up as docker-compose.yml has it: on a real Postgres and a real Redis."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
import yaml
from sqlalchemy import URL, Engine, create_engine, make_url, text
from sqlalchemy.exc import SQLAlchemyError

from contracts.rows import Rows
from contracts.settings import StorageSettings
from storage import open_store
from storage.roles import WRITER, make_roles
from tests.services.postgres import MISSING, PASSWORD, postgres_programs, postgres_server
from tests.services.processes import free_port
from tests.services.redis import MISSING as NO_REDIS
from tests.services.redis import redis_program
from tests.storage.samples import observation, run

ROOT = Path(__file__).parents[2]
AWKWARD = "it's a \\ $secret"


@contextmanager
def made() -> Iterator[URL]:
    """A server of its own with the database that the script has made; the address for its writer."""
    programs = postgres_programs()
    if programs is None:
        pytest.skip(MISSING)
    with postgres_server() as url:
        server = make_url(url)
        environment = {
            **administration(server), "POSTGRES_USER": "postgres",
            "DATABASE_PASSWORD": AWKWARD, "READER_PASSWORD": "reads",
        }  # fmt: skip
        script = ROOT / "docker" / "postgres-roles.sh"
        assert os.access(script, os.X_OK)
        subprocess.run([script], env=environment, check=True, capture_output=True)
        yield server.set(username="affectstream", password=AWKWARD, database="affectstream")


def administration(server: URL) -> dict[str, str]:
    """The environment in which Postgres' programs reach the server as its superuser."""
    return {
        **os.environ, "PATH": f"{postgres_programs()}:{os.environ['PATH']}",
        "PGUSER": "postgres", "PGPASSWORD": PASSWORD, "PGHOST": "127.0.0.1", "PGPORT": str(server.port),
    }  # fmt: skip


def written(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def reading(url: URL) -> Engine:
    """As the user that may read."""
    return create_engine(url.set(drivername="postgresql+psycopg2", username="affectstream_grafana", password="reads"))


@pytest.fixture(scope="module")
def database() -> Iterator[URL]:
    with made() as url:
        yield url


@pytest.fixture(scope="module")
def reader(database: URL) -> Iterator[Engine]:
    """After the workers have made the tables."""
    open_store(StorageSettings(url=written(database))).close()
    engine = reading(database)
    yield engine
    engine.dispose()


def names(engine: Engine, kind: str) -> list[str]:
    query = "SELECT relname FROM pg_class WHERE relkind = ANY(:kinds) AND relnamespace = 'public'::regnamespace"
    with engine.connect() as connection:
        return list(connection.scalars(text(query), {"kinds": list(kind)}))


def test_the_reader_sees_every_view_and_no_table(reader: Engine) -> None:
    views, tables = names(reader, "v"), names(reader, "rp")
    assert "camera_window" in views
    assert "camera" in tables
    for view in views:
        with reader.connect() as connection:
            connection.execute(text(f"SELECT * FROM {view}"))
    for table in tables:
        with reader.connect() as connection, pytest.raises(SQLAlchemyError, match="permission denied"):
            connection.execute(text(f"SELECT * FROM {table}"))


def test_the_reader_changes_nothing(reader: Engine) -> None:
    for statement in ("CREATE TABLE mine (a int)", "CREATE VIEW mine AS SELECT 1", "DELETE FROM camera"):
        with reader.connect() as connection:
            connection.execute(text("SET default_transaction_read_only = off"))
            connection.commit()
            with pytest.raises(SQLAlchemyError, match="permission denied"):
                connection.execute(text(statement))


def test_a_dump_fills_a_server_whose_volume_is_empty(tmp_path: Path) -> None:
    dump, rows = tmp_path / "affectstream.dump", Rows(observations=[observation(seq) for seq in range(3)])
    with made() as url:
        with open_store(StorageSettings(url=written(url))) as store:
            store.start_run(run())
            store.write(rows)
        with dump.open("wb") as file:
            saving = ["pg_dump", "-Fc", "affectstream"]
            subprocess.run(saving, env=administration(url), stdout=file, check=True)
    with made() as url:
        with dump.open("rb") as file:
            restoring = ["pg_restore", "-d", "affectstream", "--clean", "--if-exists"]
            subprocess.run(restoring, env=administration(url), stdin=file, check=True, capture_output=True)
        engine = reading(url)
        with engine.connect() as connection:
            moments = connection.scalar(text("SELECT count(*) FROM person_moment"))
        with engine.connect() as connection, pytest.raises(SQLAlchemyError, match="permission denied"):
            connection.execute(text("SELECT * FROM observation"))
        engine.dispose()
        assert moments == len(rows.observations)
        with open_store(StorageSettings(url=written(url))) as store:  # the workers go on
            store.write(rows)


def test_a_dump_of_a_database_with_further_writers_is_restored_with_their_rights_and_the_readers(
    tmp_path: Path,
) -> None:
    dump = tmp_path / "affectstream.dump"
    with made() as url:
        with open_store(StorageSettings(url=written(url))) as store:
            make_roles(store)
        with dump.open("wb") as file:
            subprocess.run(["pg_dump", "-Fc", "affectstream"], env=administration(url), stdout=file, check=True)
    with made() as url:
        with dump.open("rb") as file:
            restoring = ["pg_restore", "-d", "affectstream", "--clean", "--if-exists"]
            subprocess.run(restoring, env=administration(url), stdin=file, check=True, capture_output=True)
        making = f"CREATE ROLE further LOGIN PASSWORD 'writes' IN ROLE {WRITER}"
        subprocess.run(["psql", "-d", "postgres", "-c", making], env=administration(url), check=True)
        further = url.set(username="further", password="writes")
        with open_store(StorageSettings(url=written(further))) as store:
            store.start_run(run())
            store.write(Rows(observations=[observation()]))
        engine = reading(url)
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT count(*) FROM person_moment")) == 1
        engine.dispose()


def test_strangers_do_not_come_in(reader: Engine, database: URL) -> None:
    admin = database.set(drivername="postgresql+psycopg2", username="postgres", password=PASSWORD, database="postgres")
    engine = create_engine(admin)
    with engine.begin() as connection:
        connection.execute(text("CREATE ROLE stranger LOGIN PASSWORD 'x'"))
    engine.dispose()
    stranger = create_engine(admin.set(username="stranger", password="x", database="affectstream"))
    with pytest.raises(SQLAlchemyError, match="permission denied for database"):
        stranger.connect()


def test_redis_takes_its_configuration_and_its_password(tmp_path: Path) -> None:
    if redis_program() is None:
        pytest.skip(NO_REDIS)
    service = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["redis"]
    shell, flag, script = service["entrypoint"]
    port = free_port()
    script = script.replace("$$", "$").replace("dir /data", f"dir {tmp_path}\nport {port}\nbind 127.0.0.1")
    environment = os.environ | {"REDIS_PASSWORD": "geheim", "REDIS_MAXMEMORY": "1gb"}
    server = subprocess.Popen([shell, flag, script], env=environment, stdout=subprocess.DEVNULL)
    try:
        with redis.Redis(port=port, password="geheim") as client, redis.Redis(port=port) as stranger:
            deadline = time.monotonic() + 10
            while True:
                try:
                    client.ping()
                    break
                except redis.ConnectionError:
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
            with pytest.raises(redis.AuthenticationError):
                stranger.ping()
            wanted = {
                "appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction", "save": "",
                "maxmemory": str(2**30),
            }  # fmt: skip
            answers = {name: client.config_get(name) for name in wanted}
            assert answers == {name: {name: value} for name, value in wanted.items()}
        assert "geheim" not in Path(f"/proc/{server.pid}/cmdline").read_text()
    finally:
        server.terminate()
        assert server.wait(10) == 0  # the shell has made way: the signal comes to Redis itself
