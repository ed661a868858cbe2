"""SQLite: one file, in write-ahead mode while it is in use so that readers do not wait."""

import os
import shlex
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from datetime import date
from pathlib import Path
from typing import Final, cast
from urllib.parse import quote

from sqlalchemy import URL, Connection, StaticPool, Table, create_engine, event
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from contracts.errors import SettingsError, StorageError
from contracts.rows import Observation
from storage.backend import Backend, driver_error, first_line
from storage.schema import foreign, refuse_newer
from storage.tables import VERSION_TABLE
from storage.values import OBSERVATION_COLUMNS, observation_values

APPLICATION_ID: Final = 0x41664673  # "AfFs": tells the file apart from other programs', for `file` too
BUSY_SECONDS: Final = 10.0
SCRUB_BESIDES: Final = 2 << 30
"""Bytes of a file that is not rewritten while others use it: they wait for the end of it, a minute at most."""

_LATER: Final = "affectstream_wal_later"
"""Marks a connection that could not go to the write-ahead log, as somebody else was writing."""

_INSERT: Final = (
    f"INSERT INTO observation ({', '.join(OBSERVATION_COLUMNS)}) "  # noqa: S608
    f"VALUES ({', '.join('?' * len(OBSERVATION_COLUMNS))}) ON CONFLICT DO NOTHING"
)

_ADVICE: Final = {
    sqlite3.SQLITE_FULL: "the disk that holds {place} is full; free some space and start again: "
    "what was stored before is kept, and nothing is stored twice",
    sqlite3.SQLITE_NOTADB: "{place} is not a SQLite database; choose another file",
    sqlite3.SQLITE_CORRUPT: "{place} is damaged; restore a copy, or save what can be read: sqlite3 {quoted} .recover",
    sqlite3.SQLITE_BUSY: "{place} is locked by another program; close it and try again",
    sqlite3.SQLITE_READONLY: "{place} is read-only; make it and its folder writable, or choose another file",
    sqlite3.SQLITE_CANTOPEN: "{place} cannot be opened; check that you may write to it and to its folder",
    sqlite3.SQLITE_PERM: "{place} cannot be opened; check that you may write to it and to its folder",
    sqlite3.SQLITE_IOERR: "{place} cannot be read or written ({said}); check the disk and its free space",
}


