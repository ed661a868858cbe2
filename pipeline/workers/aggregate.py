"""The last worker: the topic's messages through the aggregators into SQL. It is a Faust application.

Faust brings the messages and shares the partitions out. It is not trusted with more, since it is known to commit past a
message that is still being worked on, to lose some in a rebalance, and to stop consuming without a word. Therefore

- what is stored is decided by the books (`pipeline.ledger`), in one transaction with the rows;
- offsets are committed here, after that transaction, and only up to what is stored without a gap;
- a gap in what Faust delivers makes us start again from the last commit;
- frames that never come are given up by how far the topic is stored, also where nothing more is published;
- with privacy level aggregate, what is stored and committed is deleted from the topic;
- a watchdog ends the process when nothing is consumed although something waits.
"""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from contracts.errors import StorageAwayError, StorageError, TransportError
from contracts.settings import Settings
from pipeline import metrics
from pipeline.broadcast import Broadcast
from pipeline.entries import STAGE, Entry
from pipeline.ledger import Done, Ledger
from pipeline.topic import BrokersAwayError, Eraser, Onlooker, Standing, ensure_topic, partition_of
from pipeline.workers.consuming import Consuming, Event
from pipeline.workers.offsets import GapError, Offsets, Passed
from pipeline.workers.patience import GivenUpError, Patience
from pipeline.workers.shell import Shell
from pipeline.workers.watchdog import Watchdog
from storage.store import Store

STUCK: Final = 70
"""The exit code of a worker that has ended itself."""
TICK: Final = 0.05
COMMIT_EVERY: Final = 0.5
LOOK_EVERY: Final = 2.0
STOP_SECONDS: Final = 10.0
SLOW_SECONDS: Final = 1.0
"""A batch that takes longer is held up by the database, not by the consumer."""
RETRY_SECONDS: Final = (0.05, 0.2)
"""Of the store itself; for longer waits there is our own patience, which can be interrupted."""


