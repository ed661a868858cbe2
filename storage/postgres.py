"""Postgres: observations go by COPY into the day's partition."""

import csv
import io
import threading
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, cast

from sqlalchemy import URL, Connection, ExceptionContext, Table, create_engine, event, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from contracts.errors import StorageError
from contracts.rows import Observation
from storage.backend import Backend, driver_error, first_line
from storage.schema import PARTITION
from storage.values import EPOCH, OBSERVATION_COLUMNS, observation_values

_LOCK: Final = 0x41664673  # of all that change the schema: migrations and new partitions
_DAY_NS: Final = 86_400 * 10**9
_NAME: Final = "observation_%Y%m%d"
_COLUMNS: Final = ", ".join(OBSERVATION_COLUMNS)
_CONNECT: Final[dict[str, Any]] = {
    "connect_timeout": 10,
    "application_name": "affectstream",
    "keepalives_idle": 30,  # a server that has vanished without a word is noticed
    "tcp_user_timeout": 30_000,
}

READ_ONLY: Final = "25006"
# SQLSTATEs, words to look for in the message (an error before the connection stands has no code), what to do.
_ADVICE: Final[tuple[tuple[set[str], list[list[str]], str], ...]] = (
    (
        {"28P01", "28000"},
        [["password authentication failed"], ["no password supplied"]],
        "wrong user or password; check them in storage.url (or PGPASSWORD)",
    ),
    (
        {"3D000"},
        [["database", "does not exist"]],
        "the database does not exist; create it: createdb {database}",
    ),
    (set(), [["role", "does not exist"]], "the user does not exist; check it in storage.url"),
    (
        set(),
        [["pg_hba.conf"]],
        "the server does not let this user in from here; add a line to its pg_hba.conf",
    ),
    (
        {"42501"},
        [],
        "the user may not do this; as the owner of the database: affectstream db roles --apply, then "
        "GRANT affectstream_writer TO {user} (affectstream_reader is for dashboards: it reads the views and no table)",
    ),
    (
        {"53100"},
        [],
        "the server's disk is full; free some space and start again: what was stored before is kept, "
        "and nothing is stored twice",
    ),
    (
        {"53300"},
        [["too many connections"], ["too many clients"]],
        "the server has no connection left; close some, or raise its max_connections",
    ),
    ({"55P03"}, [], "others have used the table all the time; try again when less is going on"),
    ({READ_ONLY}, [], "the server only lets us read; give the address of the primary"),
)


OLDEST: Final[tuple[int, ...]] = (13,)
LOCK_SECONDS: Final = 2
"""How long the drop of a day waits for those who use the table, and they for it."""


