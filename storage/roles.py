"""Who may do what in Postgres: the owner everything, a writer what the workers need, a reader the views only.

The owner makes the tables (whoever opened the database first). The writer stores rows, and has days made and dropped
for it by functions that run with the owner's rights. The reader, for Grafana say, sees no raw table: not the addresses
of the cameras, not the checkpoints, not the boxes of faces.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Connection, text

from contracts.errors import InputError
from storage.store import Store
from storage.tables import VERSION_TABLE, metadata

WRITER: Final = "affectstream_writer"
READER: Final = "affectstream_reader"
VIEWS: Final = (
    *("camera_window", "person_window", "person_summary", "person_moment", "episode"),
    *("camera_summary", "camera_run", "dead_frame"),
)
MAKE_DAY: Final = "affectstream_make_day"
DROP_DAY: Final = "affectstream_drop_day"

_MAKE_DAY: Final = """\
CREATE OR REPLACE FUNCTION affectstream_make_day(day date) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
DECLARE name text := 'observation_' || to_char(day, 'YYYYMMDD');
BEGIN
    IF to_regclass(name) IS NULL THEN
        EXECUTE format('CREATE TABLE %I (LIKE observation INCLUDING COMMENTS)', name);
        EXECUTE format('ALTER TABLE observation ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            name, day || ' 00:00+00', (day + 1) || ' 00:00+00');
    END IF;
END $$"""

_DROP_DAY: Final = """\
CREATE OR REPLACE FUNCTION affectstream_drop_day(day date) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
BEGIN
    EXECUTE format('DROP TABLE IF EXISTS %I', 'observation_' || to_char(day, 'YYYYMMDD'));
END $$"""


def roles_sql() -> list[str]:
    """The statements that make the two roles, neither of which can log in: give them to users of your own."""
    tables = ", ".join(sorted(metadata.tables))
    everything = f"{tables}, {VERSION_TABLE}"
    views = ", ".join(VIEWS)
    return [
        *(
            f"DO $$ BEGIN CREATE ROLE {role} NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
            for role in (WRITER, READER)
        ),
        f"REVOKE ALL ON {everything}, {views} FROM PUBLIC, {WRITER}, {READER}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {tables} TO {WRITER}",
        f"GRANT SELECT ON {VERSION_TABLE} TO {WRITER}",
        f"GRANT SELECT ON {views} TO {WRITER}, {READER}",
        *(_MAKE_DAY, _DROP_DAY),
        *(f"REVOKE ALL ON FUNCTION {function}(date) FROM PUBLIC" for function in (MAKE_DAY, DROP_DAY)),
        *(f"GRANT EXECUTE ON FUNCTION {function}(date) TO {WRITER}" for function in (MAKE_DAY, DROP_DAY)),
    ]


def make_roles(store: Store) -> None:
    """Makes the roles, or puts their rights in order. Raises InputError where the database has no roles."""
    if not store.place.startswith("postgresql"):
        raise InputError("a SQLite file has no roles; give a postgresql:// address")

    def make(connection: Connection) -> None:
        for statement in roles_sql():
            connection.execute(text(statement.replace(":", "\\:")))

    store.transact(make)


def make_days(store: Store, days: int) -> Sequence[str]:
    """Makes the partitions of today (UTC) and of the days after it, `days` in all; gives their dates."""
    today = datetime.now(UTC).date()
    wanted = [today + timedelta(days=number) for number in range(days)]
    store.prepare_days(wanted)
    return [day.isoformat() for day in wanted]
