"""What has been done, camera by camera: entries of the topic in, rows and the checkpoints that account for them out.

Kafka delivers at least once, in the order of a camera's messages or nearly so. Here everything is stored exactly once:
a camera's book says which frames are in, and it is stored in the same transaction as the rows. Whoever holds an old
book cannot write, reads the new one and does the batch again; what was in already is recognised.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Final, Literal, Protocol

import msgspec

from aggregator import Aggregator, Gap
from contracts import wire
from contracts.errors import StorageError
from contracts.messages import EmotionsMessage, FrameEmotions, FrameId, RunEnded, RunStarted, Tombstone
from contracts.rows import DeadLetter, Rows, Run
from contracts.settings import Settings
from pipeline.entries import STAGE, Entry, read
from pipeline.overdue import Overdue
from pipeline.runs import COUNTED_EVERY, closed, opened
from storage.checkpoints import Checkpoint, FencedError

FENCED_ATTEMPTS: Final = 5
"""Two workers may meet at a camera for a moment; more often than this in a row, something else is wrong."""
REMEMBERED_RUNS: Final = 64
GIVEN_UP_AFTER: Final = 4
"""Times redis.take_over_after x redis.attempts: so long a frame may take in each of two stages whose workers die."""
NEVER_ARRIVED: Final = "it never arrived"
REMEMBERED_GAPS: Final = 100
"""So many gaps of a run are remembered, for what comes after it was given up: a server was away for longer, say."""

_log: Final = logging.getLogger(__name__)


class Keeper(Protocol):
    """What the ledger asks of a store."""

    def checkpoints(self, camera_ids: Sequence[str]) -> dict[str, Checkpoint]: ...
    def write_with_checkpoints(
        self, rows: Rows, runs: Sequence[Run], checkpoints: Mapping[str, Checkpoint]
    ) -> None: ...


class Frames(msgspec.Struct):
    """What of a batch was new, of one camera."""

    frames: int = 0
    faces: int = 0


class Done(msgspec.Struct):
    """What a batch came to."""

    cameras: dict[str, Frames] = {}
    unreadable: list[DeadLetter] = []
    """Entries that have no place in any run."""
    captured_at: list[int] = []
    """Of the new frames."""
    latest: dict[str, FrameId] = {}
    """Of each camera, the last frame that was new."""
    given_up: list[tuple[str, Gap]] = []
    """By camera, frames that have been waited for in vain; they are dead letters now."""
    rows: Rows = msgspec.field(default_factory=Rows)
    """What was stored."""
    runs: list[Run] = []


class RunTally(msgspec.Struct):
    """What is known of a run, apart from its people."""

    started: RunStarted | None = None
    ended: RunEnded | None = None
    frames: int = 0
    faces: int = 0
    first_at: int = 0
    stored: bool = False  # as ended
    given_up: list[tuple[int, int]] = []  # frames [first, end) that were waited for in vain


class BookState(msgspec.Struct):
    """What a checkpoint holds."""

    format: Literal[1] = 1
    aggregator: bytes = b""
    runs: dict[str, RunTally] = {}


class Book:
    """One camera: its aggregator, and how its runs stand."""

    def __init__(self, camera_id: str, settings: Settings) -> None:
        self.version = 0
        self._settings: Final = settings
        self._aggregator: Final = Aggregator(camera_id, settings.aggregator, settings.privacy)
        self._runs: dict[str, RunTally] = {}
        self._grown: Final = set[str]()  # runs that have had frames since they were counted
        self._counted_at = time.monotonic()

    def restore(self, version: int, data: bytes) -> None:
        """Goes on from a checkpoint. Raises StorageError for one that another version of this program has written."""
        try:
            state = wire.decode(data, BookState)
            self._aggregator.restore(state.aggregator)
        except (msgspec.DecodeError, ValueError) as error:
            raise StorageError(
                f"the checkpoint of camera {self._aggregator.camera_id} cannot be read ({error}); "
                "run the version of affectstream that has written it"
            ) from error
        self.version, self._runs = version, state.runs

    def checkpoint(self) -> Checkpoint:
        """The version that this book was read as, and what it holds now."""
        return self.version, wire.encode(BookState(aggregator=self._aggregator.state(), runs=self._runs))

    def take(self, message: EmotionsMessage, rows: Rows, runs: dict[str, Run], done: Done) -> bool:
        """Takes a message in; what becomes final is added to `rows` and `runs`. Whether it was a frame that is new."""
        if isinstance(message, FrameId) and message.again and message.run_id not in self._runs:
            rows.extend(self._aggregator.add(message))  # of a run that is long over
            return False
        new, tally = False, self._runs.setdefault(message.run_id, RunTally())
        if isinstance(message, FrameEmotions) and any(first <= message.seq < end for first, end in tally.given_up):
            message = msgspec.structs.replace(message, again=True)
        if isinstance(message, RunStarted):
            if tally.started is None:
                tally.started = message
                runs[message.run_id] = self._opened(message)
                tally.stored = False
        elif isinstance(message, RunEnded):
            if not tally.stored:
                tally.ended = message
                rows.extend(self._aggregator.finish(message))
        elif new := self._add(message, tally, rows, done):
            done.captured_at.append(message.captured_at)
            done.latest[message.camera_id] = message
        self._close_if_complete(message.camera_id, tally, runs)
        return new

    def counted(self) -> list[Run]:
        """Now and then, how far the runs are that go on: a camera's may go on for days, and be killed."""
        if time.monotonic() - self._counted_at < COUNTED_EVERY:
            return []
        self._counted_at = time.monotonic()
        tallies = [self._runs[run_id] for run_id in self._grown if run_id in self._runs]
        self._grown.clear()
        return [
            msgspec.structs.replace(self._opened(tally.started), frames=tally.frames, faces=tally.faces)
            for tally in tallies
            if tally.started is not None and not tally.stored
        ]

    def gaps(self) -> list[Gap]:
        """What is missing before runs can go on or end."""
        return self._aggregator.gaps()

    def give_up(self, gap: Gap, rows: Rows, runs: dict[str, Run], done: Done) -> None:
        """Nobody waits for these frames any more: tombstones take their places."""
        camera_id, tally = self._aggregator.camera_id, self._runs.setdefault(gap.run_id, RunTally())
        for seq in range(gap.first, gap.end):
            stone = Tombstone(
                camera_id=camera_id, run_id=gap.run_id, seq=seq, captured_at=gap.time_of(seq) or _known_time(tally),
                stage=STAGE, reason=NEVER_ARRIVED,
            )  # fmt: skip
            self._add(stone, tally, rows, done)
        tally.given_up = [*tally.given_up, (gap.first, gap.end)][-REMEMBERED_GAPS:]
        done.given_up.append((camera_id, gap))
        self._close_if_complete(camera_id, tally, runs)

    def _add(self, frame: FrameEmotions | Tombstone, tally: RunTally, rows: Rows, done: Done) -> bool:
        """Whether the frame was new."""
        repeated = self._aggregator.repeated
        rows.extend(self._aggregator.add(frame))
        if self._aggregator.repeated > repeated:
            return False
        faces = len(frame.boxes) if isinstance(frame, FrameEmotions) else 0
        tally.first_at = min(tally.first_at, frame.captured_at) if tally.frames else frame.captured_at
        tally.frames += 1
        self._grown.add(frame.run_id)
        tally.faces += faces
        counts = done.cameras.setdefault(frame.camera_id, Frames())
        counts.frames += 1
        counts.faces += faces
        return True

    def _close_if_complete(self, camera_id: str, tally: RunTally, runs: dict[str, Run]) -> None:
        ended = tally.ended
        if tally.stored or ended is None or tally.frames < ended.frames:
            return
        # The news that it has started may have been lost with a broken message; its frames are not.
        started = tally.started or RunStarted(
            camera_id=camera_id, run_id=ended.run_id, source="", width=0, height=0, live=False,
            started_at=tally.first_at if tally.frames else ended.ended_at,
        )  # fmt: skip
        runs[ended.run_id] = closed(self._opened(started), ended, tally.faces)
        tally.stored = True
        over = [run_id for run_id, known in self._runs.items() if known.stored]
        for run_id in over[:-REMEMBERED_RUNS]:
            del self._runs[run_id]

    def _opened(self, started: RunStarted) -> Run:
        names = self._settings
        return opened(
            started, detector=started.detector or names.detector.name, model=started.model or names.classifier.model
        )


