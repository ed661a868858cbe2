"""The topic between the classifiers and the aggregators: making it, publishing to it, and looking at how it stands."""

import functools
import time
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, TypeAlias, TypeVar

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from contracts.errors import TransportError
from contracts.settings import KafkaSettings

T = TypeVar("T")
Delivery: TypeAlias = Callable[[KafkaError | None, Message], None]

ANSWER_SECONDS: Final = 10.0
"""How long the brokers may take for an answer."""
DELIVERY_SECONDS: Final = 30.0
"""How long a message may take until it is acknowledged, with the client's own retries."""
LOOK_SECONDS: Final = 10.0
"""How often all who use the topic look how many partitions there are. In between, publishers may disagree about
where a camera's messages go, and nobody reads a partition that is new: its frames must not be given up for that."""

SHORT_LIVED: Final = {"segment.ms": "600000", "segment.bytes": "16777216", "retention.ms": "86400000"}
"""Disks are freed in whole segments, and only of those that are closed: so these are closed after ten minutes at most.
What nobody has stored within a day is lost: aggregators must not be away for longer."""


class BrokersAwayError(TransportError):
    """The brokers cannot be reached now; they may come back."""


class TopicPublisher:
    """Publishes messages under their camera's name, so that those of a camera keep together."""

    def __init__(self, settings: KafkaSettings, *, short_lived: bool = False) -> None:
        """`short_lived` as of `ensure_topic`."""
        self._settings: Final = settings
        self._short_lived: Final = short_lived
        self._producer: Final = Producer(
            {
                **_client(settings),
                "enable.idempotence": True,  # with acks=all: the client's own retries neither double nor reorder
                "linger.ms": 5,
                "partitioner": "consistent_random",  # `partition_of` counts on it
                "compression.type": "none",  # the consumer's library has no quick codec with it
                "delivery.timeout.ms": round(DELIVERY_SECONDS * 1000),
            }
        )

    def ensure_topic(self) -> None:
        """Makes the topic where there is none. Raises TransportError where the brokers cannot be reached."""
        ensure_topic(self._settings, short_lived=self._short_lived)

    def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Publishes (camera_id, message) pairs and returns when the brokers have acknowledged all of them.

        Raises TransportError where they have not; some may have arrived, and all may be published again: those who
        read them recognise what they have seen.
        """
        failures: list[KafkaError] = []

        def delivered(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                failures.append(error)

        try:
            for camera_id, message in messages:
                self._produce(camera_id, message, delivered)
            left = self._producer.flush(DELIVERY_SECONDS + ANSWER_SECONDS)
        except KafkaException as error:
            self._producer.purge()
            raise self._refused(error.args[0]) from error
        if left:
            self._producer.purge()
            self._producer.poll(0)
            raise _unreachable(self._settings, f"{left} messages were not acknowledged")
        if failures:
            raise self._refused(failures[0])

    def close(self) -> None:
        """Forgets what was not acknowledged, and lets the connections go."""
        self._producer.purge()
        self._producer.flush(1)

    def _refused(self, error: KafkaError) -> TransportError:
        """Makes the topic again where Kafka has lost it, for the next try."""
        if error.code() in _NO_TOPIC:
            self.ensure_topic()
        return _refused(self._settings, error)

    def _produce(self, camera_id: str, message: bytes, delivered: Delivery) -> None:
        while True:
            try:
                self._producer.produce(
                    self._settings.topic, message, key=camera_id.encode("utf-8", "surrogatepass"), on_delivery=delivered
                )
            except BufferError:
                self._producer.poll(0.1)
            else:
                self._producer.poll(0)
                return


def partition_of(camera_id: str, partitions: int) -> int:
    """Where a camera's messages lie, in a topic of so many partitions."""
    return zlib.crc32(camera_id.encode("utf-8", "surrogatepass")) % partitions


def ensure_topic(settings: KafkaSettings, *, short_lived: bool = False) -> None:
    """Makes the topic with the settings' partitions; one that is there already is taken as it is.

    `short_lived` where messages are deleted once they are stored (`Eraser`): the brokers then take them off their disks
    soon, too.

    Raises TransportError, in one line that names the setting, where that is not possible now.
    """
    admin = AdminClient(_client(settings))
    if settings.topic in _asked(settings, lambda: admin.list_topics(timeout=ANSWER_SECONDS).topics):
        return
    topic = NewTopic(
        settings.topic, settings.partitions, settings.replication, config=SHORT_LIVED if short_lived else {}
    )
    try:
        admin.create_topics([topic], request_timeout=ANSWER_SECONDS)[settings.topic].result(ANSWER_SECONDS * 2)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # another worker was quicker
            raise _refused(settings, error.args[0]) from error
    deadline = time.monotonic() + ANSWER_SECONDS
    # It exists a moment before its partitions can be used.
    while not _asked(settings, functools.partial(_led, admin, settings.topic)) and time.monotonic() < deadline:
        time.sleep(0.05)


