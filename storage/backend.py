"""What the store asks of a database, and which databases there are."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import date
from typing import TypeAlias

from sqlalchemy import Connection, Engine, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from contracts.rows import Observation

Insert: TypeAlias = postgresql.Insert | sqlite.Insert


class Backend(ABC):
    """One kind of database, at one place."""

    engine: Engine

    @property
    @abstractmethod
    def place(self) -> str:
        """The database's name for messages, without credentials."""

    @property
    @abstractmethod
    def driver_errors(self) -> tuple[type[Exception], ...]:
        """What may be raised when the database refuses."""

    @abstractmethod
    def check(self) -> None:
        """Raises StorageError where the database cannot be used, before anything in it is touched."""

    @abstractmethod
    def check_server(self, connection: Connection) -> None:
        """Raises StorageError for a server that is too old."""

    @abstractmethod
    def lock_schema(self, connection: Connection) -> None:
        """Until the end of the transaction, nobody else makes or upgrades the tables."""

    @abstractmethod
    def insert(self, table: Table) -> Insert:
        """An INSERT that knows ON CONFLICT."""

    @abstractmethod
    def insert_observations(self, connection: Connection, observations: Sequence[Observation]) -> None:
        """Stores observations, and skips those that are there already."""

    @abstractmethod
    def transient(self, error: Exception) -> bool:
        """Whether the same transaction may succeed if it is tried again."""

    @abstractmethod
    def away(self, error: Exception) -> bool:
        """Whether the database cannot be reached now, and there is nothing wrong with what was asked of it."""

    @abstractmethod
    def explain(self, error: Exception) -> str:
        """One line for the user: what is wrong, and what to do."""

    @abstractmethod
    def before_write(self, observations: Sequence[Observation]) -> None:
        """Prepares for these observations, outside the transaction that stores them."""

    @abstractmethod
    def prepare_days(self, days: Sequence[date]) -> None:
        """Prepares for observations of these days, where that takes something."""

    @abstractmethod
    def days(self, connection: Connection) -> Sequence[date]:
        """The days of observations that are kept apart, in order."""

    @abstractmethod
    def drop_day(self, connection: Connection, day: date) -> int:
        """Drops a day that is kept apart, and gives the number of its observations."""

    @abstractmethod
    def scrub(self) -> str | None:
        """Leaves nothing of rows that were deleted in the files; says why, where it cannot now."""

    def close(self) -> None:
        """Closes all connections."""
        self.engine.dispose()


def driver_error(error: Exception) -> BaseException:
    """The driver's own error, whether or not SQLAlchemy has wrapped it."""
    return getattr(error, "orig", None) or error


def first_line(error: BaseException) -> str:
    """What the driver said, without the SQL and its values."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines and not isinstance(error, SQLAlchemyError) else type(error).__name__
