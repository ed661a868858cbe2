"""The streams between ingest, detectors and classifiers, and how a worker takes its share of them.

A camera's shard is a hash of its name. A shard's keys carry its name in braces, so that Redis Cluster keeps them
together and one script can work on all of them: `{PREFIX:SHARD}:frames`, `:faces`, `:dead` and `:runs`.

An entry is deleted in the same step that publishes its successor, and only by whoever is first: a stream's length is
what still has to be done, and an entry that two workers hold (one of them was thought dead) has one successor.
"""

import os
import secrets
import socket
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeAlias, TypeVar

import msgspec
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from contracts import wire
from contracts.errors import AffectstreamError, StageError, TransportError
from contracts.messages import FrameFaces, FrameId, JpegFrame, Tombstone
from pipeline import metrics, scripts
from pipeline.checking import check_place
from pipeline.link import Link

T = TypeVar("T")

Stage: TypeAlias = Literal["detect", "classify"]
READS: Final[dict[Stage, str]] = {"detect": "frames", "classify": "faces"}
"""The stream that a stage reads; its consumer group has the stage's name."""
WRITES: Final[dict[Stage, str | None]] = {"detect": "faces", "classify": None}
"""The stream that a stage writes; the classifiers write to the topic."""

AGAIN: Final = b"again"
"""A field of an entry that was put back by hand: in clear, since what was given up may not be readable."""
LARGEST_KEPT: Final = 2 << 20
"""Bytes of a dead letter's payload beyond which only its identity is kept, so that memory has a bound."""
FORGET_AFTER: Final = 3600
"""Seconds after which a consumer that holds nothing and asks for nothing is forgotten."""
LOOK_EVERY: Final = 1.0
"""Seconds between looks for what dead workers held."""
HUNG: Final = 60.0
"""Seconds without a sign of life after which a worker no longer defends what it holds."""


def shard_of(camera_id: str, shards: int) -> int:
    """The shard of a camera: the same in every process, release and language."""
    return zlib.crc32(camera_id.encode()) % shards


def key(prefix: str, shard: int, what: str) -> str:
    """The name of one of a shard's keys."""
    return f"{{{prefix}:{shard}}}:{what}"


def fields(message: Any) -> list[bytes]:
    """A message as an entry, names and values in turn: packed, and its identity in clear, which damage leaves."""
    seq, at = (str(message.seq), str(message.captured_at)) if isinstance(message, FrameId) else ("", "")
    named = {"m": wire.pack(message), "camera": message.camera_id, "run": message.run_id, "seq": seq, "at": at}
    return [part if isinstance(part, bytes) else part.encode() for pair in named.items() for part in pair]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A message in a stream, as it was delivered to us."""

    shard: int
    id: bytes
    fields: dict[bytes, bytes]
    deliveries: int = 1

    def open(self, kind: Any) -> Any:
        """The message, one of the union `kind`. Raises StageError for anything else, whatever it is."""
        if (payload := self.fields.get(b"m")) is None:
            raise StageError("an entry without a message")
        try:
            message = wire.unpack(payload, kind)
        except StageError:
            raise
        except Exception as error:  # noqa: BLE001  (bytes of chance can break a decoder in any way)
            raise StageError(f"damaged message: {type(error).__name__}") from None
        if isinstance(message, FrameId):
            check_place(message)
            if AGAIN in self.fields:
                return msgspec.structs.replace(message, again=True)
        return message

    def tombstone(self, stage: Stage, reason: str) -> Tombstone | None:
        """What stands in for the frame, from what can be read of its identity; None where nothing can."""
        try:
            frame = self._frame()
        except (StageError, KeyError, ValueError):
            return None
        return Tombstone(
            camera_id=frame.camera_id, run_id=frame.run_id, seq=frame.seq, captured_at=frame.captured_at,
            again=frame.again, stage=stage, reason=reason,
        )  # fmt: skip

    def _frame(self) -> FrameId:
        with suppress(StageError):
            frame: FrameId = self.open(JpegFrame | FrameFaces | Tombstone)
            return frame
        named = {name: self.fields[name].decode() for name in (b"camera", b"run", b"seq", b"at")}
        clear = FrameId(
            camera_id=named[b"camera"], run_id=named[b"run"], seq=int(named[b"seq"]), captured_at=int(named[b"at"]),
            again=AGAIN in self.fields,
        )  # fmt: skip
        check_place(clear)
        return clear


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an entry: its successor, if there is one in Redis, and the reason if it is given up."""

    entry: Entry
    successor: Any = None
    dead: str | None = None


