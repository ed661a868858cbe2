"""Which database a setting names. A new kind is one new backend and one line here."""

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from contracts.errors import SettingsError
from storage.backend import Backend
from storage.postgres import PostgresBackend
from storage.sqlite import SqliteBackend


def choose(url: str, *, reading: bool = False) -> Backend:
    """The database that a setting names: a SQLAlchemy URL, or the path of a SQLite file.

    Who is only `reading` may have a file that is read-only.
    """
    if not url.strip():
        raise SettingsError("storage.url is empty; give a file such as affectstream.db, or postgresql://…")
    if "://" not in url:
        return SqliteBackend(URL.create("sqlite", database=url), reading=reading)
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # The text is not repeated: it may hold a password.
        raise SettingsError("storage.url cannot be read; write sqlite:///FILE or postgresql://USER@HOST/NAME") from None
    # What stands before it belongs to the password: it must be neither shown nor asked for.
    if "@" in (parsed.host or ""):
        raise SettingsError("storage.url: an @ in the user's name or password is written %40")
    match parsed.drivername:
        case "sqlite" | "sqlite+pysqlite":
            return SqliteBackend(parsed, reading=reading)
        case "postgresql" | "postgres" | "postgresql+psycopg2":
            return PostgresBackend(parsed.set(drivername="postgresql+psycopg2"))
        case other:
            raise SettingsError(f"storage.url: {other} is not supported; use sqlite:///FILE or postgresql://…")
