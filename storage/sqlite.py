"""SQLite: one file, in write-ahead mode while it is in use so that readers do not wait."""

import os
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from datetime import date
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import URL, Connection, StaticPool, Table, create_engine, event
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import SQLAlchemyError

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

_INSERT: Final = (
    f"INSERT INTO observation ({', '.join(OBSERVATION_COLUMNS)}) "  # noqa: S608
    f"VALUES ({', '.join('?' * len(OBSERVATION_COLUMNS))}) ON CONFLICT DO NOTHING"
)

_ADVICE: Final = {
    sqlite3.SQLITE_FULL: "the disk that holds {place} is full; free some space and start again: "
    "what was stored before is kept, and nothing is stored twice",
    sqlite3.SQLITE_NOTADB: "{place} is not a SQLite database; choose another file",
    sqlite3.SQLITE_CORRUPT: "{place} is damaged; restore a copy, or save what can be read: sqlite3 {place} .recover",
    sqlite3.SQLITE_BUSY: "{place} is locked by another program; close it and try again",
    sqlite3.SQLITE_READONLY: "{place} is read-only; make it and its folder writable, or choose another file",
    sqlite3.SQLITE_CANTOPEN: "{place} cannot be opened; check that you may write to it and to its folder",
    sqlite3.SQLITE_PERM: "{place} cannot be opened; check that you may write to it and to its folder",
    sqlite3.SQLITE_IOERR: "{place} cannot be read or written ({said}); check the disk and its free space",
}


class SqliteBackend(Backend):
    """A file, or with no name a database in memory."""

    def __init__(self, url: URL) -> None:
        if url.host:
            raise SettingsError(f"storage.url: write sqlite:///{url.host} with three slashes, or the bare path")
        name = url.database or ""
        if name.startswith("file:"):
            raise SettingsError("storage.url: give the path of the SQLite file, not a file: address")
        memory = name in {"", ":memory:"}
        self._file = None if memory else Path(name).expanduser()
        self.engine = create_engine(
            URL.create("sqlite", database=None if self._file is None else str(self._file)),
            # We begin and end transactions ourselves: the driver would leave DDL outside them.
            connect_args={"isolation_level": None, "timeout": BUSY_SECONDS, "check_same_thread": False},
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
            raise StorageError(f"the folder of {self.place} does not exist; create it: mkdir -p {folder}")
        if self._file.is_dir():
            raise StorageError(f"{self.place} is a folder; give the path of a file in it")
        if self._file.exists() and self._file.stat().st_size:
            self._check_owner(self._file)
        # Asked of the system, since SQLite opens such a file without a word and fails later.
        if self._file.exists() and not os.access(self._file, os.W_OK):
            raise StorageError(f"{self.place} is read-only; make it writable, or choose another file")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise StorageError(f"the folder of {self.place} is read-only; make it writable, or choose another")

    def _check_owner(self, file: Path) -> None:
        """Looks without touching: opening a file for writing alters it."""
        address = f"file:{quote(str(file.absolute()))}?mode=ro"
        try:
            with closing(sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS)) as connection:
                (mark,) = connection.execute("PRAGMA application_id").fetchone()
                tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
                versions = f"SELECT max(version_num) FROM {VERSION_TABLE}"  # noqa: S608
                version = connection.execute(versions).fetchone()[0] if VERSION_TABLE in tables else None
        except sqlite3.Error as error:
            raise StorageError(self.explain(error)) from error
        if mark not in {0, APPLICATION_ID} or (tables and VERSION_TABLE not in tables):
            raise foreign(self.place, tables)
        refuse_newer(version, self.place)

    def _configure(self, connection: sqlite3.Connection, _record: Any) -> None:
        if self._file is None:
            return
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                break
            except sqlite3.OperationalError as error:
                # SQLite does not itself wait here when another process is switching the mode.
                if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    connection.close()
                    raise
                time.sleep(0.02)
        # With the write-ahead log this can lose the last moments in a power cut, and never the file.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA secure_delete = ON")  # what is deleted is written over

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
        return _ADVICE.get(code, "{place} refused: {said}").format(place=self.place, said=first_line(cause))

    def close(self) -> None:
        if self._file is not None and self._file.exists():
            # Back to one plain file, which can be read on read-only media too. Not possible while others have it
            # open, and not on a full disk; then it stays as it is.
            with suppress(*self.driver_errors):
                connection = self.engine.raw_connection()
                try:
                    _alone(connection.cursor())
                finally:
                    connection.close()
        super().close()


def _begin(connection: Connection) -> None:
    # A writer takes its lock at once: one that read first and then wants to write would not be waited for.
    write = connection.get_execution_options().get("affectstream_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


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
