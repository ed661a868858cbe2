"""The topic is made once, and what is published is there."""

import threading
import time
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient

from contracts.errors import TransportError
from contracts.settings import KafkaSettings
from pipeline import topic
from pipeline.topic import BrokersAwayError, Onlooker, TopicPublisher, ensure_topic, partition_of
from tests.services.kafka import KafkaServer, real_kafka

pytestmark = pytest.mark.xdist_group("kafka")


@pytest.fixture(scope="module")
def broker() -> Iterator[KafkaServer]:
    with real_kafka() as broker:
        yield broker


def content(settings: KafkaSettings) -> list[tuple[int, bytes, bytes]]:
    consumer = Consumer({"bootstrap.servers": settings.brokers, "group.id": "reader", "enable.partition.eof": True})
    partitions = list(consumer.list_topics(settings.topic, 10).topics[settings.topic].partitions)
    consumer.assign([TopicPartition(settings.topic, partition, 0) for partition in partitions])
    found, ends = [], 0
    while ends < len(partitions):
        message = consumer.poll(10)
        assert message is not None
        if message.error():
            ends += 1
        else:
            found.append((message.partition() or 0, message.key() or b"", message.value() or b""))
    consumer.close()
    return found


def test_messages_of_a_camera_keep_together_and_in_order(broker: KafkaServer) -> None:
    settings = KafkaSettings(brokers=broker.brokers, topic="order", partitions=3)
    publisher = TopicPublisher(settings)
    publisher.ensure_topic()
    sent = [(f"camera-{n % 7}", b"%d" % n) for n in range(500)]
    publisher.publish(sent[:250])
    publisher.publish(sent[250:])
    publisher.publish([])
    publisher.close()
    found = content(settings)
    assert all(partition == partition_of(camera_id.decode(), 3) for partition, camera_id, _ in found)
    for number in range(7):
        key = f"camera-{number}"
        mine = [(partition, value) for partition, camera_id, value in found if camera_id == key.encode()]
        assert [value for _, value in mine] == [value for camera_id, value in sent if camera_id == key]
        assert len({partition for partition, _ in mine}) == 1


def test_a_topic_that_is_there_is_taken_as_it_is(broker: KafkaServer) -> None:
    settings = KafkaSettings(brokers=broker.brokers, topic="as-it-is", partitions=2)
    ensure_topic(settings)
    ensure_topic(settings.model_copy(update={"partitions": 5}))
    onlooker = Onlooker(settings)
    assert onlooker.partitions() == [0, 1]
    onlooker.close()


def test_many_may_want_to_make_it_at_once(broker: KafkaServer) -> None:
    settings = KafkaSettings(brokers=broker.brokers, topic="at-once", partitions=2)
    failures: list[Exception] = []

    def make() -> None:
        try:
            ensure_topic(settings)
        except Exception as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_brokers_that_are_away_are_named_with_their_setting() -> None:
    with pytest.raises(BrokersAwayError, match=r"kafka\.brokers") as refusal:
        ensure_topic(KafkaSettings(brokers="127.0.0.1:1"))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("code", [KafkaError.UNSUPPORTED_VERSION, KafkaError._UNSUPPORTED_FEATURE])
def test_brokers_that_are_too_old_are_named_with_their_setting(code: int) -> None:
    refusal = topic._refused(KafkaSettings(brokers="old:9092"), KafkaError(code))
    assert "old:9092 (kafka.brokers) is too old" in str(refusal)
    assert "\n" not in str(refusal)


def test_more_replicas_than_brokers_are_refused_with_the_setting(broker: KafkaServer) -> None:
    with pytest.raises(TransportError, match=r"kafka\.replication = 3"):
        ensure_topic(KafkaSettings(brokers=broker.brokers, topic="replicas", replication=3))


def test_a_restart_of_the_broker_loses_and_doubles_nothing(broker: KafkaServer) -> None:
    settings = KafkaSettings(brokers=broker.brokers, topic="restart", partitions=2)
    publisher = TopicPublisher(settings)
    publisher.ensure_topic()
    publisher.publish([("door", b"before")])
    broker.kill()
    back = threading.Timer(1, broker.start)
    back.start()
    started = time.monotonic()
    publisher.publish([("door", b"%d" % number) for number in range(100)])
    assert time.monotonic() - started < 30
    back.join()
    publisher.close()
    assert [value for *_, value in content(settings)] == [b"before", *(b"%d" % number for number in range(100))]


@pytest.mark.slow
def test_a_topic_that_kafka_has_lost_is_made_again(broker: KafkaServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic, "DELIVERY_SECONDS", 3)
    monkeypatch.setattr(topic, "LOOK_SECONDS", 1)
    settings = KafkaSettings(brokers=broker.brokers, topic="lost", partitions=2)
    publisher = TopicPublisher(settings)
    publisher.ensure_topic()
    publisher.publish([("door", b"before")])
    admin = AdminClient({"bootstrap.servers": broker.brokers})
    admin.delete_topics(["lost"])["lost"].result(10)
    deadline = time.monotonic() + 60
    while True:
        try:
            publisher.publish([("door", b"after")])
            break
        except TransportError:
            assert time.monotonic() < deadline
    publisher.close()
    assert [value for *_, value in content(settings)] == [b"after"]
