"""Who may do what in Postgres: the owner everything, a writer what the workers need, a reader the views only.

The owner makes the tables (whoever opened the database first). The writer stores rows, and has days made for it by a
function that runs with the owner's rights. The reader, for Grafana say, sees no raw table: not the addresses of the
cameras, not the checkpoints, not single observations.
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
VIEWS: Final = ("camera_window", "person_window", "person_summary")
MAKE_DAY: Final = "affectstream_make_day"

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
        _MAKE_DAY,
        f"REVOKE ALL ON FUNCTION {MAKE_DAY}(date) FROM PUBLIC",
        f"GRANT EXECUTE ON FUNCTION {MAKE_DAY}(date) TO {WRITER}",
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