class AggregateWorker:
    """Runs until it is asked to stop."""

    def __init__(self, settings: Settings, shell: Shell) -> None:
        """Connects to nothing yet."""
        self._settings: Final = settings
        self._shell: Final = shell
        self._patience: Final = Patience(shell.stopping, shell.say, self._failed)
        self._offsets: Final = Offsets(shell.say)
        self._committed: Final[dict[int, int]] = {}
        self._consuming: Consuming | None = None
        self._busy_since: float | None = None
        self._books_old = False
        self._passed: Final = Passed()
        self._quiet: tuple[int, Sequence[int], int] | None = None  # until when, in which partitions, of how many
        self._books: Final = threading.Lock()  # held while the ledger is in use
        self._ledger: Ledger
        self._store: Store
        self._onlooker: Onlooker
        self._broadcast: Final = Broadcast(settings, STAGE)
        self._eraser: Eraser | None
        self._erasing = True

    def run(self) -> None:
        """Does the work. Raises an AffectstreamError for what does not pass by itself."""
        try:
            self._patience.until_done(self._ensure_topic, BrokersAwayError)
            opened = self._patience.until_done(lambda: Store(self._settings.storage, RETRY_SECONDS), StorageAwayError)
        except GivenUpError:
            return
        self._store, self._ledger = opened, Ledger(opened, self._settings)
        self._onlooker = Onlooker(self._settings.kafka)
        self._eraser = Eraser(self._settings.kafka) if self._settings.privacy.aggregate else None
        with opened, self._broadcast:
            watching = threading.Thread(target=self._watch, name="affectstream-watchdog", daemon=True)
            watching.start()
            while not self._shell.stopping.is_set():
                asyncio.run(self._session())
            watching.join(STOP_SECONDS)
            self._onlooker.close()

    async def _session(self) -> None:
        """One membership in the group: until we are asked to stop, or until something breaks it."""
        consuming = Consuming(self._settings.kafka, self._settings.worker.lease, self._handle, self._shared_out)
        self._consuming = consuming
        starting = asyncio.ensure_future(consuming.start())
        committed_at = time.monotonic()
        while not (self._shell.stopping.is_set() or consuming.crashed or _failed(starting)):
            self._shell.beat()
            if consuming.joined:
                self._shell.ready.set()
            if time.monotonic() - committed_at > COMMIT_EVERY:
                await self._commit(consuming)
                committed_at = time.monotonic()
            if (quiet := self._quiet) is not None:
                self._quiet = None
                await asyncio.to_thread(self._give_up, *quiet)
            await asyncio.sleep(TICK)
        await self._leave(consuming, starting)
        if self._shell.stopping.is_set():
            return
        if isinstance(consuming.failure, GapError):
            self._shell.say(str(consuming.failure))
        elif consuming.failure is not None:
            raise consuming.failure
        else:
            why = consuming.crash or (starting.exception() if _failed(starting) else None)
            self._shell.say(f"consuming from Kafka (kafka.brokers) broke off, joining again: {why!r}")
            metrics.RECONNECTS.labels("kafka").inc()
            await asyncio.sleep(1)

    async def _leave(self, consuming: Consuming, starting: "asyncio.Future[None]") -> None:
        try:
            await consuming.finish(STOP_SECONDS / 2)
            mine = consuming.partitions
            await self._commit(consuming)
            await asyncio.to_thread(self._erase_last, mine)
            self._consuming = None
            await consuming.stop(STOP_SECONDS / 2)
        except TimeoutError:
            # What is stored is stored; whoever comes next goes on from there.
            self._shell.say("Kafka did not let us go in time")
            os._exit(0 if self._shell.stopping.is_set() else STUCK)
        finally:
            starting.cancel()

    def _ensure_topic(self) -> None:
        ensure_topic(self._settings.kafka, short_lived=self._settings.privacy.aggregate)

    def _shared_out(self) -> None:
        self._offsets.forget()
        self._committed.clear()
        self._books_old = True

    async def _handle(self, events: list[Event]) -> None:
        self._busy_since = time.monotonic()
        try:
            consuming = self._consuming
            mine = consuming.partitions if consuming else set()
            await self._take([event for event in events if event.partition in mine])
        finally:
            self._busy_since = None

    async def _take(self, events: list[Event]) -> None:
        if unknown := self._offsets.unknown({event.partition for event in events}):
            look = partial(self._patience.until_done, partial(self._onlooker.look, unknown), TransportError)
            for partition, standing in (await asyncio.to_thread(look)).items():
                self._offsets.locate(partition, standing)
        indexes, ends = self._offsets.fresh([(event.partition, event.offset) for event in events])
        if indexes:
            entries = [_entry(self._settings.kafka.topic, events[index]) for index in indexes]
            await asyncio.to_thread(self._apply, entries)
        self._offsets.advance(ends)

    def _apply(self, entries: list[Entry]) -> None:
        with self._books:
            self._renew_books()
            with metrics.busy(STAGE):
                done = self._patience.until_done(partial(self._ledger.apply, entries), StorageError)
        metrics.BATCH.labels(STAGE).observe(len(entries))
        self._tell(done)

    def _give_up(self, until: int, partitions: Sequence[int], number: int) -> None:
        """All is stored that these of so many partitions had then: what is still missing may never come."""
        if not self._books.acquire(blocking=False):
            return  # a batch is in work, which sees to its own cameras
        try:
            self._renew_books()
            cameras = self._store.cameras_with_checkpoints()
            done = self._ledger.tick((one for one in cameras if partition_of(one, number) in partitions), until)
        except StorageError:
            return  # whoever has something to store says so
        finally:
            self._books.release()
        self._tell(done)

    def _renew_books(self) -> None:
        if self._books_old:  # others may have written them since
            self._books_old = False
            self._ledger.forget(self._ledger.cameras)

    def _tell(self, done: Done) -> None:
        _count(done)
        self._broadcast.rows(done.rows, done.runs, list(done.latest.values()))
        for letter in done.unreadable:
            self._shell.say(f"{letter.run_id}, message {letter.seq}: {letter.reason}; kept as a dead letter")
        for camera_id, gap in done.given_up:
            frames = f"frame {gap.first}" if len(gap) == 1 else f"frames {gap.first} to {gap.end - 1}"
            self._shell.say(f"{camera_id}, run {gap.run_id}: {frames} never arrived; given up, see dead_letter")

    async def _commit(self, consuming: Consuming) -> None:
        ends = {place: end for place, end in self._offsets.located().items() if self._committed.get(place) != end}
        if ends and await consuming.commit(ends):
            self._committed.update(ends)

    def _erase(self, standings: Mapping[int, Standing]) -> None:
        """With privacy level aggregate: deletes from the topic what is stored. Raises TransportError."""
        if self._eraser is None:
            return
        try:
            self._eraser.erase(standings, LOOK_EVERY * 2)
        except BrokersAwayError:
            raise
        except TransportError as error:
            if self._erasing:
                self._shell.say(f"what is stored stays in Kafka, against privacy.level: {error}")
            self._erasing = False
        else:
            self._erasing = True

    def _erase_last(self, partitions: set[int]) -> None:
        if self._eraser is None or not partitions:
            return
        onlooker = Onlooker(self._settings.kafka)  # the others may be in use
        with suppress(TransportError):  # whoever has them next does it
            self._erase(onlooker.look(partitions, LOOK_EVERY))
        onlooker.close()

    def _failed(self) -> None:
        metrics.RETRIES.labels(STAGE).inc()
        self._shell.beat()

    def _watch(self) -> None:
        onlooker, dog = Onlooker(self._settings.kafka), Watchdog(self._settings.kafka.stuck_after)
        while not self._shell.stopping.wait(LOOK_EVERY):
            if complaint := self._look(onlooker, dog):
                self._shell.say(f"{complaint}; ending, so that the supervisor starts us anew")
                os._exit(STUCK)
        onlooker.close()

    def _look(self, onlooker: Onlooker, dog: Watchdog) -> str | None:
        consuming, busy_since, looked_at = self._consuming, self._busy_since, time.time_ns()
        try:
            mine = consuming.partitions if consuming else set()
            standings = onlooker.look(mine, LOOK_EVERY * 2) if mine else {}
            number = len(onlooker.partitions())
            self._erase(standings)
        except TransportError:
            dog.reset()  # Kafka is to blame, not the consumer
            return None
        positions = {place: self._position(place, standing) for place, standing in standings.items()}
        metrics.LAG.clear()
        for place, standing in standings.items():
            metrics.LAG.labels(STAGE, str(place)).set(max(0, standing.high - positions[place]))
        if consuming is None or (busy_since is not None and time.monotonic() - busy_since > SLOW_SECONDS):
            dog.reset()  # the database is
            return None
        ends = {place: standing.high for place, standing in standings.items()}
        if number and (until := self._passed.look(positions, ends, looked_at)) is not None:
            self._quiet = until, sorted(ends), number
        return dog.look(positions, ends, joined=consuming.joined)

    def _position(self, partition: int, standing: Standing) -> int:
        committed = standing.low if standing.committed is None else standing.committed
        return max(committed, self._offsets.stored.get(partition, committed))