class SqliteBackend(Backend):
    """A file, or with no name a database in memory."""

    def __init__(self, url: URL, *, reading: bool = False) -> None:
        if url.host:
            raise SettingsError(f"storage.url: write sqlite:///{url.host} with three slashes, or the bare path")
        name = url.database or ""
        if name.startswith("file:"):
            raise SettingsError("storage.url: give the path of the SQLite file, not a file: address")
        memory = name in {"", ":memory:"}
        self._file = None if memory else Path(name).expanduser()
        self._read_only = reading and self.exists and _unwritable(Path(name).expanduser()) is not None
        self._altered = False
        self.engine = create_engine(
            URL.create("sqlite", database=None if self._file is None else str(self._file)),
            creator=self._connect,
            **({"poolclass": StaticPool} if memory else {}),
        )
        event.listen(self.engine, "connect", self._configure)
        event.listen(self.engine, "begin", _begin)

    @property
    def place(self) -> str:
        return str(self._file or "the database in memory")

    @property
    def exists(self) -> bool:
        """Whether there is a file already, with something in it."""
        return self._file is not None and self._file.exists() and self._file.stat().st_size > 0

    @property
    def driver_errors(self) -> tuple[type[Exception], ...]:
        return (SQLAlchemyError, sqlite3.Error)

    def check(self) -> None:
        if self._file is None:
            return
        folder = self._file.parent
        if not folder.is_dir():
            raise StorageError(
                f"the folder of {self.place} does not exist; create it: mkdir -p {shlex.quote(str(folder))}"
            )
        if self._file.is_dir():
            raise StorageError(f"{self.place} is a folder; give the path of a file in it")
        if self._file.exists() and self._file.stat().st_size:
            self._check_owner()
        if not self._read_only and (fault := _unwritable(self._file)):
            raise StorageError(fault)

    def version(self) -> str | None:
        """The schema in the file, which must exist; None where it has no tables. Leaves every byte as it is."""
        return self._look()[2]

    def _check_owner(self) -> None:
        mark, tables, version = self._look()
        if mark not in {0, APPLICATION_ID} or (tables and VERSION_TABLE not in tables):
            raise foreign(self.place, tables)
        refuse_newer(version, self.place)

    def _look(self) -> tuple[int, set[str], str | None]:
        """Whose the file is, its tables and their version; without touching: opening it for writing alters it.

        Where somebody was killed in the midst of writing, SQLite has to undo that half before anything can be read.
        """
        try:
            try:
                return self._seen("ro")
            except sqlite3.OperationalError as error:
                if self._read_only or error.sqlite_errorcode != sqlite3.SQLITE_READONLY_ROLLBACK:
                    raise
                return self._seen("rw")
        except sqlite3.Error as error:
            raise StorageError(self.explain(error)) from error

    def _seen(self, mode: str) -> tuple[int, set[str], str | None]:
        with closing(sqlite3.connect(self._address(mode), uri=True, timeout=BUSY_SECONDS)) as connection:
            (mark,) = connection.execute("PRAGMA application_id").fetchone()
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            versions = f"SELECT max(version_num) FROM {VERSION_TABLE}"  # noqa: S608
            version = connection.execute(versions).fetchone()[0] if VERSION_TABLE in tables else None
        return mark, tables, version

    def _address(self, mode: str = "ro") -> str:
        """The file, to read only, or to read and write (rw)."""
        return f"file:{quote(str(Path(self.place).absolute()))}?mode={mode}"

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(
            self._address() if self._read_only else str(self._file or ":memory:"), uri=self._read_only,
            # We begin and end transactions ourselves: the driver would leave DDL outside them.
            isolation_level=None, timeout=BUSY_SECONDS, check_same_thread=False,
        )  # fmt: skip

    def _configure(self, connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
        if self._file is None or self._read_only:
            return
        self._altered = True
        try:
            _to_wal(connection, 0)
        except sqlite3.Error as error:
            if _code(error) != sqlite3.SQLITE_BUSY:
                connection.close()
                raise
            record.info[_LATER] = True  # who only reads need not wait until somebody who writes is done
        # With the write-ahead log this can lose the last moments in a power cut, and never the file.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA secure_delete = ON")  # what is deleted is written over

    def check_server(self, connection: Connection) -> None:
        """Nothing to do: SQLite comes with Python."""

    def lock_schema(self, connection: Connection) -> None:
        connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")  # BEGIN IMMEDIATE is the lock

    def before_write(self, observations: Sequence[Observation]) -> None:
        """Nothing to do."""

    def prepare_days(self, days: Sequence[date]) -> None:
        """Nothing to do."""

    def days(self, connection: Connection) -> Sequence[date]:
        return ()

    def drop_day(self, connection: Connection, day: date) -> int:
        return 0

    def scrub(self) -> str | None:
        if self._file is None:
            return None
        self.engine.dispose()
        connection = self.engine.raw_connection()
        try:
            cursor = connection.cursor()
            if not _alone(cursor):
                if self._file.stat().st_size > SCRUB_BESIDES:
                    return (
                        f"{self.place} is in use, and rewriting it now would keep others waiting for too long: traces "
                        "of what was deleted may stay in it until this is done again, when nobody uses it"
                    )
                cursor.execute(f"PRAGMA busy_timeout = {round(BUSY_SECONDS * 1000)}")
            cursor.execute("VACUUM")
            (busy, *_) = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            connection.close()
            self.engine.dispose()
        return f"{self.place} is being read: traces of what was deleted may stay in {self.place}-wal" if busy else None

    def insert(self, table: Table) -> sqlite.Insert:
        return sqlite.insert(table)

    def insert_observations(self, connection: Connection, observations: Sequence[Observation]) -> None:
        connection.exec_driver_sql(_INSERT, [observation_values(row) for row in observations])

    def transient(self, error: Exception) -> bool:
        return _code(driver_error(error)) == sqlite3.SQLITE_BUSY  # somebody rewrites the file (`scrub`); that ends

    def away(self, error: Exception) -> bool:
        return False  # a file is there or is not

    def explain(self, error: Exception) -> str:
        cause = driver_error(error)
        code = _code(cause)
        return _ADVICE.get(code, "{place} refused: {said}").format(
            place=self.place, quoted=shlex.quote(self.place), said=first_line(cause)
        )

    def close(self) -> None:
        if self._altered and self._file is not None and self._file.exists():
            # Back to one plain file, which can be read on read-only media too. Not possible while others have it
            # open, and not on a full disk; then it stays as it is.
            with suppress(*self.driver_errors):
                connection = self.engine.raw_connection()
                try:
                    _alone(connection.cursor())
                finally:
                    connection.close()
        super().close()


def _unwritable(file: Path) -> str | None:
    """What keeps the file from being written, and what to do. SQLite opens it without a word and fails later."""
    if file.exists() and not os.access(file, os.W_OK):
        return f"{file} is read-only; make it writable, or choose another file"
    if not os.access(file.parent, os.W_OK | os.X_OK):
        return f"the folder of {file} is read-only; make it writable, or choose another"
    return None


def _begin(connection: Connection) -> None:
    # A writer takes its lock at once: one that read first and then wants to write would not be waited for.
    write = connection.get_execution_options().get("affectstream_write", False)
    if write and _LATER in connection.info:
        _to_wal(cast(sqlite3.Connection, connection.connection.driver_connection), BUSY_SECONDS)
        del connection.info[_LATER]
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _to_wal(connection: sqlite3.Connection, seconds: float) -> None:
    """Goes to the write-ahead log, and tries for so long while others are in the way."""
    deadline = time.monotonic() + seconds
    # SQLite itself does not wait here when another process is switching the mode.
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                break
            except sqlite3.OperationalError as error:
                if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                    raise
            time.sleep(0.02)
    finally:
        connection.execute(f"PRAGMA busy_timeout = {round(BUSY_SECONDS * 1000)}")


def _alone(cursor: DBAPICursor) -> bool:
    """Goes back to one plain file, which is possible only where nobody else has it open; whether that was so."""
    cursor.execute("PRAGMA busy_timeout = 0")
    try:
        cursor.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.OperationalError as error:
        if _code(error) != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True


def _code(error: BaseException) -> int:
    """Which of SQLite's errors this is, its finer varieties taken together."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
