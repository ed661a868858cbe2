"""Rows -> SQL and back: SQLite for one machine, Postgres for many.

Importing this room costs nothing; SQLAlchemy comes with the first `open_store`.
"""

from typing import TYPE_CHECKING

from contracts.settings import StorageSettings

if TYPE_CHECKING:
    from storage.store import Store

__all__ = ["open_store"]


def open_store(settings: StorageSettings, *, reading: bool = False) -> "Store":
    """Opens the database that `settings.url` names, and makes or upgrades its tables where that is needed.

    Who is only `reading` gets along with a file that may not be written to, if its tables are today's.
    Raises SettingsError for a URL that cannot be meant, StorageError for a database that cannot be used now.
    """
    from storage.store import Store

    return Store(settings, reading=reading)
