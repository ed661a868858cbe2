"""A real Kafka broker, started for the tests and gone after them: one KRaft node on free ports.

    with real_kafka() as broker:
        KafkaSettings(brokers=broker.brokers)
        broker.kill(); broker.start()    # the same ports, the same data

The program comes through Maven, once, into build/kafka. Where Maven or Java cannot be had, the tests that need it are
skipped: librdkafka's mock cluster could not take its place, as it makes no topics when it is asked to.
"""

import fcntl
import functools
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.services.processes import end, free_port

VERSION: Final = "3.9.1"
CACHE: Final = Path(__file__).parents[2] / "build" / "kafka"
HEAP: Final = "384m"
FETCH_SECONDS: Final = 240.0

POM: Final = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>tests</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>{VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""


class KafkaServer:
    """One node, controller and broker at once. It keeps its ports and its folder when it is started again."""

    def __init__(self, libraries: str, folder: Path) -> None:
        self._libraries: Final = libraries
        self._folder: Final = folder
        self._port: Final = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._configuration: Final = folder / "server.properties"
        self._configuration.write_text(_properties(folder / "data", self._port, free_port(besides=self._port)))
        where = str(self._configuration)
        formatting = ["kafka.tools.StorageTool", "format", "-t", "affectstreamtests00000", "-c", where]
        subprocess.run([*self._java(), *formatting], check=True, capture_output=True, timeout=60)

    @property
    def brokers(self) -> str:
        """HOST:PORT, for settings."""
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Starts it, and returns when it answers."""
        if self._process is not None:
            return
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._java(), "kafka.Kafka", str(self._configuration)], stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + 60
        while not _answers(self.brokers):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"Kafka did not start: {(self._folder / 'log').read_text(errors='replace')[-800:]}")

    def stop(self) -> None:
        """Shuts it down as an operator would."""
        if self._process is not None:
            end(self._process, seconds=30)
            self._process = None

    def kill(self) -> None:
        """Pulls the plug."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _java(self) -> list[str]:
        quick = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]
        return ["java", f"-Xmx{HEAP}", "-Xms64m", *quick, "-cp", self._libraries]


class MockCluster:
    """librdkafka's broker in this process, for who only looks whether somebody is there."""

    def __init__(self) -> None:
        self._host: Any = AdminClient({"bootstrap.servers": "127.0.0.1:1", "test.mock.num.brokers": 1})
        (broker,) = self._host.list_topics(timeout=10).brokers.values()
        self.brokers: Final = f"{broker.host}:{broker.port}"


@contextmanager
def kafka() -> Iterator[KafkaServer]:
    """Runs a broker. Raises RuntimeError where there can be none."""
    libraries = _libraries()
    if libraries is None:
        raise RuntimeError(why_not_real())
    folder = Path(tempfile.mkdtemp(prefix="affectstream-kafka-"))
    try:
        server = KafkaServer(libraries, folder)
        server.start()
        try:
            yield server
        finally:
            server.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def real_kafka() -> Iterator[KafkaServer]:
    """Runs a real broker; skips the test where there is none."""
    if why := why_not_real():
        pytest.skip(why)
    with kafka() as broker:
        yield broker


def why_not_real() -> str | None:
    """Why there can be no real broker on this machine; None if there can."""
    if not (shutil.which("java") and shutil.which("mvn")):
        return "no Kafka here: it needs java and mvn (Debian: default-jre-headless and maven)"
    return None if _libraries() else "no Kafka here: Maven could not fetch it"


@functools.cache
def _libraries() -> str | None:
    """Java's class path of the server; None where it cannot be had."""
    folder = CACHE / VERSION
    if not shutil.which("java"):
        return None
    if not (folder / "complete").exists():
        if not shutil.which("mvn"):
            return None
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:  # the tests may run in several processes
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (folder / "complete").exists() and not _fetch(folder):
                return None
    return f"{folder / 'jars'}/*"


def _fetch(folder: Path) -> bool:
    (folder / "pom.xml").write_text(POM)
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={folder / 'jars'}"]
    with suppress(subprocess.SubprocessError, OSError):
        subprocess.run(["mvn", "-q", "-B", *goal], cwd=folder, check=True, capture_output=True, timeout=FETCH_SECONDS)
        (folder / "complete").touch()
        return True
    return False


def _properties(data: Path, port: int, controller: int) -> str:
    values = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": data,
        "num.network.threads": 2,
        "num.io.threads": 2,
        "background.threads": 2,
        "num.recovery.threads.per.data.dir": 1,
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 2,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 2,
        "share.coordinator.state.topic.replication.factor": 1,
        "group.initial.rebalance.delay.ms": 0,
        "auto.create.topics.enable": "false",
        "log.cleaner.dedupe.buffer.size": 4 << 20,
        "log.segment.bytes": 16 << 20,
        "broker.session.timeout.ms": 1500,  # the controller lets nobody back in before the old session is over
        "broker.heartbeat.interval.ms": 300,
        "controlled.shutdown.enable": "false",  # there is nobody to hand over to
    }
    return "".join(f"{name}={value}\n" for name, value in values.items())


def _answers(brokers: str) -> bool:
    """Whether it takes requests; it listens earlier."""
    quiet = {"log_level": 0, "socket.timeout.ms": 2000, "reconnect.backoff.max.ms": 200}
    try:
        found = AdminClient({"bootstrap.servers": brokers, **quiet}).list_topics(timeout=2)
    except KafkaException:
        return False
    return bool(found.brokers)
