"""What the user asks of the history, found in the database or refused in one line that names what there is."""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection

from contracts.errors import InputError
from contracts.settings import Settings
from pipeline.times import parse_range
from storage import history, open_store
from storage.health import is_there
from storage.history import Asked, Kind
from storage.store import Store

READABLE: Final = 60
"""Rows of a table that a person still likes to read."""
_NAMED: Final = 8


def open_stored(settings: Settings, *, reading: bool = False) -> Store:
    """The store, where something is in it. Raises InputError where nothing has been stored yet, and makes nothing."""
    if not is_there(settings.storage):
        raise InputError(
            f"there is no database {settings.storage.url.removeprefix('sqlite:///')} yet; `affectstream run SOURCE` "
            "makes it, --db names another"
        )
    return open_store(settings.storage, reading=reading)


def refuse_people(settings: Settings, what: str) -> None:
    """Raises InputError where nothing may be told about any one person."""
    if settings.privacy.aggregate:
        raise InputError(f"privacy.level is aggregate: there are no {what}, nothing about any one person is shown")


def asked(
    store: Store,
    settings: Settings,
    *,
    camera: str | None,
    person: str | None,
    since: str | None,
    until: str | None,
    window: int | None = None,
) -> Asked:
    """Which rows, as `history` takes it. Raises InputError for a camera, person, window or time that there is not."""
    begin, end = parse_range(since, until, datetime.now(UTC))
    if person is not None:
        refuse_people(settings, "people")
    return store.transact(
        partial(_asked, camera=camera, person=person, begin=begin, end=end, window=window), write=False
    )


def readable_length(connection: Connection, kind: Kind[Any], wanted: Asked) -> int | None:
    """The window length that shows most in a readable number of rows; None where there are none."""
    return history.fitting_length(connection, kind, wanted, READABLE)


def _asked(
    connection: Connection,
    camera: str | None,
    person: str | None,
    begin: datetime | None,
    end: datetime | None,
    window: int | None,
) -> Asked:
    if camera is not None and camera not in (known := history.names(connection)):
        raise InputError(f"there is no camera {camera!r}; {_there(known)}")
    if window is not None and (lengths := history.lengths(connection, camera)) and window not in lengths:
        raise InputError(f"there are no windows of {window} s; {_there(map(str, lengths))}")
    person_id = None if person is None else _person(connection, person, camera)
    return Asked(camera_id=camera, person_id=person_id, since=begin, until=end, window_seconds=window)


def _person(connection: Connection, person: str, camera: str | None) -> str:
    """The pseudonym itself, or its number within the run where that is clear."""
    found = history.pseudonyms(connection, person, camera)
    if len(found) == 1 or person in found:
        return person if person in found else found[0]
    if found:
        raise InputError(f"several people are {person!r}; {_there(reversed(found))}")
    everybody = history.Asked(camera_id=camera)
    latest = history.page(connection, history.PEOPLE, everybody, newest_first=True, limit=_NAMED + 1).rows
    where = f" at {camera}" if camera else ""
    raise InputError(f"there is no person {person!r}{where}; {_there(row.person_id for row in latest)}")


def _there(names: Iterable[str]) -> str:
    known = list(names)
    shown = ", ".join(known[:_NAMED]) + (", …" if len(known) > _NAMED else "")
    return f"there are {shown}" if known else "there is none"
