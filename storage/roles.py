"""Who may do what in Postgres: the owner everything, a writer what the workers need, a reader the views only.

The owner makes the tables (whoever opened the database first). The writer stores rows, and has days made and dropped
for it by functions that run with the owner's rights. The reader, for Grafana say, sees no raw table: not the addresses
of the cameras, not the checkpoints, not the boxes of faces. Our own commands read tables: they want a writer.
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
_SCHEMA: Final = (
    "SELECT CAST(CAST(relnamespace AS regnamespace) AS text) FROM pg_catalog.pg_class "
    "WHERE oid = CAST(pg_catalog.to_regclass('observation') AS oid)"
)

# Whoever may make functions in the schema could plant one that fits a call better than the one that is meant, and it
# would run with the owner's rights. So nothing is looked up there: types are exact, functions and tables have their
# schema before their name.
_MAKE_DAY: Final = """\
CREATE OR REPLACE FUNCTION {schema}.affectstream_make_day(day date) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    at text := '{schema}';
    name text := pg_catalog.format('observation_%s', pg_catalog.to_char(day::timestamp, 'YYYYMMDD'::text));
BEGIN
    IF pg_catalog.to_regclass(pg_catalog.format('%s.%I', at, name)) IS NULL THEN
        EXECUTE pg_catalog.format('CREATE TABLE %s.%I (LIKE %s.observation INCLUDING COMMENTS)', at, name, at);
        EXECUTE pg_catalog.format(
            'ALTER TABLE %s.observation ATTACH PARTITION %s.%I FOR VALUES FROM (%L) TO (%L)', at, at, name,
            pg_catalog.format('%s 00:00+00', day::text), pg_catalog.format('%s 00:00+00', (day + 1)::text));
    END IF;
END $$"""

_DROP_DAY: Final = """\
CREATE OR REPLACE FUNCTION {schema}.affectstream_drop_day(day date) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE name text := pg_catalog.format('observation_%s', pg_catalog.to_char(day::timestamp, 'YYYYMMDD'::text));
BEGIN
    EXECUTE pg_catalog.format('DROP TABLE IF EXISTS %s.%I', '{schema}', name);
END $$"""

_MAKE_ROLE: Final = """\
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN CREATE ROLE {role} NOLOGIN; END IF;
EXCEPTION WHEN duplicate_object THEN NULL; END $$"""

_DATABASE: Final = f"""\
DO $$ BEGIN
    EXECUTE pg_catalog.format('GRANT CONNECT ON DATABASE %I TO {WRITER}, {READER}', pg_catalog.current_database());
    EXECUTE pg_catalog.format('GRANT TEMPORARY ON DATABASE %I TO {WRITER}', pg_catalog.current_database());
END $$"""
"""Everybody may do both, unless that was taken away, as by docker/postgres-roles.sh. Rows pass a temporary table."""

_OWNER: Final = """\
DO $$
DECLARE owner text := (SELECT pg_catalog.pg_get_userbyid(relowner) FROM pg_catalog.pg_class
    WHERE oid = pg_catalog.to_regclass('{schema}.observation')::oid);
BEGIN
    EXECUTE pg_catalog.format('GRANT CREATE ON SCHEMA {schema} TO %I', owner);
    EXECUTE pg_catalog.format('ALTER FUNCTION {schema}.affectstream_make_day(date) OWNER TO %I', owner);
    EXECUTE pg_catalog.format('ALTER FUNCTION {schema}.affectstream_drop_day(date) OWNER TO %I', owner);
END $$"""
"""For who owns the tables, where a superuser makes the roles: the functions run with no more rights than it takes."""


def roles_sql(schema: str = "public") -> list[str]:
    """The statements that make the two roles, neither of which can log in: give them to users of your own.

    `schema` is the one that has the tables, quoted where SQL wants that.
    """
    tables = ", ".join(sorted(metadata.tables))
    everything = f"{tables}, {VERSION_TABLE}"
    views = ", ".join(VIEWS)
    return [
        *(_MAKE_ROLE.format(role=role) for role in (WRITER, READER)),
        _DATABASE,
        f"REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC",
        f"GRANT USAGE ON SCHEMA {schema} TO {WRITER}, {READER}",
        f"REVOKE ALL ON {everything}, {views} FROM PUBLIC, {WRITER}, {READER}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {tables} TO {WRITER}",
        f"GRANT SELECT ON {VERSION_TABLE} TO {WRITER}",
        f"GRANT SELECT ON {views} TO {WRITER}, {READER}",
        *(function.format(schema=schema) for function in (_MAKE_DAY, _DROP_DAY, _OWNER)),
        *(f"REVOKE ALL ON FUNCTION {schema}.{function}(date) FROM PUBLIC" for function in (MAKE_DAY, DROP_DAY)),
        *(f"GRANT EXECUTE ON FUNCTION {schema}.{function}(date) TO {WRITER}" for function in (MAKE_DAY, DROP_DAY)),
    ]


def make_roles(store: Store) -> None:
    """Makes the roles, or puts their rights in order.

    Raises InputError where the database has no roles, or where they are missing and the user may not make them.
    """
    if not store.place.startswith("postgresql"):
        raise InputError("a SQLite file has no roles; give a postgresql:// address")

    def make(connection: Connection) -> None:
        _check_may_make(connection)
        for statement in roles_sql(str(connection.scalar(text(_SCHEMA)))):
            connection.execute(text(statement.replace(":", "\\:")))

    store.transact(make)


def _check_may_make(connection: Connection) -> None:
    known = set(connection.scalars(text("SELECT rolname FROM pg_roles")))
    missing = [role for role in (WRITER, READER) if role not in known]
    query = "SELECT rolname, rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user"
    user, may = connection.execute(text(query)).one()
    if missing and not may:
        raise InputError(
            f"{user} needs CREATEROLE to make {' and '.join(missing)}; as a superuser: ALTER ROLE {user} CREATEROLE"
        )


def make_days(store: Store, days: int) -> Sequence[str]:
    """Makes the partitions of today (UTC) and of the days after it, `days` in all; gives their dates."""
    today = datetime.now(UTC).date()
    wanted = [today + timedelta(days=number) for number in range(days)]
    store.prepare_days(wanted)
    return [day.isoformat() for day in wanted]
