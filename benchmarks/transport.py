"""What each step of a frame's way through the workers costs by itself, one call after the other, on real servers.

Redis and Postgres write with fsync here. By the clock a step waits for a server and its disk; processor time is that
of this process and of the servers together.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import text

from benchmarks import checkout
from benchmarks.costs import spent
from benchmarks.messages import EVERY, Messages, placed, started
from benchmarks.result import Cell, Column, Table, spread
from contracts import wire
from contracts.messages import EmotionsMessage, FacesMessage, FrameMessage
from contracts.settings import KafkaSettings, Settings, StorageSettings
from pipeline.entries import Entry
from pipeline.jpeg import to_jpeg, to_picture
from pipeline.ledger import Ledger
from pipeline.link import Link
from pipeline.publishing import Publisher
from pipeline.streams import Consumer, Outcome
from pipeline.topic import TopicPublisher
from pipeline.workers.consuming import Consuming, Event
from pipeline.workers.detect import AT_ONCE
from storage import open_store
from storage.store import Store

if TYPE_CHECKING:
    from tests.pipeline.distributed.cluster import Cluster

CAMERA = "bench"
TOGETHER = 16
"""Frames of a classifier's batch, where a batch is to stand for one under load."""
MANY = 2000
"""Messages that are read from Kafka, and stored in full transactions."""
WAL = text("SELECT pg_current_wal_lsn() - '0/0'")


class Step(NamedTuple):
    """A step of one frame."""

    ms: float
    cpu_ms: float
    bytes: float | None = None


Steps = dict[str, Step]


def measure(place: "Cluster", messages: Messages, *, rounds: int) -> Table:
    """Steps in the order of the way."""
    taken: dict[str, list[Step]] = {}
    with checkout.postgres(fsync="on") as url:
        for _ in range(rounds):
            place.fresh({})
            settings = checkout.settings(place)
            steps = (_jpeg(messages, settings) | _wire(messages) | _redis(messages, settings)
                     | _kafka(messages, settings.kafka) | _postgres(messages, settings, url))  # fmt: skip
            for name, step in steps.items():
                taken.setdefault(name, []).append(step)
    rows: list[list[Cell]] = [
        [name, spread([step.ms for step in each]), spread([step.cpu_ms for step in each]), each[0].bytes]
        for name, each in taken.items()
    ]
    height, width = messages.pictures[0].shape[:2]
    return Table(
        title=f"{messages.title}: each step of a frame's way by itself",
        columns=(
            Column("step"), Column("by the clock", "ms per frame", 3, better="lower"),
            Column("processor time", "ms per frame", 3, better="lower"),
            Column("size", "bytes per frame", 0, better="lower"),
        ),
        rows=rows,
        note=f"{width}x{height}, {messages.many:.2f} faces per frame, {len(messages)} frames. Redis and Postgres with "
        "fsync. To publish and to settle includes packing, to commit includes unpacking, the aggregator and the books.",
    )  # fmt: skip


def _jpeg(messages: Messages, settings: Settings) -> Steps:
    jpegs, quality = [frame.jpeg for frame in messages.jpegs], settings.redis.jpeg_quality
    size = sum(map(len, jpegs)) / len(jpegs)
    return {
        "JPEG: encode": _alone(lambda picture: to_jpeg(picture, quality), messages.pictures, size),
        "JPEG: decode": _alone(to_picture, jpegs, size),
    }


def _wire(messages: Messages) -> Steps:
    steps: Steps = {}
    kinds: tuple[tuple[str, Sequence[Any], Any], ...] = (
        ("frame", messages.jpegs, FrameMessage), ("faces", messages.faces, FacesMessage),
        ("emotions", messages.emotions, EmotionsMessage),
    )  # fmt: skip
    for name, each, kind in kinds:
        packed = [wire.pack(message) for message in each]
        size = sum(map(len, packed)) / len(packed)
        steps[f"message of {name}: pack"] = _alone(wire.pack, each, size)
        steps[f"message of {name}: unpack"] = _alone(partial(wire.unpack, kind=kind), packed, size)
    return steps


def _redis(messages: Messages, settings: Settings) -> Steps:
    """The streams as ingest, detect and classify use them; in each, the news that a run has started comes first."""
    run = started(CAMERA, time.time_ns())
    frame, faces = placed(messages.jpegs, run), placed(messages.faces, run)
    many = len(messages)
    with checkout.linked(settings) as link:
        publisher = Publisher(link, CAMERA)
        publisher.begin(run)
        publish = _carried(link, lambda: _each(publisher.frame, [frame(seq) for seq in range(many)]), many)
        successors = iter([run, *(faces(seq) for seq in range(many))])
        with Consumer(link, "detect") as consumer:
            detect = _carried(link, lambda: _step(lambda: _settle_each(consumer, successors, many + 1), many), many)
        with Consumer(link, "classify") as consumer:
            classify = _carried(link, lambda: _step(lambda: _settle_together(consumer, many + 1), many), many)
    return {
        "Redis: publish a frame": publish, "Redis: read a frame, settle it with its faces": detect,
        f"Redis: read faces, settle them, {TOGETHER} frames at once": classify,
    }  # fmt: skip


def _carried(link: Link, step: Callable[[], Step], count: int) -> Step:
    """The step, with the bytes that went to Redis and came from it."""

    def total() -> int:
        found: Any = link.redis.info("stats")
        return int(found["total_net_input_bytes"] + found["total_net_output_bytes"])

    before = total()
    taken = step()
    return taken._replace(bytes=(total() - before) / count)


