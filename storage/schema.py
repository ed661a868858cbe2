"""Brings a database to today's tables, whatever it holds: nothing, an older schema, a newer one, other data."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, inspect, text

from contracts.errors import StorageError
from storage.tables import VERSION_TABLE

if TYPE_CHECKING:
    from alembic.config import Config

HEAD: Final = "0004"
"""The schema of this version: the last of the migrations."""

PARTITION: Final = re.compile(r"observation_\d{8}")


def belongs(name: str | None, kind: str, _parents: Any) -> bool:
    """For Alembic's comparison: the partitions of Postgres are no tables of their own."""
    return kind != "table" or name is None or not PARTITION.fullmatch(name)


def configuration() -> "Config":
    """Alembic's settings, without a file."""
    from alembic.config import Config  # takes long, and only a database that changes needs it

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config


def version(connection: Connection, place: str) -> str | None:
    """The schema that is there; None where there are no tables.

    `place` is the database's name for messages. Raises StorageError for another program's database.
    """
    tables = set(inspect(connection).get_table_names())
    if VERSION_TABLE in tables:
        found: str | None = connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608
        return found
    if tables:
        raise foreign(place, tables)
    return None


def ready(connection: Connection, place: str) -> bool:
    """Whether the tables are today's. Raises StorageError where they never will be: newer ones, and other programs'."""
    found = version(connection, place)
    refuse_newer(found, place)
    return found == HEAD


def prepare(connection: Connection, place: str) -> None:
    """Makes or upgrades the tables, in the connection's transaction, which must hold the schema's lock."""
    if ready(connection, place):
        return
    from alembic import command

    config = configuration()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def refuse_newer(found: str | None, place: str) -> None:
    """Raises StorageError for a schema that this version does not know. Steps are numbered: 0001, 0002, …"""
    if found is not None and found > HEAD:
        raise StorageError(
            f"{place} was written by a newer affectstream (schema {found}); upgrade affectstream to use it"
        )


def foreign(place: str, tables: set[str]) -> StorageError:
    """The refusal to share a database with another program."""
    shown = ", ".join(sorted(tables)[:3]) + (", …" if len(tables) > 3 else "")
    detail = f" (it has {shown})" if tables else ""
    return StorageError(f"{place} belongs to another program{detail}; give affectstream a database of its own")
