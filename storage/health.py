"""A look at a database, without touching it."""

from contracts.errors import StorageError
from contracts.settings import StorageSettings
from storage.backend import Backend
from storage.choosing import choose
from storage.schema import HEAD, refuse_newer, version
from storage.sqlite import SqliteBackend


def look(settings: StorageSettings) -> str:
    """What is there, in a few words. Makes and upgrades nothing.

    Raises SettingsError for a URL that cannot be meant, StorageError for a database that cannot be used.
    """
    backend = choose(settings.url)
    try:
        backend.check()
        if isinstance(backend, SqliteBackend) and not backend.exists:
            return f"{backend.place}: not there yet; it is made when it is needed"
        found = _version(backend)
    except backend.driver_errors as error:
        raise StorageError(backend.explain(error)) from error
    finally:
        backend.close()
    if found is None:
        return f"{backend.place}: empty; the tables are made when they are needed"
    refuse_newer(found, backend.place)
    older = "" if found == HEAD else f"; it is upgraded to {HEAD} when it is next used"
    return f"{backend.place}: schema {found}{older}"


def _version(backend: Backend) -> str | None:
    if isinstance(backend, SqliteBackend):
        return backend.version()  # a connection of the engine would alter the file
    with backend.engine.connect() as connection:
        return version(connection, backend.place)


def is_there(settings: StorageSettings) -> bool:
    """Whether there is a database to ask: a SQLite file that has something in it, or a server's address.

    Raises SettingsError for a URL that cannot be meant.
    """
    backend = choose(settings.url)
    try:
        return not isinstance(backend, SqliteBackend) or backend.exists
    finally:
        backend.close()
