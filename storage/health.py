"""A look at a database, without touching it."""

from sqlalchemy import inspect, text

from contracts.errors import StorageError
from contracts.settings import StorageSettings
from storage.choosing import choose
from storage.schema import HEAD, foreign, refuse_newer
from storage.sqlite import SqliteBackend
from storage.tables import VERSION_TABLE


def look(settings: StorageSettings) -> str:
    """What is there, in a few words. Makes and upgrades nothing.

    Raises SettingsError for a URL that cannot be meant, StorageError for a database that cannot be used.
    """
    backend = choose(settings.url)
    try:
        backend.check()
        if isinstance(backend, SqliteBackend) and not backend.exists:
            return f"{backend.place}: not there yet; it is made when it is needed"
        with backend.engine.connect() as connection:
            tables = set(inspect(connection).get_table_names())
            if VERSION_TABLE not in tables:
                if tables:
                    raise foreign(backend.place, tables)
                return f"{backend.place}: empty; the tables are made when they are needed"
            found = connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608
    except backend.driver_errors as error:
        raise StorageError(backend.explain(error)) from error
    finally:
        backend.close()
    refuse_newer(found, backend.place)
    older = "" if found == HEAD else f"; it is upgraded to {HEAD} when it is next used"
    return f"{backend.place}: schema {found}{older}"


def is_there(settings: StorageSettings) -> bool:
    """Whether there is a database to ask: a SQLite file that has something in it, or a server's address.

    Raises SettingsError for a URL that cannot be meant.
    """
    backend = choose(settings.url)
    try:
        return not isinstance(backend, SqliteBackend) or backend.exists
    finally:
        backend.close()
