"""The Faust application: brings batches of messages to a function. All that touches Faust's insides is here."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final

import faust
import msgspec
from aiokafka.structs import OffsetAndMetadata, TopicPartition  # type: ignore[import-untyped]

from contracts.settings import KafkaSettings
from pipeline.topic import LOOK_SECONDS

SHORTEST_SESSION: Final = 6.0
"""Brokers do not take less, as they come."""
COMMIT_SECONDS: Final = 5.0


class Event(msgspec.Struct, frozen=True):
    """A message of the topic."""

    partition: int
    offset: int
    at: float  # when it was published, UTC seconds
    key: bytes
    value: bytes


class Consuming:
    """One membership in the group of aggregators, from start to stop. A new one is needed to go on after a crash."""

    def __init__(
        self, settings: KafkaSettings, session_seconds: float, handle: Callable[[list[Event]], Awaitable[None]],
        shared_out: Callable[[], None],
    ) -> None:  # fmt: skip
        """`handle` gets the batches, one after the other; when it raises, that ends the consumption (`failure`).

        `shared_out` is called when the partitions have been shared out anew. A member that is silent for
        `session_seconds` counts as dead.
        """
        self.failure: BaseException | None = None
        self._topic: Final = settings.topic
        self._settings: Final = settings
        self._handle: Final = handle
        self._shared_out: Final = shared_out
        self._lock: Final = asyncio.Lock()  # held while a batch is in work
        self._joined = False
        self._folder: Final = tempfile.TemporaryDirectory(prefix="affectstream-")  # Faust insists on one
        self._app: Final = self._application(max(session_seconds, SHORTEST_SESSION))

    @property
    def joined(self) -> bool:
        """Whether the group has given us our partitions, which may be none."""
        return self._joined

    @property
    def crashed(self) -> bool:
        """Whether the consumption has ended by itself."""
        return self.failure is not None or bool(self._app.crashed or self._app.should_stop)

    @property
    def crash(self) -> BaseException | None:
        """Why Faust has given up, where it has."""
        reason = self._app.crash_reason
        return reason if isinstance(reason, BaseException) else None

    @property
    def partitions(self) -> set[int]:
        """The partitions that are ours now."""
        if not self._joined:
            return set()
        return {place.partition for place in self._app.consumer.assignment() if place.topic == self._topic}

    async def start(self) -> None:
        """Joins the group; returns when messages come. They come from then on, also while others wait for this."""
        await self._app.start()

    async def finish(self, seconds: float) -> None:
        """Lets the batch in work be finished, for at most so long, and none begin after it."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._lock.acquire(), seconds)

    async def stop(self, seconds: float) -> None:
        """Leaves the group. Raises TimeoutError where Kafka does not answer."""
        await asyncio.wait_for(self._app.stop(), seconds)
        self._folder.cleanup()

    async def commit(self, ends: Mapping[int, int]) -> bool:
        """Tells the group where to go on, for those partitions that are ours. False where that failed for now."""
        mine = self.partitions
        offsets = {
            TopicPartition(self._topic, partition): OffsetAndMetadata(end, "")
            for partition, end in ends.items()
            if partition in mine
        }
        if not offsets:
            return True
        thread = self._app.consumer._thread  # Faust's own way to commit crashes the application when it fails
        try:
            await asyncio.wait_for(thread.call_thread(thread._ensure_consumer().commit, offsets), COMMIT_SECONDS)
        except Exception:  # noqa: BLE001  (what is not committed is delivered again and recognised)
            return False
        return True

    def _application(self, session: float) -> Any:
        app = faust.App(
            self._settings.group,
            broker=[f"kafka://{broker.strip()}" for broker in self._settings.brokers.split(",")],
            datadir=self._folder.name,
            autodiscover=False,
            web_enabled=False,
            processing_guarantee="at_least_once",
            consumer_auto_offset_reset="earliest",
            consumer_metadata_max_age_ms=round(LOOK_SECONDS * 1000),
            stream_wait_empty=False,  # else a rebalance waits for batches that are not ours any more
            table_standby_replicas=0,  # no tables: the plain assignor will do
            topic_disable_leader=True,
            topic_allow_declare=False,
            broker_session_timeout=session,
            broker_heartbeat_interval=session / 5,
            broker_max_poll_interval=86_400.0,  # a database that is away for long must not cost us our partitions
            broker_max_poll_records=self._settings.batch * 2,
            stream_buffer_maxsize=self._settings.batch * 4,
        )
        topic = app.topic(
            self._settings.topic, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw",
            allow_empty=True, acks=False,
        )  # fmt: skip
        app.agent(topic, name="aggregate", concurrency=1)(self._agent)
        app.on_partitions_revoked.connect(self._on_revoked, weak=False)
        app.on_partitions_assigned.connect(self._on_assigned, weak=False)
        app.finalize()
        return app

    async def _agent(self, stream: Any) -> None:
        async for events in stream.take_events(self._settings.batch, within=self._settings.batch_seconds):
            async with self._lock:
                try:
                    await self._handle([_event(event.message) for event in events])
                except Exception as error:  # noqa: BLE001  (whoever runs us decides)
                    self.failure = error
            if self.failure is not None:
                await asyncio.Event().wait()  # nothing more may be read

    async def _on_revoked(self, *_: Any, **__: Any) -> None:
        self._joined = False

    async def _on_assigned(self, *_: Any, **__: Any) -> None:
        self._joined = True
        self._shared_out()


def _event(message: Any) -> Event:
    return Event(
        message.tp.partition, message.offset, message.timestamp or 0.0, message.key or b"", message.value or b""
    )
