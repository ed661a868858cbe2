"""Real workers, Kafka and Postgres, all of them killed: every face is stored once, and the windows are right."""

import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Final
from urllib.request import urlopen

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions
from sqlalchemy import create_engine, make_url, text

from contracts import wire
from contracts.messages import EmotionsMessage, FrameEmotions
from contracts.settings import AggregatorSettings, KafkaSettings, Settings
from pipeline.topic import BrokersAwayError, Onlooker, Standing, TopicPublisher
from tests.pipeline.distributed.made_up import run_of, shuffled, undisturbed
from tests.services.kafka import KafkaServer, real_kafka
from tests.services.postgres import MISSING, PostgresServer, postgres_programs
from tests.storage.samples import everything, opened, select

pytestmark = pytest.mark.xdist_group("kafka")

OURS: Final = Settings(aggregator=AggregatorSettings(windows=(5, 10)))
CAMERAS: Final = [f"camera-{number}" for number in range(6)]
FRAMES: Final = 200
PARTITIONS: Final = 4
WAIT: Final = 60.0
numbers: Final = count()


@pytest.fixture(scope="module")
def broker() -> Iterator[KafkaServer]:
    with real_kafka() as broker:
        yield broker


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    if postgres_programs() is None:
        pytest.skip(MISSING)
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.close()


def new_database(server: PostgresServer) -> str:
    name = f"test_{next(numbers)}"
    engine = create_engine(make_url(server.url).set(drivername="postgresql+psycopg2"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return make_url(server.url).set(database=name).render_as_string(hide_password=False)


@pytest.fixture(scope="module")
def runs() -> list[list[EmotionsMessage]]:
    return [run_of(camera, number, FRAMES) for number in (1, 2) for camera in CAMERAS]


@pytest.fixture(scope="module")
def expected(server: PostgresServer, runs: list[list[EmotionsMessage]]) -> dict[str, list[tuple[object, ...]]]:
    url = new_database(server)
    with opened(url) as store:
        undisturbed(runs, store, OURS)
    return everything(url)


class Place:
    """A topic, a database, and the workers between them."""

    def __init__(self, broker: KafkaServer, url: str, folder: Path) -> None:
        self.url: Final = url
        self.kafka: Final = KafkaSettings(
            brokers=broker.brokers, topic=f"emotions-{next(numbers)}", group=f"group-{next(numbers)}",
            partitions=PARTITIONS,
        )  # fmt: skip
        self.workers: Final[list[subprocess.Popen[bytes]]] = []
        self._logs: Final = folder
        self._publisher: Final = TopicPublisher(self.kafka)
        self._publisher.ensure_topic()

    def work(self, **settings: object) -> subprocess.Popen[bytes]:
        """Starts a worker."""
        values = {
            "kafka_brokers": self.kafka.brokers, "kafka_topic": self.kafka.topic, "kafka_group": self.kafka.group,
            "kafka_batch": 50, "storage_url": self.url, "worker_lease": 6, "aggregator_windows": "5,10", **settings,
        }  # fmt: skip
        environment = {f"AFFECTSTREAM_{name.upper()}": str(value) for name, value in values.items()}
        with (self._logs / f"worker-{len(self.workers)}.log").open("wb") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "pipeline", "aggregate"], env=os.environ | environment, stderr=log
            )
        self.workers.append(worker)
        return worker

    def said(self, worker: subprocess.Popen[bytes]) -> str:
        return (self._logs / f"worker-{self.workers.index(worker)}.log").read_text()

    def page(self, worker: subprocess.Popen[bytes], name: str) -> str:
        until(lambda: "http://" in self.said(worker), "serving")
        found = re.search(r"http://[\d.:]+", self.said(worker))
        assert found
        with urlopen(f"{found[0]}/{name}", timeout=5) as answer:
            return str(answer.read().decode())

    def publish(self, messages: Sequence[EmotionsMessage]) -> None:
        self._publisher.publish([(message.camera_id, wire.pack(message)) for message in messages])

    def publish_raw(self, camera_id: str, *values: bytes) -> None:
        self._publisher.publish([(camera_id, value) for value in values])

    def stored(self) -> int:
        return int(select(self.url, "SELECT count(*) FROM observation")[0][0])

    def finished(self) -> int:
        return int(select(self.url, "SELECT count(*) FROM run WHERE status = 'finished'")[0][0])

    def committed(self) -> bool:
        """Whether the group has committed everything."""
        onlooker = Onlooker(self.kafka)
        try:
            standings = look(onlooker, range(PARTITIONS)).values()
            return all((standing.committed or 0) == standing.high for standing in standings)
        finally:
            onlooker.close()

    def close(self) -> None:
        for worker in self.workers:
            worker.kill()
            worker.wait()
        self._publisher.close()


