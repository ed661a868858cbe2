"""A real Redis for the tests of the distributed mode."""

from collections.abc import Iterator

import pytest
from redis import Redis

from contracts.settings import RedisSettings
from pipeline.link import Link
from tests.pipeline.distributed.cluster import Cluster, cluster
from tests.pipeline.distributed.redis_side import link_to, redis_settings
from tests.services.postgres import MISSING as NO_POSTGRES
from tests.services.postgres import postgres_programs
from tests.services.redis import MISSING, RedisServer, redis_program, redis_server


@pytest.fixture(scope="module")
def _server() -> Iterator[RedisServer]:
    if redis_program() is None:
        pytest.skip(MISSING)
    with redis_server() as server:
        yield server


@pytest.fixture
def server(_server: RedisServer) -> RedisServer:
    """Running and empty."""
    with _server.client() as client:
        client.flushall()
    return _server


@pytest.fixture
def settings(server: RedisServer) -> RedisSettings:
    return redis_settings(server)


@pytest.fixture
def redis(server: RedisServer) -> Iterator["Redis"]:
    with server.client() as client:
        yield client


@pytest.fixture
def link(settings: RedisSettings) -> Iterator[Link]:
    link = link_to(settings)
    link.open(wait=False)
    yield link
    link.close()


@pytest.fixture(scope="module")
def place() -> Iterator[Cluster]:
    """Redis, Kafka and Postgres."""
    for missing, why in ((redis_program() is None, MISSING), (postgres_programs() is None, NO_POSTGRES)):
        if missing:
            pytest.skip(why)
    with cluster() as servers:
        yield servers