def _known_time(tally: RunTally) -> int:
    """Event time of a run of which no frame has come."""
    if tally.started is not None:
        return tally.started.started_at
    return tally.ended.ended_at if tally.ended is not None else 0


class Ledger:
    """The books of the cameras that this worker has. Used by one thread at a time.

    A frame that never arrives, be it that its message cannot be read or that a server has lost it, holds its run up for
    a while (`pipeline.overdue`), and becomes a dead letter then.
    """

    def __init__(self, store: Keeper, settings: Settings) -> None:
        self._store: Final = store
        self._settings: Final = settings
        self._books: Final[dict[str, Book]] = {}
        limit = GIVEN_UP_AFTER * settings.redis.take_over_after * settings.redis.attempts
        # Not kept with the books: a batch that has to be done again must not begin the waiting anew.
        self._overdue: Final = defaultdict[str, Overdue](partial(Overdue, limit))

    @property
    def cameras(self) -> set[str]:
        """The cameras whose books are in hand."""
        return set(self._books)

    def forget(self, camera_ids: Iterable[str]) -> None:
        """Lays the books of these cameras aside; they are read again when they are needed."""
        for camera_id in camera_ids:
            self._books.pop(camera_id, None)

    def apply(self, entries: Sequence[Entry]) -> Done:
        """Stores what the entries bring, in one transaction. May be repeated, with these or others of the entries.

        Raises StorageError where the store refuses; nothing is stored then, or all of it and only the answer is lost:
        do it again.
        """
        spoiled: dict[int, str] = {}
        fenced = 0
        while True:
            messages, letters = read(entries, spoiled)
            try:
                return self._apply(messages, letters, [entry.at for entry in entries])
            except FencedError:
                fenced += 1
                if fenced >= FENCED_ATTEMPTS:
                    raise
            except _SpoiledError as error:
                if error.index in spoiled:
                    raise  # not even a tombstone can be taken
                spoiled[error.index] = f"unexpected {error.__cause__!r}"

    def tick(self, camera_ids: Iterable[str], at: int) -> Done:
        """All that was published of these cameras until `at` (UTC ns) is stored: gives up what is overdue by now.

        Raises StorageError where the store refuses, as `apply` does.
        """
        quiet = set(camera_ids)
        for camera_id in quiet:
            self._overdue[camera_id].hear(at)
        return self._apply({}, [], [], quiet)

    def _apply(
        self, messages: Mapping[int, EmotionsMessage], letters: list[DeadLetter], published: Sequence[int],
        quiet: Collection[str] = (),
    ) -> Done:  # fmt: skip
        changed = {message.camera_id for message in messages.values()}
        camera_ids = changed.union(quiet)
        rows, runs, done = Rows(dead_letters=list(letters)), dict[str, Run](), Done(unreadable=letters)
        try:
            self._open(camera_ids)
            for index, message in messages.items():
                try:
                    if self._books[message.camera_id].take(message, rows, runs, done):
                        self._overdue[message.camera_id].hear(published[index])
                except Exception as error:  # one bad message must not keep all the others waiting for ever
                    _log.warning("a message of run %s", message.run_id, exc_info=True)
                    raise _SpoiledError(index) from error
            for camera_id in camera_ids:
                for gap in self._overdue[camera_id].due(self._books[camera_id].gaps()):
                    self._books[camera_id].give_up(gap, rows, runs, done)
            changed.update(camera_id for camera_id, _ in done.given_up)
            checkpoints = {camera_id: self._books[camera_id].checkpoint() for camera_id in changed}
            counted = [run for camera_id in changed for run in self._books[camera_id].counted()]
            if rows or checkpoints:
                self._store.write_with_checkpoints(rows, [*runs.values(), *counted], checkpoints)
        except BaseException:
            self.forget(camera_ids)  # they say more than what is stored, or less
            raise
        for camera_id in changed:
            self._books[camera_id].version += 1
        done.rows, done.runs = rows, list(runs.values())
        return done

    def _open(self, camera_ids: set[str]) -> None:
        missing = sorted(camera_ids - self.cameras)
        if not missing:
            return
        found = self._store.checkpoints(missing)
        for camera_id in missing:
            book = Book(camera_id, self._settings)
            if camera_id in found:
                book.restore(*found[camera_id])
            self._books[camera_id] = book


class _SpoiledError(Exception):
    """A message that a book could not take; `index` says which."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index: Final = index
