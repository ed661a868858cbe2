"""The rows that are read back: a struct for each view, its fields named as the view's columns.

Seven numbers in the order of EMOTIONS are one field, as in contracts.rows. Times are aware datetimes in UTC.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import NoneType
from typing import Any, Final, TypeVar, get_args, get_type_hints

import msgspec
from sqlalchemy import BigInteger, Boolean, ColumnElement, Double, FromClause, TableClause, Text, cast, column, table

from contracts.emotions import EMOTIONS
from contracts.rows import Seven
from storage.values import SEVENS, UtcTime

T = TypeVar("T", bound=msgspec.Struct)


class CameraWindow(msgspec.Struct, frozen=True):
    """A camera's statistics over [window_start, window_start + window_seconds), as WindowStat has them."""

    camera_id: str
    window_seconds: int
    window_start: datetime
    frames: int
    observations: int
    people: int
    seconds_observed: float
    mean: Seven | None
    transitions: int
    stress_max: float | None
    stress_mean: float | None
    stress_ratio: float | None
    happiness_ratio: float | None
    dominant: str | None


class PersonWindow(msgspec.Struct, frozen=True):
    """A person's statistics over a window."""

    camera_id: str
    person_id: str
    window_seconds: int
    window_start: datetime
    frames: int
    observations: int
    seconds_observed: float
    mean: Seven | None
    transitions: int
    stress_max: float | None
    stress_mean: float | None
    stress_ratio: float | None
    happiness_ratio: float | None
    dominant: str | None


class Episode(msgspec.Struct, frozen=True):
    """A maximal time in which a person stayed in the stressed state."""

    person_id: str
    camera_id: str
    run_id: str
    started_at: datetime
    ended_at: datetime
    seconds: float
    stress_mean: float
    stress_max: float


class PersonHistory(msgspec.Struct, frozen=True):
    """A person over all the time observed; None where there is no window of this person."""

    person_id: str
    camera_id: str
    first_seen: datetime
    last_seen: datetime
    observations: int
    seconds_observed: float
    mean: Seven | None
    dominant: str | None
    transitions: int | None
    stress_mean: float | None
    stress_max: float | None
    stress_ratio: float | None
    happiness_ratio: float | None
    stress_episodes: int


class CameraHistory(msgspec.Struct, frozen=True):
    """A camera; `live` and `status` are its latest run's, `last_seen` is the event time until which it was seen."""

    camera_id: str
    created_at: datetime
    runs: int
    live: bool | None
    status: str | None
    last_seen: datetime | None
    frames: int
    dropped: int
    faces: int
    people: int
    dead_letters: int


class CameraRun(msgspec.Struct, frozen=True):
    """A connection to a camera, or a replay of a file; `ended_at` is None while it runs."""

    run_id: str
    camera_id: str
    source: str
    live: bool
    width: int
    height: int
    started_at: datetime
    ended_at: datetime | None
    frames: int
    dropped: int
    faces: int
    status: str
    error: str | None
    detector: str
    model: str


class PersonMoment(msgspec.Struct, frozen=True):
    """One observation of somebody, without where in the picture it was."""

    person_id: str
    camera_id: str
    run_id: str
    seq: int
    captured_at: datetime
    probabilities: Seven
    smoothed: Seven
    dominant: str
    stress: float
    stressed: bool


_SQL: Final[Mapping[Any, Any]] = {str: Text, int: BigInteger, float: Double, bool: Boolean, datetime: UtcTime}


def columns_of(row: type[msgspec.Struct]) -> dict[str, Any]:
    """The columns of a struct, in order: name -> str, int, float, bool or datetime."""
    found: dict[str, Any] = {}
    for name, hint in get_type_hints(row).items():
        if name in SEVENS:
            found |= dict.fromkeys(SEVENS[name], float)
        else:
            found[name] = next((part for part in get_args(hint) if part is not NoneType), hint)
    return found


def view(name: str, row: type[msgspec.Struct]) -> TableClause:
    """The view that has a struct's columns."""
    return table(name, *(column(known, _SQL[kind]()) for known, kind in columns_of(row).items()))


def selection(source: FromClause, row: type[msgspec.Struct]) -> list[ColumnElement[Any]]:
    """What to select for `maker`. Sums of integers are decimal numbers in Postgres, and become integers again here."""
    return [
        cast(source.c[name], BigInteger).label(name) if kind is int else source.c[name]
        for name, kind in columns_of(row).items()
    ]


def maker(row: type[T]) -> Callable[[Sequence[Any]], T]:
    """What makes a struct of the values of its columns."""
    places: list[int | slice] = []
    at = 0
    for name in row.__struct_fields__:
        width = len(EMOTIONS) if name in SEVENS else 1
        places.append(slice(at, at + width) if name in SEVENS else at)
        at += width

    def make(values: Sequence[Any]) -> T:
        return row(*(_seven(values[place]) if isinstance(place, slice) else values[place] for place in places))

    return make


def flat(row: msgspec.Struct) -> list[Any]:
    """The values of a struct's columns, in order."""
    values: list[Any] = []
    for name in row.__struct_fields__:
        value = getattr(row, name)
        if name in SEVENS:
            values.extend(value or (None,) * len(EMOTIONS))
        else:
            values.append(value)
    return values


def _seven(values: Sequence[Any]) -> Seven | None:
    return None if None in values else tuple(values)
