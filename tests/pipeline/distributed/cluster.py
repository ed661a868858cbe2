"""The whole distributed mode on this machine: real servers, real worker processes, and a hand that kills them."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TextIO

from redis import Redis, RedisError
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import SQLAlchemyError

from pipeline.supervisor import Patience, Supervisor, Task
from tests.services.kafka import KafkaServer, real_kafka
from tests.services.postgres import PostgresServer
from tests.services.redis import RedisServer, redis_server

WORKERS: Final = ("aggregate", "classify", "detect")
SERVERS: Final = ("redis", "kafka", "postgres")


class Cluster:
    """Servers, and a database, a topic and streams of its own for each `workers`."""

    def __init__(self, redis: RedisServer, kafka: KafkaServer, postgres: PostgresServer) -> None:
        self.redis: Final = redis
        self.kafka: Final = kafka
        self.postgres: Final = postgres
        self.url = ""
        self.settings: Mapping[str, object] = {}
        self.environment: dict[str, str] = {}
        self._number = 0

    def fresh(self, settings: Mapping[str, object]) -> None:
        """A new database, a new topic, new streams."""
        self._number += 1
        self.settings = settings
        name = f"cluster_{self._number}"
        self._sql(f"CREATE DATABASE {name}")
        self.url = make_url(self.postgres.url).set(database=name).render_as_string(hide_password=False)
        values = {
            "redis_url": self.redis.url, "redis_prefix": name, "redis_take_over_after": 3,
            "kafka_brokers": self.kafka.brokers, "kafka_topic": name, "kafka_group": name, "kafka_partitions": 4,
            "storage_url": self.url, "worker_lease": 6, **settings,
        }  # fmt: skip
        self.environment = {f"AFFECTSTREAM_{key.upper()}": str(value) for key, value in values.items()}

    @contextmanager
    def workers(
        self, each: int, out: TextIO, videos: Mapping[str, str | Path] | None = None, others: Sequence[Task] = ()
    ) -> Iterator[Supervisor]:
        """So many of each worker, kept alive whatever happens; and replays, camera -> recording, as tasks."""
        base = (sys.executable, "-m", "pipeline")
        tasks = [
            Task(f"{kind}-{number}", (*base, kind), group=kind, environment=self.environment)
            for kind in WORKERS
            for number in range(1, each + 1)
        ]
        tasks += [
            Task(
                f"replay-{camera}", (*base, "replay", str(video), "--camera", camera, "--wait", "--json"),
                group="replay", once=True, environment=self.environment,
            )
            for camera, video in (videos or {}).items()
        ]  # fmt: skip
        with Supervisor(
            [*tasks, *others], Patience(first=0.2, most=2, deaths=None), out=out, name="cluster"
        ) as supervisor:
            yield supervisor

    def replay(self, video: str | Path, camera: str, *flags: str, seconds: float = 300) -> dict[str, Any]:
        """Replays a recording and waits until it is stored; what the command says."""
        command = [
            sys.executable,
            "-m",
            "pipeline",
            "replay",
            str(video),
            "--camera",
            camera,
            "--wait",
            "--json",
            *flags,
        ]
        done = subprocess.run(
            command, env=os.environ | self.environment, capture_output=True, text=True, timeout=seconds, check=False
        )
        assert done.returncode == 0, done.stderr
        said: dict[str, Any] = json.loads(done.stdout)
        return said

    def restart(self, server: str, away: float = 0.5) -> None:
        """Kills a server and starts it again."""
        one: RedisServer | KafkaServer | PostgresServer = getattr(self, server)
        one.kill()
        time.sleep(away)
        one.start()

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of the database; waits for a Postgres that is just being restarted."""
        engine = create_engine(make_url(self.url).set(drivername="postgresql+psycopg2"))
        try:
            with engine.connect() as connection:
                return [tuple(row) for row in connection.execute(text(query))]
        finally:
            engine.dispose()

    def waiting(self) -> int:
        """Entries in all streams of Redis, dead letters apart."""
        with self.redis.client() as client:
            return sum(int(client.xlen(key)) for key in self._streams(client) if b":dead" not in key)

    def pending(self) -> int:
        """Entries that some worker has taken and not done."""
        with self.redis.client() as client:
            return sum(int(group["pending"]) for key in self._streams(client) for group in client.xinfo_groups(key))

    def _streams(self, client: "Redis") -> list[bytes]:
        keys = client.scan_iter(f"{{cluster_{self._number}:*", count=1000)
        return [key for key in keys if client.type(key) == b"stream"]

    def _sql(self, statement: str) -> None:
        engine = create_engine(
            make_url(self.postgres.url).set(drivername="postgresql+psycopg2"), isolation_level="AUTOCOMMIT"
        )
        with engine.connect() as connection:
            connection.execute(text(statement))
        engine.dispose()


def until(true: Callable[[], bool], seconds: float) -> None:
    """Waits for it; a server that is just being started again may refuse to answer meanwhile."""
    deadline = time.monotonic() + seconds
    while True:
        with suppress(SQLAlchemyError, RedisError):
            if true():
                return
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.2)


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Starts the servers and ends them."""
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server())
        kafka = stack.enter_context(real_kafka())
        postgres = PostgresServer()
        stack.callback(postgres.close)
        postgres.start()
        yield Cluster(redis, kafka, postgres)


def mayhem(
    supervisor: Supervisor, place: Cluster, chance: random.Random, *, seconds: float, every: float
) -> dict[str, int]:
    """Kills workers, one each `every` seconds, and now and then restarts a server; how often each was killed."""
    killed: dict[str, int] = {}
    end = time.monotonic() + seconds
    while time.monotonic() < end and not supervisor.wait(every):
        if chance.random() < 0.2:
            name = chance.choice(SERVERS)
            place.restart(name)
        else:
            alive = sorted(supervisor.alive)
            name = chance.choice(alive) if alive else ""
            if not name or not supervisor.kill(name):
                continue
        killed[name] = killed.get(name, 0) + 1
    return killed