@pytest.fixture
def place(broker: KafkaServer, server: PostgresServer, tmp_path: Path) -> Iterator[Place]:
    url = new_database(server)
    opened(url).close()
    place = Place(broker, url, tmp_path)
    yield place
    place.close()
    for worker in place.workers:
        print(place.said(worker))


def until(condition: Callable[[], bool], what: str, seconds: float = WAIT) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not {what} after {seconds:.0f} s"
        time.sleep(0.25)


def look(onlooker: Onlooker, partitions: Collection[int]) -> Mapping[int, Standing]:
    """How they stand; asked again while the group's coordinator moves, as workers do too."""
    deadline = time.monotonic() + WAIT
    while True:
        try:
            return onlooker.look(partitions)
        except BrokersAwayError:
            assert time.monotonic() < deadline
            time.sleep(0.25)


def mixed(runs: Sequence[Sequence[EmotionsMessage]], seed: int) -> list[EmotionsMessage]:
    """All cameras at once, each of its two runs after the other, nearly in order and some doubled."""
    source = random.Random(seed)
    streams = [shuffled(run, source) for run in runs]
    placed = [
        (place + (FRAMES if number >= len(CAMERAS) else 0), number, message)
        for number, stream in enumerate(streams)
        for place, message in enumerate(stream)
    ]
    return [message for *_, message in sorted(placed, key=lambda entry: entry[:2])]