class Consumer:
    """One worker's, or one of its threads', share of a stage's streams. Used by one thread.

    Entries that it holds stay its own for as long as it gives signs of life (`read`, `settle`, `beat`).
    """

    def __init__(self, link: Link, stage: Stage, *, keep_payloads: bool = True) -> None:
        """Asks Redis for nothing yet. `keep_payloads`: of dead letters, for a retry."""
        self._keep_payloads: Final = keep_payloads
        self.stage: Final[Stage] = stage
        self.name: Final = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self.seen = time.monotonic()
        """When it last gave a sign of life."""
        settings = link.settings
        self._link: Final = link
        self._settings: Final = settings
        self._streams: Final = [key(settings.prefix, shard, READS[stage]) for shard in range(settings.shards)]
        self._shards: Final = {stream.encode(): shard for shard, stream in enumerate(self._streams)}
        self._patience: Final = round(settings.take_over_after * 1000)
        self._lock: Final = threading.Lock()
        self._held: Final[dict[tuple[int, bytes], Entry]] = {}
        self._suspect: Entry | None = None
        self._reply_lost = False
        self._next_look = 0.0
        self._closed: Final = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name=f"affectstream-{stage}-keeper", daemon=True)

    def __enter__(self) -> Self:
        """Makes the streams and groups where they are missing, and forgets consumers of long ago."""
        self._call(self._make_groups)
        self._call(lambda redis: self._forget(redis, ""))
        self._keeper.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hands back what is held, so that others need not wait for it, and leaves the group.

        Not where the worker breaks down: what it held may be the cause, and must not come to the others as if new.
        """
        self._closed.set()
        if error is None or isinstance(error, AffectstreamError):
            with suppress(TransportError, RedisError):
                self._hand_back(self._link.redis)
                self._forget(self._link.redis, self.name)

    def beat(self) -> None:
        """Gives a sign of life; to be called while the worker waits for anything but Redis."""
        self.seen = time.monotonic()

    def read(self, count: int, wait: float, *, take_over: bool = True) -> list[Entry]:
        """The next entries, at most so many of each shard; none if there are none within `wait` seconds.

        What a dead worker held comes first, one at a time: whichever of its entries brought it down is then alone.
        Without `take_over`, only what is new.
        """
        self.beat()
        if take_over and (entries := self._left_by_others(count)):
            return entries
        entries = self._call(lambda redis: self._read(redis, count, wait))
        self.beat()
        return [self._hold(entry) for entry in entries]

    def _left_by_others(self, count: int) -> list[Entry]:
        """What others handed back, which is above suspicion; or one entry that a dead worker held."""
        if self._suspect is not None:
            suspect, self._suspect = self._suspect, None
            return [suspect]
        entries: list[Entry] = []
        while len(entries) < count and time.monotonic() >= self._next_look:
            if (found := self._call(self._take_over)) is None:
                self._next_look = time.monotonic() + LOOK_EVERY
            elif self._hold(found).deliveries == 1:
                entries.append(found)
            elif entries:
                self._suspect = found
                break
            else:
                return [found]
        return entries

    def settle(self, outcomes: Sequence[Outcome]) -> None:
        """Publishes the successors, keeps the dead and deletes the entries: each entry wholly or not at all."""
        calls = [self._settling(outcome) for outcome in outcomes]

        def work(redis: Redis) -> None:
            pipe = redis.pipeline(transaction=False)
            for keys, arguments in calls:
                pipe.eval(scripts.SETTLE, len(keys), *keys, *arguments)
            pipe.execute()

        if calls:
            self._call(work)
        with self._lock:
            for outcome in outcomes:
                self._held.pop((outcome.entry.shard, outcome.entry.id), None)
        for outcome in outcomes:
            if outcome.dead is not None:
                metrics.DEAD_LETTERS.labels(self.stage).inc()
        self.beat()

    def _settling(self, outcome: Outcome) -> tuple[list[str], list[Any]]:
        entry, prefix = outcome.entry, self._settings.prefix
        following = fields(outcome.successor) if outcome.successor is not None else []
        buried = self._letter(entry, outcome.dead) if outcome.dead is not None and self._settings.keep_dead else []
        keys = [
            self._streams[entry.shard],
            key(prefix, entry.shard, WRITES[self.stage] or READS[self.stage]),
            key(prefix, entry.shard, "dead"),
        ]
        return keys, [
            self.stage, entry.id, self._settings.keep_dead, len(following), *following, len(buried), *buried,
        ]  # fmt: skip

    def _letter(self, entry: Entry, reason: str) -> list[bytes]:
        """A dead letter's fields: identity and reason in clear, and the entry as it was, if that may be kept."""
        kept = msgspec.msgpack.encode(entry.fields)
        if not self._keep_payloads:
            kept, reason = b"", f"{reason} (not kept: privacy.level is aggregate)"
        elif len(kept) > LARGEST_KEPT:
            kept, reason = b"", f"{reason} (its {len(kept):,} bytes are not kept)"
        named = {
            b"stage": self.stage.encode(), b"reason": reason.encode(),
            **{name: entry.fields.get(name, b"")[:200] for name in (b"camera", b"run", b"seq", b"at")}, b"entry": kept,
        }  # fmt: skip
        return [part for pair in named.items() for part in pair]

    def _call(self, work: Callable[[Redis], T]) -> T:
        """Does something that may be done twice; makes the groups again if Redis has lost them."""

        def guarded(redis: Redis) -> T:
            try:
                return work(redis)
            except ResponseError as error:
                if "NOGROUP" not in str(error) and not str(error).startswith("UNBLOCKED"):
                    raise
                self._make_groups(redis)
                return work(redis)

        return self._link.patiently(guarded, beat=self.beat)

    def _make_groups(self, redis: Redis) -> None:
        for stream in self._streams:
            redis.eval(scripts.MAKE_GROUP, 1, stream, self.stage)

    def _read(self, redis: Redis, count: int, wait: float) -> list[Entry]:
        # Until the reply is here, it may be lost on its way: the entries are ours then, and we do not know them.
        if self._reply_lost and (entries := self._parse(self._group_read(redis, "0", 1000, None))):
            self._reply_lost = False
            return entries
        self._reply_lost = True
        reply = self._group_read(redis, ">", count, max(1, round(wait * 1000)) if wait else None)
        self._reply_lost = False
        return self._parse(reply)

    def _group_read(self, redis: Redis, start: str, count: int, block: int | None) -> Any:
        return redis.xreadgroup(self.stage, self.name, dict.fromkeys(self._streams, start), count=count, block=block)

    def _parse(self, reply: Any) -> list[Entry]:
        found = [
            Entry(shard=self._shards[stream], id=id_, fields=content)
            for stream, entries in reply or []
            for id_, content in entries
            if content  # none where it was deleted in the meantime
        ]
        with self._lock:
            return [entry for entry in found if (entry.shard, entry.id) not in self._held]

    def _take_over(self, redis: Redis) -> Entry | None:
        self._count_lag(redis)
        for shard, stream in enumerate(self._streams):
            cursor: Any = "0-0"
            while True:
                self._reply_lost = True
                reply: Any = redis.xautoclaim(stream, self.stage, self.name, self._patience, cursor, count=1)
                cursor, claimed = reply[0], [pair for pair in reply[1] if pair[0] is not None and pair[1]]
                if claimed and (shard, claimed[0][0]) not in self._held:
                    id_, content = claimed[0]
                    pending: Any = redis.xpending_range(stream, self.stage, id_, id_, 1)
                    self._reply_lost = False
                    metrics.TAKEN_OVER.labels(self.stage).inc()
                    deliveries = int(pending[0]["times_delivered"]) if pending else 1
                    return Entry(shard=shard, id=id_, fields=content, deliveries=deliveries)
                self._reply_lost = False
                if cursor == b"0-0":
                    break
        return None

    def _count_lag(self, redis: Redis) -> None:
        pipe = redis.pipeline(transaction=False)
        for stream in self._streams:
            pipe.xlen(stream)
        for shard, length in enumerate(pipe.execute()):
            metrics.LAG.labels(self.stage, str(shard)).set(length)

    def _hold(self, entry: Entry) -> Entry:
        with self._lock:
            self._held[entry.shard, entry.id] = entry
        return entry

    def _keep(self) -> None:
        """Defends what is held, so that a slow worker, or one that waits for Kafka, is not taken for dead."""
        while not self._closed.wait(self._settings.take_over_after / 3):
            if time.monotonic() - self.seen < HUNG:
                with suppress(RedisError):  # the worker itself notices and says so
                    self._for_held(self._link.redis, scripts.KEEP)

    def _hand_back(self, redis: Redis) -> None:
        self._for_held(redis, scripts.HAND_BACK, self._patience + 1)
        with self._lock:
            self._held.clear()

    def _for_held(self, redis: Redis, script: str, *arguments: Any) -> None:
        with self._lock:
            held = list(self._held)
        for shard in {shard for shard, _ in held}:
            ids = [id_ for its, id_ in held if its == shard]
            redis.eval(script, 1, self._streams[shard], self.stage, self.name, *arguments, *ids)

    def _forget(self, redis: Redis, name: str) -> None:
        idle = str(FORGET_AFTER * 1000)
        for stream in self._streams:
            redis.eval(scripts.FORGET, 1, stream, self.stage, name, idle)
