"""Every promise of the store is held to on SQLite and on a real Postgres."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from storage.store import Store
from tests.services.postgres import MISSING, postgres_programs, postgres_server
from tests.storage.samples import opened


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a server's superuser."""
    if postgres_programs() is None:
        pytest.skip(MISSING)
    with postgres_server() as url:
        yield url


@pytest.fixture(scope="session")
def new_database(postgres: str) -> Iterator[Callable[[], str]]:
    """Makes an empty database on the server, and gives its URL."""
    numbers = count()
    engine = create_engine(postgres.replace("postgresql:", "postgresql+psycopg2:"), isolation_level="AUTOCOMMIT")

    def make() -> str:
        name = f"test_{next(numbers)}"
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        return make_url(postgres).set(database=name).render_as_string(hide_password=False)

    yield make
    engine.dispose()


@pytest.fixture
def postgres_url(new_database: Callable[[], str]) -> str:
    """An empty database of its own."""
    return new_database()


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'test.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with opened(url) as store:
        yield store
