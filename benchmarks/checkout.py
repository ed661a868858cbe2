"""The servers that the tests start, for the benchmarks that need some. They are in a checkout only."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from contracts.errors import InputError
from contracts.loading import load_settings
from contracts.settings import Settings
from pipeline.link import Link

if TYPE_CHECKING:
    from tests.pipeline.distributed.cluster import Cluster

HOUSE = Path(__file__).parents[1]


@contextmanager
def postgres(**options: str | int) -> Iterator[str]:
    """Runs a Postgres with these options; its URL. Raises InputError where there can be none."""
    _find_tests()
    from tests.services.postgres import MISSING, postgres_programs, postgres_server

    if postgres_programs() is None:
        raise InputError(MISSING)
    with postgres_server(**options) as url:
        yield url


@contextmanager
def servers() -> Iterator["Cluster"]:
    """Runs Redis with fsync at every write, Kafka, and Postgres without fsync. Raises InputError if one cannot be."""
    _find_tests()
    from tests.pipeline.distributed.cluster import cluster
    from tests.services import kafka, postgres, redis

    no_redis = redis.MISSING if redis.redis_program() is None else None
    no_postgres = postgres.MISSING if postgres.postgres_programs() is None else None
    if why := no_redis or no_postgres or kafka.why_not_real():
        raise InputError(why)
    with cluster() as place:
        yield place


def settings(place: "Cluster") -> Settings:
    """The settings of whoever works in that place now."""
    return load_settings(None, os.environ | place.environment, {})


@contextmanager
def linked(settings: Settings) -> Iterator[Link]:
    """Redis, reached."""
    link = Link(settings.redis, stopping=threading.Event(), say=lambda line: None)
    link.open()
    try:
        yield link
    finally:
        link.close()


def _find_tests() -> None:
    """Makes `tests` importable: the installed command does not look into the folder that it comes from."""
    if not (HOUSE / "tests" / "services").is_dir():
        raise InputError("this benchmark starts servers as the tests do: run it from a checkout of affectstream")
    if str(HOUSE) not in sys.path:
        sys.path.insert(0, str(HOUSE))
    for needed in ("psutil", "pytest"):
        if find_spec(needed) is None:
            raise InputError(f"this benchmark needs {needed}: pip install -e '.[dev]' in the checkout")