def _failed(starting: "asyncio.Future[None]") -> bool:
    return starting.done() and not starting.cancelled() and starting.exception() is not None


def _entry(topic: str, event: Event) -> Entry:
    return Entry(
        partition=f"{topic}/{event.partition}", offset=event.offset, at=round(event.at * 1e9),
        camera_id=event.key.decode("utf-8", "replace"), value=event.value,
    )  # fmt: skip


def _count(done: Done) -> None:
    for camera_id, counts in done.cameras.items():
        metrics.FRAMES.labels(STAGE, camera_id).inc(counts.frames)
        metrics.FACES.labels(STAGE, camera_id).inc(counts.faces)
    if lost := len(done.unreadable) + sum(len(gap) for _, gap in done.given_up):
        metrics.DEAD_LETTERS.labels(STAGE).inc(lost)
    for captured_at in done.captured_at:
        metrics.observe_latency("store", captured_at)


def aggregate(settings: Settings, *, debug: bool = False) -> None:
    """The worker, from start to stop. Raises an AffectstreamError for what does not pass by itself."""
    if not debug:
        # They report as an error what is tried again; we say in one line what matters.
        for name in ("faust", "mode", "aiokafka"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    metrics.begin(STAGE, server="kafka", done="store")
    with Shell(STAGE, settings.worker) as shell:
        AggregateWorker(settings, shell).run()