def chunks(messages: Sequence[EmotionsMessage], parts: int) -> list[Sequence[EmotionsMessage]]:
    size = -(-len(messages) // parts)
    return [messages[start : start + size] for start in range(0, len(messages), size)]


def ready(place: Place, worker: subprocess.Popen[bytes]) -> bool:
    try:
        return '"ready": true' in place.page(worker, "ready")
    except OSError:
        return False


@pytest.mark.parametrize(("workers", "killed"), [(1, 1), (2, 0), (3, 2)])
def test_however_many_workers_and_whoever_is_killed(
    place: Place, runs: list[list[EmotionsMessage]], expected: dict[str, object], workers: int, killed: int
) -> None:
    running = [place.work() for _ in range(workers)]
    first, second = chunks(mixed(runs, workers), 2)
    place.publish(first)
    until(lambda: place.stored() > 0, "begun")
    for victim in running[:killed]:  # in mid-stream
        victim.kill()
        running = [*running[1:], place.work()]
    place.publish(second)
    until(lambda: place.finished() == len(runs), "finished")
    assert everything(place.url) == expected
    until(place.committed, "committed")
    assert all(worker.poll() is None for worker in running)


def test_partitions_may_be_added_while_all_runs(
    place: Place, runs: list[list[EmotionsMessage]], expected: dict[str, object]
) -> None:
    place.work()
    first, second = chunks(mixed(runs, 5), 2)
    place.publish(first)
    until(lambda: place.stored() > 0, "begun")
    admin = AdminClient({"bootstrap.servers": place.kafka.brokers})
    admin.create_partitions([NewPartitions(place.kafka.topic, 9)])[place.kafka.topic].result(10)
    later = TopicPublisher(place.kafka)  # it knows them at once
    later.publish([(message.camera_id, wire.pack(message)) for message in second])
    later.close()
    until(lambda: place.finished() == len(runs), "finished")
    assert everything(place.url) == expected


def test_kafka_and_postgres_are_killed_and_come_back(
    place: Place, broker: KafkaServer, server: PostgresServer, runs: list[list[EmotionsMessage]],
    expected: dict[str, object],
) -> None:  # fmt: skip
    worker = place.work()
    first, second, third, last = chunks(mixed(runs, 7), 4)
    place.publish(first)
    until(lambda: place.stored() > 0, "started")
    broker.kill()
    time.sleep(1)
    broker.start()
    place.publish(second)
    server.kill()
    place.publish(third)
    time.sleep(2)
    server.start()
    place.publish(last)
    until(lambda: place.finished() == len(runs), "finished")
    assert everything(place.url) == expected
    assert worker.poll() is None
    assert "postgres:***@" in place.said(worker)
    assert "going on" in place.said(worker)


def test_a_worker_that_is_asked_to_stop_hands_over_at_once(place: Place, runs: list[list[EmotionsMessage]]) -> None:
    leaving, staying = place.work(), place.work()
    until(lambda: ready(place, leaving) and ready(place, staying), "ready")
    place.publish(mixed(runs, 3))
    until(lambda: place.stored() > 0, "begun")
    leaving.terminate()
    assert leaving.wait(10) == 0
    until(lambda: place.finished() == len(runs), "finished")
    until(place.committed, "committed")
    assert place.said(leaving).count("\n") == 1  # where it serves, and nothing else


def test_what_cannot_be_read_is_a_dead_letter_and_the_rest_goes_on(
    place: Place, runs: list[list[EmotionsMessage]]
) -> None:
    worker = place.work()
    run = runs[0]
    place.publish(run[:50])
    place.publish_raw(CAMERAS[0], b"", b"\x09nonsense", random.Random(1).randbytes(5000), wire.pack(run[60])[:-3])
    place.publish_raw("\udcff", b"of nobody")
    place.publish(run[50:])
    until(lambda: place.finished() == 1, "finished")
    letters = select(place.url, "SELECT run_id, camera_id FROM dead_letter WHERE stage = 'aggregate'")
    assert len(letters) == 5
    assert all(str(run_id).startswith(f"{place.kafka.topic}/") for run_id, _ in letters)
    assert place.said(worker).count("kept as a dead letter") == 5
    faces = sum(len(message.boxes) for message in run if isinstance(message, FrameEmotions))
    assert place.stored() == faces
    metrics = place.page(worker, "metrics")
    assert f'affectstream_frames_total{{camera="{CAMERAS[0]}",stage="aggregate"}} {FRAMES}.0' in metrics
    assert 'affectstream_dead_letters_total{stage="aggregate"} 5.0' in metrics
    until(lambda: 'affectstream_lag{shard="0",stage="aggregate"} 0.0' in place.page(worker, "metrics"), "lag told")


def test_a_recording_of_which_a_frame_is_lost_ends_nevertheless_whoever_has_it_then(
    place: Place, runs: list[list[EmotionsMessage]]
) -> None:
    quick = {"redis_take_over_after": 1, "redis_attempts": 1}
    run = runs[0]
    first = place.work(**quick)
    place.publish([*run[:60], *run[61:]])
    until(lambda: place.stored() > 0, "begun")
    first.kill()
    second = place.work(**quick)
    until(lambda: place.finished() == 1, "finished")
    assert select(place.url, "SELECT run_id, seq, reason FROM dead_letter WHERE stage = 'aggregate'") == [
        (f"{CAMERAS[0]}-1", 59, "it never arrived")
    ]
    assert f"{CAMERAS[0]}, run {CAMERAS[0]}-1: frame 59 never arrived" in place.said(second)
    assert 'affectstream_dead_letters_total{stage="aggregate"} 1.0' in place.page(second, "metrics")


def test_a_server_that_is_missing_at_the_start_is_waited_for_and_named(place: Place) -> None:
    worker = place.work(kafka_brokers="127.0.0.1:1")
    until(lambda: "kafka.brokers" in place.said(worker), "said", 40)
    worker.terminate()
    assert worker.wait(15) == 0
    worker = place.work(storage_url=place.url.replace("127.0.0.1:", "127.0.0.1:1"))
    until(lambda: "cannot be reached" in place.said(worker), "said", 40)
    worker.terminate()
    assert worker.wait(15) == 0
    assert "hunter2" not in place.said(worker)


def test_a_wrong_password_is_one_line_and_the_end(place: Place) -> None:
    worker = place.work(storage_url=place.url.replace("hunter2", "hunter3"))
    assert worker.wait(20) == 1
    told = [line for line in place.said(worker).splitlines() if "serving" not in line]
    assert len(told) == 1
    assert "storage.url" in told[0]
    assert "hunter3" not in told[0]