class Standing(msgspec.Struct, frozen=True):
    """How a partition stands."""

    committed: int | None  # the group goes on from here; None where it has never committed
    low: int  # the oldest message that is kept
    high: int  # the next message will be this


class Onlooker:
    """Looks at the partitions from outside of the group. Not safe for use by several threads at once."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings: Final = settings
        self._consumer: Final = Consumer(
            {**_client(settings), "group.id": settings.group, "enable.auto.commit": False}  # it never joins
        )

    def look(self, partitions: Collection[int], timeout: float = ANSWER_SECONDS) -> Mapping[int, Standing]:
        """How these partitions stand. Raises TransportError where the brokers cannot be reached."""
        wanted = [TopicPartition(self._settings.topic, number) for number in sorted(partitions)]
        if not wanted:
            return {}
        self.partitions()  # the client would not know of new ones otherwise
        committed = _asked(self._settings, lambda: self._consumer.committed(wanted, timeout=timeout))
        standings = {}
        for place in committed:
            low, high = _asked(self._settings, functools.partial(self._watermarks, place, timeout))
            standings[place.partition] = Standing(place.offset if place.offset >= 0 else None, low, high)
        return standings

    def partitions(self) -> list[int]:
        """The numbers of the topic's partitions; none where there is no such topic."""
        found = _asked(self._settings, lambda: self._consumer.list_topics(self._settings.topic, ANSWER_SECONDS)).topics
        return sorted(found[self._settings.topic].partitions)

    def close(self) -> None:
        """Lets the connections go."""
        self._consumer.close()

    def _watermarks(self, place: TopicPartition, timeout: float) -> tuple[int, int]:
        found = self._consumer.get_watermark_offsets(place, timeout=timeout)
        if found is None:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        return found


class Eraser:
    """Deletes the messages that are stored, so that the topic tells nothing about anybody."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings: Final = settings
        self._admin: Final = AdminClient(_client(settings))

    def erase(self, standings: Mapping[int, Standing], timeout: float = ANSWER_SECONDS) -> None:
        """Deletes what lies before the group's commit, which is all stored. Nobody of the group reads that again.

        Raises TransportError where Kafka does not do it.
        """
        ends = [
            TopicPartition(self._settings.topic, partition, standing.committed)
            for partition, standing in standings.items()
            if standing.committed is not None and standing.low < standing.committed <= standing.high
        ]
        if ends:
            asked = self._admin.delete_records(ends, request_timeout=timeout, operation_timeout=timeout)
            for answer in asked.values():
                _asked(self._settings, functools.partial(answer.result, timeout * 2))


def _client(settings: KafkaSettings) -> dict[str, Any]:
    return {
        "bootstrap.servers": settings.brokers,
        "client.id": "affectstream",
        "log_level": 2,  # our callers say what is wrong, in one line
        "reconnect.backoff.max.ms": 2000,
        "topic.metadata.refresh.interval.ms": round(LOOK_SECONDS * 1000),
        "error_cb": lambda _error: None,
    }


def _led(admin: AdminClient, topic: str) -> bool:
    found = admin.list_topics(topic, timeout=ANSWER_SECONDS).topics[topic]
    return bool(found.partitions) and all(partition.leader >= 0 for partition in found.partitions.values())


def _asked(settings: KafkaSettings, question: Callable[[], T]) -> T:
    try:
        return question()
    except KafkaException as error:
        raise _refused(settings, error.args[0]) from error


def _refused(settings: KafkaSettings, error: KafkaError) -> TransportError:
    if error.code() in _AWAY:
        return _unreachable(settings, error.str())
    if error.code() in {KafkaError.UNSUPPORTED_VERSION, KafkaError._UNSUPPORTED_FEATURE}:
        return TransportError(
            f"Kafka at {settings.brokers} (kafka.brokers) is too old: it lacks what an idempotent producer needs; "
            "use Kafka 2.1 or later"
        )
    if error.code() == KafkaError.INVALID_REPLICATION_FACTOR:
        return TransportError(f"Kafka has too few brokers for kafka.replication = {settings.replication}")
    if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
        return TransportError(f"Kafka refuses a message for its size; raise max.message.bytes of {settings.topic}")
    return TransportError(f"Kafka at {settings.brokers} (kafka.brokers) refused: {error.str()}")


def _unreachable(settings: KafkaSettings, detail: str) -> BrokersAwayError:
    return BrokersAwayError(
        f"Kafka at {settings.brokers} cannot be reached; check kafka.brokers, and that the brokers run ({detail})"
    )


_AWAY: Final = {
    KafkaError._TRANSPORT,
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT,
    KafkaError._MSG_TIMED_OUT,
    KafkaError._RESOLVE,
    KafkaError._TIMED_OUT_QUEUE,
    KafkaError.REQUEST_TIMED_OUT,
}
_NO_TOPIC: Final = {
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
}