def _settle_each(consumer: Consumer, successors: Iterator[Any], count: int) -> None:
    while count:
        for entry in consumer.read(AT_ONCE, 1.0):
            consumer.settle([Outcome(entry=entry, successor=next(successors))])
            count -= 1


def _settle_together(consumer: Consumer, count: int) -> None:
    while count:
        entries = consumer.read(TOGETHER, 1.0)
        consumer.settle([Outcome(entry=entry) for entry in entries])
        count -= len(entries)


def _kafka(messages: Messages, settings: KafkaSettings) -> Steps:
    pairs = [(CAMERA, wire.pack(message)) for message in messages.emotions]
    batches = [pairs[first : first + TOGETHER] for first in range(0, len(pairs), TOGETHER)]
    publisher = TopicPublisher(settings)
    publisher.ensure_topic()
    publisher.publish(pairs[:1])  # connects
    size = sum(len(message) for _, message in pairs) / len(pairs)
    alone = _each(lambda pair: publisher.publish([pair]), pairs, size)
    together = _step(lambda: _all(publisher.publish, batches), len(pairs), size)
    publisher.publish([pairs[number % len(pairs)] for number in range(MANY)])
    publisher.close()
    read = asyncio.run(_read(settings, MANY + 1 + 2 * len(pairs)))
    return {
        "Kafka: publish a message": alone, f"Kafka: publish, {TOGETHER} messages at once": together,
        "Kafka: read, as the aggregator does": read._replace(bytes=size),
    }  # fmt: skip


async def _read(settings: KafkaSettings, count: int) -> Step:
    """Reads so many messages; measured from the first batch on, since joining a group takes seconds."""
    for name in ("faust", "mode", "aiokafka"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    found: asyncio.Future[Step] = asyncio.get_running_loop().create_future()
    stop: Callable[[int], Step] | None = None
    left = rest = count

    async def handle(events: list[Event]) -> None:
        nonlocal left, rest, stop
        left -= len(events)
        if stop is None:
            stop, rest = _stopwatch(), left
        elif left == 0:
            found.set_result(stop(rest))

    consuming = Consuming(settings, 15.0, handle, lambda: None)
    starting = asyncio.ensure_future(consuming.start())
    step = await asyncio.wait_for(found, 60)
    await consuming.stop(10)
    starting.cancel()
    return step


def _postgres(messages: Messages, settings: Settings, url: str) -> Steps:
    """The books as the aggregator keeps them, of one camera."""
    run = started(f"{CAMERA}-{time.time_ns()}", time.time_ns())
    frame = placed(messages.emotions, run)
    first = Entry(partition="0", offset=0, at=run.started_at, camera_id=run.camera_id, value=wire.pack(run))

    def entries(start: int, count: int) -> list[Entry]:
        return [
            Entry(
                partition="0", offset=seq + 1, at=run.started_at + seq * EVERY, camera_id=run.camera_id,
                value=wire.pack(frame(seq)),
            )
            for seq in range(start, start + count)
        ]  # fmt: skip

    alone, size = len(messages), settings.kafka.batch
    with open_store(StorageSettings(url=url)) as store:
        ledger = Ledger(store, settings)
        ledger.apply([first, *entries(0, 10)])  # not counted: the day's partition, people
        one = _logged(store, lambda: _each(lambda entry: ledger.apply([entry]), entries(10, alone)), alone)
        batches = [entries(seq, size) for seq in range(10 + alone, 10 + alone + MANY, size)]
        full = size * len(batches)
        many = _logged(store, lambda: _step(lambda: _all(ledger.apply, batches), full), full)
    return {"Postgres: commit a frame": one, f"Postgres: commit, {size} frames at once": many}


def _logged(store: Store, step: Callable[[], Step], count: int) -> Step:
    """The step, with the bytes that Postgres has logged for it."""

    def position() -> int:
        return store.transact(lambda connection: int(connection.execute(WAL).scalar_one()), write=False)

    before = position()
    taken = step()
    return taken._replace(bytes=(position() - before) / count)


def _each(work: Callable[[Any], object], things: Sequence[Any], size: float | None = None) -> Step:
    """A step that is done with one thing after the other."""
    return _step(lambda: _all(work, things), len(things), size)


def _alone(work: Callable[[Any], object], things: Sequence[Any], size: float) -> Step:
    """A step without a server."""
    used, began = time.process_time(), time.perf_counter()
    _all(work, things)
    seconds, used = time.perf_counter() - began, time.process_time() - used
    return Step(1000 * seconds / len(things), 1000 * used / len(things), size)


def _all(work: Callable[[Any], object], things: Sequence[Any]) -> None:
    for thing in things:
        work(thing)


def _step(work: Callable[[], object], count: int, size: float | None = None) -> Step:
    stop = _stopwatch()
    work()
    return stop(count)._replace(bytes=size)


def _stopwatch() -> Callable[[int], Step]:
    """Starts now; what it gives is called at the end, with how many frames there were."""
    servers, own, began = _servers(), time.process_time(), time.perf_counter()

    def stop(count: int) -> Step:
        seconds, used = time.perf_counter() - began, time.process_time() - own
        return Step(1000 * seconds / count, 1000 * (used + _servers() - servers) / count)

    return stop


def _servers() -> float:
    return sum(spent({}).values())
