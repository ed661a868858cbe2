"""In the distributed mode: level aggregate leaves nothing about any one person, and costs nothing; people who are
forgotten while the workers go on are gone from all of it."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined]

from contracts import wire
from contracts.errors import TransportError
from contracts.messages import EmotionsMessage, FrameEmotions, RunEnded
from contracts.settings import AggregatorSettings, KafkaSettings, PrivacySettings, Settings
from pipeline.streams import fields, key, shard_of
from pipeline.supervisor import Task
from pipeline.topic import Eraser, Onlooker, Standing, TopicPublisher, ensure_topic
from storage.tables import metadata
from tests.pipeline.conftest import Command
from tests.pipeline.distributed.cluster import Cluster, until
from tests.pipeline.distributed.made_up import run_of, undisturbed
from tests.pipeline.distributed.redis_side import JPEG, frame
from tests.pipeline.distributed.test_aggregate_worker import (
    CAMERAS,
    FRAMES,
    PARTITIONS,
    Place,
    chunks,
    look,
    mixed,
    new_database,
)
from tests.pipeline.distributed.test_aggregate_worker import until as wait
from tests.pipeline.traces import Traces
from tests.storage.samples import everything, opened, select

pytestmark = [pytest.mark.xdist_group("kafka"), pytest.mark.timeout(300)]

WINDOWS: Final = AggregatorSettings(windows=(2, 5))
PRIVATE: Final = Settings(aggregator=AggregatorSettings(windows=(5, 10)), privacy=PrivacySettings(level="aggregate"))
SCENE: Final = "demo:6"


class Spy:
    """Reads a topic from its first message on, whatever is deleted behind it."""

    def __init__(self, brokers: str, topic: str) -> None:
        self.messages: Final[list[EmotionsMessage]] = []
        self._consumer: Final = Consumer(
            {
                "bootstrap.servers": brokers,
                "group.id": "spy",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
            }
        )
        partitions = self._consumer.list_topics(topic, 10).topics[topic].partitions
        self._consumer.assign([TopicPartition(topic, number, 0) for number in partitions])

    def listen(self) -> None:
        while (message := self._consumer.poll(0.2)) is not None:
            if not message.error():
                self.messages.append(wire.unpack(message.value() or b"", EmotionsMessage))

    def has_all_of(self, camera_id: str) -> bool:
        self.listen()
        mine = [message for message in self.messages if message.camera_id == camera_id]
        ends = [message.frames for message in mine if isinstance(message, RunEnded)]
        return bool(ends) and len({message.seq for message in mine if hasattr(message, "seq")}) == ends[0]

    def close(self) -> None:
        self._consumer.close()


def readable(settings: KafkaSettings, partitions: int) -> int:
    """How many messages can be read from the beginning."""
    onlooker = Onlooker(settings)
    try:
        return sum(standing.high - standing.low for standing in look(onlooker, range(partitions)).values())
    finally:
        onlooker.close()


def redis_contents(place: Cluster) -> bytes:
    """All keys of Redis and what they hold, of whatever kind."""
    parts: list[Any] = []
    with place.redis.client() as client:
        for name in client.scan_iter("*", count=1000):
            kind: Any = client.type(name)
            read: Any = {
                b"string": client.get, b"hash": client.hgetall, b"stream": client.xrange, b"set": client.smembers,
                b"list": lambda name: client.lrange(name, 0, -1), b"zset": lambda name: client.zrange(name, 0, -1),
            }[kind]  # fmt: skip
            parts += [name, read(name)]

    def flat(value: Any) -> Iterator[bytes]:
        if isinstance(value, bytes):
            yield value
        elif isinstance(value, dict):
            yield from flat([*value.keys(), *value.values()])
        elif isinstance(value, list | tuple | set):
            for inner in value:
                yield from flat(inner)

    return b"\0".join(flat(parts))


def task(place: Cluster, name: str, *command: str, once: bool = False) -> Task:
    whole = (sys.executable, "-m", "pipeline", *command)
    return Task(name, whole, group=name, once=once, environment=place.environment)


def test_a_run_leaves_nothing_about_any_one_person_anywhere(place: Cluster, tmp_path: Path) -> None:
    place.fresh(
        {"detector_name": "haar", "detector_workers": 1, "aggregator_windows": "2,5", "privacy_level": "aggregate"}
    )
    kafka = KafkaSettings(brokers=place.kafka.brokers, topic=str(place.environment["AFFECTSTREAM_KAFKA_TOPIC"]))
    prefix = str(place.environment["AFFECTSTREAM_REDIS_PREFIX"])
    ensure_topic(kafka.model_copy(update={"partitions": 4}), short_lived=True)
    log = (tmp_path / "log").open("w+")
    with place.redis.client() as client:
        parts: Any = fields(frame(0, camera="poison", jpeg=JPEG[: len(JPEG) // 2]))
        client.xadd(key(prefix, shard_of("poison", 4), "frames"), dict(zip(parts[::2], parts[1::2], strict=True)))
    before = [task(place, "detect", "detect"), task(place, "classify", "classify")]
    replay = task(place, "replay", "replay", SCENE, "--camera", "door", "--json", once=True)
    spy = Spy(place.kafka.brokers, kafka.topic)
    # Nobody aggregates until all has been seen here.
    with place.workers(0, log, others=[*before, replay]):
        until(lambda: spy.has_all_of("door"), 120)
    traces = Traces([message for message in spy.messages if message.camera_id == "door"], WINDOWS)
    spy.close()
    assert len(traces.people) >= 2
    assert len(traces.numbers) > 1000
    assert readable(kafka, 4) > 150
    with place.workers(0, log, others=[task(place, f"aggregate-{n}", "aggregate") for n in (1, 2)]):
        until(lambda: place.ask("SELECT status FROM run") == [("finished",)], 90)
        until(lambda: readable(kafka, 4) == 0, 30)
    assert place.ask("SELECT count(*) FROM window_stat WHERE person_id = '' AND people > 0") != [(0,)]
    assert place.ask("SELECT count(*) FROM checkpoint WHERE camera_id = 'door'") == [(1,)]
    for table in metadata.tables:
        for row in place.ask(f"SELECT * FROM {table}"):
            assert traces.in_values(row) == set(), table
    kept = redis_contents(place)
    assert b"poison" in kept
    assert JPEG[:40] not in kept
    assert b"not kept: privacy.level is aggregate" in kept
    log.seek(0)
    for content in (kept, log.read().encode()):
        assert traces.in_bytes(content) == set()


@pytest.fixture
def work(place: Cluster, tmp_path: Path) -> Iterator[Place]:
    url = new_database(place.postgres)
    opened(url).close()
    work = Place(place.kafka, url, tmp_path)
    yield work
    work.close()
    for worker in work.workers:
        print(work.said(worker))


def test_what_is_deleted_is_stored_whoever_is_killed(work: Place, place: Cluster) -> None:
    runs = [run_of(camera, number, FRAMES) for number in (1, 2) for camera in CAMERAS]
    calm = new_database(place.postgres)
    with opened(calm) as store:
        undisturbed(runs, store, PRIVATE)
    private = {"privacy_level": "aggregate"}
    parts = chunks(mixed(runs, 5), 3)
    running = [work.work(**private), work.work(**private)]
    work.publish(parts[0])
    wait(lambda: readable(work.kafka, PARTITIONS) == 0, "deleted")
    running.pop().kill()
    work.publish(parts[1])
    running.append(work.work(**private))
    wait(lambda: readable(work.kafka, PARTITIONS) < len(parts[1]) // 2, "half deleted")
    for worker in running:  # nobody is left: the next ones begin at what is not deleted
        worker.kill()
    work.publish(parts[2])
    running = [work.work(**private), work.work(**private)]
    wait(lambda: work.finished() == len(runs), "finished")
    wait(lambda: readable(work.kafka, PARTITIONS) == 0, "deleted")
    assert everything(work.url) == everything(calm)
    assert not any("not in Kafka any more" in work.said(worker) for worker in work.workers)
    assert all(worker.poll() is None for worker in running)


def test_nothing_is_deleted_that_is_not_stored(work: Place) -> None:
    """A database that is away holds up the deletion, not only the commit."""
    worker = work.work(privacy_level="aggregate", storage_url=work.url.replace("127.0.0.1:", "127.0.0.1:1"))
    messages = run_of("door", 1, 50)
    work.publish(messages)
    wait(lambda: "cannot be reached" in work.said(worker), "said")
    worker.terminate()
    assert worker.wait(30) == 0
    assert readable(work.kafka, PARTITIONS) == len(messages)
    worker = work.work(privacy_level="pseudonymous")
    wait(lambda: work.finished() == 1, "finished")
    wait(work.committed, "committed")
    assert readable(work.kafka, PARTITIONS) == len(messages)
    worker.terminate()
    assert worker.wait(30) == 0
    work.work(privacy_level="aggregate")  # what was kept before goes as well
    wait(lambda: readable(work.kafka, PARTITIONS) == 0, "deleted")


def test_a_worker_that_is_asked_to_stop_deletes_what_it_has_stored(work: Place) -> None:
    worker = work.work(privacy_level="aggregate")
    work.publish(run_of("door", 1, 50))
    wait(lambda: work.finished() == 1, "finished")
    worker.terminate()
    assert worker.wait(30) == 0
    assert readable(work.kafka, PARTITIONS) == 0


def test_a_person_is_forgotten_while_the_aggregator_goes_on(
    work: Place, place: Cluster, affectstream: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = run_of("door", 1, 200)
    worker = work.work()
    work.publish(messages[:80])
    wait(lambda: len(select(work.url, "SELECT person_id FROM person")) == 3, "seen")
    letter = {"stage": "detect", "reason": "truncated", "camera": "door", "run": "door-1", "seq": "40"}
    at = next(message.captured_at for message in messages[40:] if isinstance(message, FrameEmotions))
    forgets = ("forget", "door-1.2", "--db", work.url, "--json")
    monkeypatch.setenv("AFFECTSTREAM_REDIS_URL", "redis://127.0.0.1:1/0")
    refused = affectstream(*forgets)
    assert (refused.code, refused.err.count("\n"), "nobody was forgotten" in refused.err) == (1, 1, True)
    monkeypatch.setenv("AFFECTSTREAM_REDIS_URL", place.redis.url)
    monkeypatch.setenv("AFFECTSTREAM_REDIS_PREFIX", "forgetting")
    with place.redis.client() as client:
        client.xadd(key("forgetting", 0, "dead"), {**letter, "at": str(at), "entry": b"a picture of somebody"})
    done = affectstream(*forgets)
    assert (done.code, done.err) == (0, "")
    assert done.object["dead_letters_in_redis"] == 1
    assert (done.object["removed"]["person"], done.object["removed"]["checkpoint"], done.object["left"]) == (1, 1, {})
    work.publish(messages[80:])
    wait(lambda: work.finished() == 1, "finished")
    assert affectstream(*forgets).object["removed"] == dict.fromkeys(done.object["removed"], 0)
    people = {str(name) for (name,) in select(work.url, "SELECT DISTINCT person_id FROM observation")}
    assert people >= {"door-1.1", "door-1.3", "door-1.4"}  # the last of them is who was there to go on
    assert "door-1.2" not in people
    assert worker.poll() is None
    assert b"a picture of somebody" not in redis_contents(place)


def test_only_what_lies_before_the_commit_is_deleted(place: Cluster) -> None:
    settings = KafkaSettings(brokers=place.kafka.brokers, topic="erasing", group="erasing", partitions=2)
    ensure_topic(settings, short_lived=True)
    publisher, eraser, onlooker = TopicPublisher(settings), Eraser(settings), Onlooker(settings)
    publisher.publish([("door", b"%d" % number) for number in range(10)])
    (partition,) = [number for number, standing in look(onlooker, [0, 1]).items() if standing.high]
    eraser.erase(look(onlooker, [0, 1]))  # nobody has committed
    assert look(onlooker, [partition])[partition].low == 0
    member = Consumer({"bootstrap.servers": settings.brokers, "group.id": settings.group})
    member.commit(offsets=[TopicPartition(settings.topic, partition, 7)], asynchronous=False)
    for _ in range(2):
        eraser.erase(look(onlooker, [0, 1]))
        assert look(onlooker, [partition])[partition] == Standing(7, 7, 10)
    eraser.erase({partition: Standing(25, 7, 10)})  # of a topic that was made anew
    assert look(onlooker, [partition])[partition].low == 7
    member.close()
    onlooker.close()
    publisher.close()


def test_a_topic_that_is_made_for_it_is_cleared_from_the_disks_soon(place: Cluster) -> None:
    ways = {}
    for short_lived in (True, False):
        settings = KafkaSettings(brokers=place.kafka.brokers, topic=f"short-{short_lived}", partitions=1)
        ensure_topic(settings, short_lived=short_lived)
        resource = ConfigResource(ResourceType.TOPIC, settings.topic)
        admin = AdminClient({"bootstrap.servers": settings.brokers})
        found = admin.describe_configs([resource])[resource].result(10)
        ways[short_lived] = (int(found["segment.ms"].value), int(found["retention.ms"].value))
    assert ways[True] == (600_000, 86_400_000)
    assert ways[False][0] > ways[True][0]
    assert ways[False][1] > ways[True][1]


def test_brokers_that_do_not_delete_are_named() -> None:
    eraser = Eraser(KafkaSettings(brokers="127.0.0.1:1"))
    with pytest.raises(TransportError, match=r"kafka\.brokers"):
        eraser.erase({0: Standing(5, 0, 10)}, timeout=0.5)