class PostgresBackend(Backend):
    """A database on a server."""

    def __init__(self, url: URL) -> None:
        self._url = url
        connect = {name: value for name, value in _CONNECT.items() if name not in url.query}
        self.engine = create_engine(url, pool_pre_ping=True, connect_args=connect)
        event.listen(self.engine, "handle_error", _leave_who_only_lets_us_read)
        self._days: set[int] = set()
        self._days_lock = threading.Lock()

    @property
    def place(self) -> str:
        # The query is left out: libpq takes a password there as well.
        return self._url.set(drivername="postgresql", query={}).render_as_string(hide_password=True)

    @property
    def driver_errors(self) -> tuple[type[Exception], ...]:
        return (SQLAlchemyError, self.engine.dialect.loaded_dbapi.Error)

    def check(self) -> None:
        """Nothing to do: looking at a database on a server changes nothing in it."""

    def check_server(self, connection: Connection) -> None:
        found = connection.dialect.server_version_info or OLDEST
        if found < OLDEST:
            raise StorageError(
                f"storage.url: {self.place} is PostgreSQL {found[0]}, which is too old; affectstream needs "
                f"{OLDEST[0]} or later"
            )

    def lock_schema(self, connection: Connection) -> None:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})

    def insert(self, table: Table) -> postgresql.Insert:
        return postgresql.insert(table)

    def before_write(self, observations: Sequence[Observation]) -> None:
        days = {row.captured_at // _DAY_NS for row in observations}
        with self._days_lock:
            self._make_days(days - self._days)

    def prepare_days(self, days: Sequence[date]) -> None:
        with self._days_lock:
            self._make_days({(day - EPOCH.date()).days for day in days})

    def days(self, connection: Connection) -> Sequence[date]:
        query = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = to_regclass('observation')"
        names = [name for name in connection.scalars(text(query)) if PARTITION.fullmatch(name)]
        return sorted(datetime.strptime(name, _NAME).replace(tzinfo=UTC).date() for name in names)

    def drop_day(self, connection: Connection, day: date) -> int:
        self.lock_schema(connection)
        return _drop_partition(connection, day) if day in self.days(connection) else 0

    def scrub(self) -> str | None:
        """Nothing to do: the server's own vacuum writes over what was deleted, in its time."""
        return None

    def _make_days(self, missing: set[int]) -> None:
        if missing:
            with self.engine.begin() as connection:
                self.lock_schema(connection)
                for day in sorted(missing):
                    _make_partition(connection, EPOCH.date() + timedelta(days=day))
            self._days |= missing

    def insert_observations(self, connection: Connection, observations: Sequence[Observation]) -> None:
        lines = io.StringIO()
        # All texts are quoted, so that an empty one is not taken for NULL.
        csv.writer(lines, quoting=csv.QUOTE_NONNUMERIC).writerows(map(observation_values, observations))
        lines.seek(0)
        connection.exec_driver_sql("CREATE TEMPORARY TABLE incoming (LIKE observation) ON COMMIT DROP")
        with closing(connection.connection.cursor()) as cursor:
            cast(Any, cursor).copy_expert(f"COPY incoming ({_COLUMNS}) FROM STDIN (FORMAT csv)", lines)
        connection.exec_driver_sql(
            f"INSERT INTO observation ({_COLUMNS}) SELECT {_COLUMNS} FROM incoming "  # noqa: S608
            "ORDER BY run_id, seq, face ON CONFLICT DO NOTHING"
        )

    def transient(self, error: Exception) -> bool:
        cause = driver_error(error)
        code = _code(cause)
        if code == READ_ONLY:
            return False
        if code == "23514":  # no partition for the row: dropped behind our back by the retention of old days
            with self._days_lock:
                known = bool(self._days)
                self._days.clear()
            return known
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            return True
        # 08 connection, 40 deadlock and serialization, 55P03 lock timeout, 57P shutdown and start-up; none: the
        # connection is gone
        return code.startswith(("08", "40", "55P03", "57P")) or (not code and self._gone(error))

    def away(self, error: Exception) -> bool:
        cause = driver_error(error)
        code = _code(cause)
        if code == "53300":  # the server is there and has no room for us; that passes
            return True
        if _advice(code, first_line(cause), self._url) is not None:
            return False
        return code.startswith(("08", "57P")) or (not code and self._gone(error))

    def _gone(self, error: Exception) -> bool:
        """Whether the connection broke, or never came about."""
        dbapi = self.engine.dialect.loaded_dbapi
        broken = isinstance(error, DBAPIError) and error.connection_invalidated
        return broken or isinstance(driver_error(error), (dbapi.OperationalError, dbapi.InterfaceError))

    def explain(self, error: Exception) -> str:
        cause = driver_error(error)
        code, said = _code(cause), first_line(cause)
        if self._url.password:
            said = said.replace(str(self._url.password), "***")
        if advice := _advice(code, said, self._url):
            return f"{self.place}: {advice}"
        if not code or code.startswith(("08", "57P")):
            return f"{self.place} cannot be reached; check that the server runs, and the address ({said})"
        return f"{self.place} refused: {said}"


def _leave_who_only_lets_us_read(context: ExceptionContext) -> None:
    """A connection keeps the server, and the settings, that it was opened with; a new one may find the primary."""
    if _code(context.original_exception) == READ_ONLY:
        context.is_disconnect = True


def _drop_partition(connection: Connection, day: date) -> int:
    name = day.strftime(_NAME)
    # Writers and readers of all days wait for this, and it for those before it: rather try again than hold them up.
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
    # Through the table, since a writer may not read the partition; no other is looked at.
    counted = text("SELECT count(*) FROM observation WHERE captured_at >= :start AND captured_at < :end")
    start = datetime.combine(day, datetime.min.time(), UTC)
    count = connection.scalar(counted, {"start": start, "end": start + timedelta(days=1)})
    if connection.scalar(text("SELECT to_regproc('affectstream_drop_day') IS NOT NULL")):
        connection.execute(text("SELECT affectstream_drop_day(:day)"), {"day": day})
    else:
        connection.exec_driver_sql(f"DROP TABLE {name}")
    return int(count or 0)


def _advice(code: str, said: str, url: URL) -> str | None:
    for codes, texts, advice in _ADVICE:
        if code in codes or any(all(part in said for part in words) for words in texts):
            return advice.format(database=url.database or "DATABASE", user=url.username or "USER")
    return None


def _code(error: BaseException) -> str:
    """The SQLSTATE, or '' where there was no server to give one."""
    return getattr(error, "pgcode", None) or ""


def _make_partition(connection: Connection, day: date) -> None:
    name = day.strftime(_NAME)
    if connection.scalar(text("SELECT to_regclass(:name) IS NOT NULL"), {"name": name}):
        return
    if connection.scalar(text("SELECT to_regproc('affectstream_make_day') IS NOT NULL")):
        # Made by storage.roles: with it, a writer that owns nothing may do this.
        connection.execute(text("SELECT affectstream_make_day(:day)"), {"day": day})
        return
    # Made apart and then attached, which does not wait for readers of the other days, nor they for us.
    connection.exec_driver_sql(f"CREATE TABLE {name} (LIKE observation INCLUDING COMMENTS)")
    connection.exec_driver_sql(
        f"ALTER TABLE observation ATTACH PARTITION {name} "
        f"FOR VALUES FROM ('{day} 00:00+00') TO ('{day + timedelta(days=1)} 00:00+00')"
    )
