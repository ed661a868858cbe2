"""One filled database of each kind, served to all tests that only look."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dashboards.api.serving import Looking, configured, serving
from tests.services.postgres import MISSING, postgres_programs, postgres_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of an empty database."""
    if postgres_programs() is None:
        pytest.skip(MISSING)
    with postgres_server() as url:
        yield url


@pytest.fixture
def url(tmp_path: Path) -> str:
    """An empty database."""
    return f"sqlite:///{tmp_path / 'test.db'}"


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Looking]:
    """`door` has been watched, `hall` is being watched; not to be changed."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('api') / 'test.db'}"
    else:
        url = request.getfixturevalue("postgres")
    with serving(configured(url)) as looking:
        looking.watch("door")
        looking.watch("hall", ended=False, seconds=20)
        yield looking
