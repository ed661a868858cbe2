"""The store: one database, opened."""

import logging
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from datetime import date
from functools import partial
from types import TracebackType
from typing import Final, Self, TypeVar

from sqlalchemy import Connection

from contracts.errors import StorageAwayError, StorageError
from contracts.rows import Rows, Run
from contracts.settings import StorageSettings
from storage import queries
from storage.checkpoints import Checkpoint, cameras_with_checkpoints, read_checkpoints, write_with_checkpoints
from storage.choosing import choose
from storage.queries import PersonSummary, RunTotals
from storage.schema import prepare, ready
from storage.write import write_rows, write_run

T = TypeVar("T")

RETRY_SECONDS: Final = (0.1, 0.5, 1.0, 2.0, 4.0)
"""Waits before another attempt where the connection was lost: enough for a server to restart."""

_log: Final = logging.getLogger(__name__)


class Store:
    """Reads and writes. Every write may be repeated; one that fails leaves nothing behind. Threads may share it."""

    def __init__(
        self, settings: StorageSettings, retry_seconds: Sequence[float] = RETRY_SECONDS, *, reading: bool = False
    ) -> None:
        """Who is only `reading` gets along with a file that may not be written to, if its tables are today's."""
        self._backend = choose(settings.url, reading=reading)
        self._writer = self._backend.engine.execution_options(affectstream_write=True)
        self._retry_seconds = tuple(retry_seconds)
        self._backend.check()
        try:
            # Not tried again: who starts a program with the wrong address wants to know at once.
            # Looked at first, as who only reads need not wait until somebody who writes is done.
            if not self._attempt(self._ready, write=False):
                self._attempt(self._prepare, write=True)
        except BaseException:
            self._backend.engine.dispose()
            raise

    @property
    def place(self) -> str:
        """The database's name for messages, without credentials."""
        return self._backend.place

    def start_run(self, run: Run) -> None:
        """Stores a run that begins, and its camera."""
        self._transact(partial(write_run, backend=self._backend, row=run, started=True))

    def finish_run(self, run: Run) -> None:
        """Stores how a run stands or ended; replaces what was known of it."""
        self._transact(partial(write_run, backend=self._backend, row=run, started=False))

    def write(self, rows: Rows) -> None:
        """Stores the rows in one transaction. What is stored already is recognised and not stored twice."""
        if rows:
            self._transact(
                partial(write_rows, backend=self._backend, rows=rows),
                before=partial(self._backend.before_write, rows.observations),
            )

    def checkpoints(self, camera_ids: Sequence[str]) -> dict[str, Checkpoint]:
        """Version and state of these cameras' checkpoints; cameras that have none are left out."""
        return self._transact(partial(read_checkpoints, camera_ids=camera_ids), write=False)

    def cameras_with_checkpoints(self) -> list[str]:
        """The cameras that have a checkpoint."""
        return self._transact(cameras_with_checkpoints, write=False)

    def write_with_checkpoints(self, rows: Rows, runs: Sequence[Run], checkpoints: Mapping[str, Checkpoint]) -> None:
        """Stores rows, runs and checkpoints in one transaction.

        `checkpoints` gives, for each camera, the version that it must have now (0 for none) and its new state, which
        becomes the next version. Raises FencedError, and writes nothing, where a camera has another version: somebody
        else has gone on with it, or this very write was done before and only its answer was lost.
        """
        self._transact(
            partial(write_with_checkpoints, backend=self._backend, rows=rows, runs=runs, checkpoints=checkpoints),
            before=partial(self._backend.before_write, rows.observations),
        )

    def people(self, run_ids: Sequence[str]) -> list[PersonSummary]:
        """The people seen in these runs, who was seen longest first."""
        return self._transact(partial(queries.people, run_ids=run_ids), write=False)

    def totals(self, run_ids: Sequence[str]) -> RunTotals:
        """These runs, taken together."""
        return self._transact(partial(queries.totals, run_ids=run_ids), write=False)

    def runs(self, camera_id: str | None = None, limit: int | None = None) -> list[Run]:
        """The runs, of one camera or of all, latest first."""
        return self._transact(partial(queries.runs, camera_id=camera_id, limit=limit), write=False)

    def prepare_days(self, days: Sequence[date]) -> None:
        """Makes the partitions of these days (UTC), where the database has such. Else they are made when needed."""
        self._transact(lambda _: None, before=partial(self._backend.prepare_days, days), write=False)

    def transact(self, work: Callable[[Connection], T], *, write: bool = True, patient: bool = True) -> T:
        """Runs `work` in one transaction, for the parts of this room that have a file of their own.

        Where the connection is lost, again in a new one, a few times; at once StorageError where not `patient`.
        """
        return self._transact(work, write=write) if patient else self._attempt(work, write=write)

    def stream(self, work: Callable[[Connection], Iterator[T]]) -> Generator[T]:
        """What `work` yields, in one transaction that reads, which lasts until the end or `close()`.

        Nothing is tried again, since the taker has a part already. Raises StorageError as it goes.
        """
        try:
            with self._backend.engine.begin() as connection:
                yield from work(connection)
        except self._backend.driver_errors as error:
            raise self._refusal(error) from error

    def days(self) -> Sequence[date]:
        """The days (UTC) of observations that can be dropped as a whole; none where the database has no such."""
        return self._transact(self._backend.days, write=False)

    def drop_day(self, day: date) -> int:
        """Drops such a day; gives the number of its observations."""
        return self._transact(partial(self._backend.drop_day, day=day))

    def scrub(self) -> str | None:
        """Leaves nothing of deleted rows in the files; says in a sentence why, where it cannot now."""
        try:
            return self._backend.scrub()
        except self._backend.driver_errors as error:
            raise self._refusal(error) from error

    def close(self) -> None:
        """Closes the connections."""
        self._backend.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ready(self, connection: Connection) -> bool:
        self._backend.check_server(connection)
        return ready(connection, self.place)

    def _prepare(self, connection: Connection) -> None:
        self._backend.lock_schema(connection)
        prepare(connection, self.place)

    def _transact(
        self, work: Callable[[Connection], T], before: Callable[[], None] | None = None, *, write: bool = True
    ) -> T:
        """Runs `work` in a transaction; where the connection is lost, again in a new one, a few times."""
        for seconds in self._retry_seconds:
            try:
                return self._attempt(work, before, write=write)
            except StorageError as error:
                cause = error.__cause__
                if not isinstance(cause, Exception) or not self._backend.transient(cause):
                    raise
                _log.warning("%s; trying again in %g s", error, seconds)
                time.sleep(seconds)
        return self._attempt(work, before, write=write)

    def _attempt(self, work: Callable[[Connection], T], before: Callable[[], None] | None = None, *, write: bool) -> T:
        try:
            if before is not None:
                before()
            with (self._writer if write else self._backend.engine).begin() as connection:
                return work(connection)
        except self._backend.driver_errors as error:
            raise self._refusal(error) from error

    def _refusal(self, error: Exception) -> StorageError:
        kind = StorageAwayError if self._backend.away(error) else StorageError
        return kind(self._backend.explain(error))
