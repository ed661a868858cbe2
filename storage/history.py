"""What is stored, read back: windows, episodes, people, cameras, runs, observations; in pages or as a stream.

Each kind of row is asked for in the same way, with a Connection and an `Asked`:
`store.transact(partial(history.page, kind=history.EPISODES, asked=Asked(camera_id="door")), write=False)` for a page,
`store.stream(partial(history.stream, kind=history.EPISODES, asked=Asked(camera_id="door")))` for everything.

What is asked for overlaps [since, until): an episode, a person or a run that reaches into it counts. A window counts
where it begins in it, so that ranges that follow each other share no window.
"""

import base64
import binascii
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Generic, TypeVar

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Row,
    Select,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
    true,
    tuple_,
)

from contracts.errors import InputError
from storage.records import (
    CameraHistory,
    CameraRun,
    CameraWindow,
    Episode,
    PersonHistory,
    PersonMoment,
    PersonWindow,
    columns_of,
    maker,
    selection,
    view,
)
from storage.summaries import summaries
from storage.tables import camera, person, window_stat
from storage.values import storable

__all__ = [
    "CameraHistory", "CameraRun", "CameraWindow", "Episode", "PersonHistory", "PersonMoment", "PersonWindow",
]  # fmt: skip

T = TypeVar("T", bound=msgspec.Struct)
PAGE: Final = 1000
"""Rows of a page, where nothing else is said."""
BATCH: Final = 2000
"""Rows of a stream that are in memory together."""


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Some rows, and what to give as `after` for those that follow; None at the end."""

    rows: list[T]
    next: str | None


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows. `since` and `until` are aware; `window_seconds` is for windows alone."""

    camera_id: str | None = None
    person_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    window_seconds: int | None = None


class Kind(msgspec.Struct, Generic[T], frozen=True):
    """A kind of row that can be asked for. Its rows come in the order of `key`, whose first column is a time."""

    name: str
    row: type[T]
    source: FromClause
    key: tuple[str, ...]  # names a row
    end: str | None = None  # the column with the time at which it is over, for what lasts
    goes_on: bool = False  # that time may be null: it is not over yet
    complete: Callable[[Connection, Sequence[Row[Any]]], list[T]] | None = None  # rows of the source -> structs


def _kind(
    name: str, row: type[T], source: str, key: tuple[str, ...], end: str | None = None, *, goes_on: bool = False
) -> Kind[T]:
    return Kind(name, row, view(source, row), key, end, goes_on)


CAMERA_WINDOWS: Final = _kind("windows", CameraWindow, "camera_window", ("window_start", "window_seconds", "camera_id"))
PERSON_WINDOWS: Final = _kind(
    "windows", PersonWindow, "person_window", ("window_start", "window_seconds", "camera_id", "person_id")
)
EPISODES: Final = _kind("episodes", Episode, "episode", ("started_at", "person_id"), "ended_at")
RUNS: Final = _kind("runs", CameraRun, "camera_run", ("started_at", "run_id"), "ended_at", goes_on=True)
OBSERVATIONS: Final = _kind(
    "observations", PersonMoment, "person_moment", ("captured_at", "run_id", "seq", "person_id")
)
# Not from the view person_summary: it would sum up everybody's windows before the first row.
PEOPLE: Final = Kind("people", PersonHistory, person, ("first_seen", "person_id"), "last_seen", complete=summaries)


def cameras(connection: Connection, *, camera_id: str | None = None) -> list[CameraHistory]:
    """All cameras, or the one, by name; there are never many."""
    source = view("camera_summary", CameraHistory)
    query = select(*selection(source, CameraHistory)).order_by(source.c.camera_id)
    if camera_id is not None:
        query = query.where(source.c.camera_id == storable(camera_id))
    return list(map(maker(CameraHistory), connection.execute(query)))


def page(
    connection: Connection,
    kind: Kind[T],
    asked: Asked,
    *,
    newest_first: bool = False,
    after: str | None = None,
    limit: int = PAGE,
) -> Page[T]:
    """Up to `limit` rows, beginning after the place that another page's `next` told.

    Raises InputError for an `after` that is none.
    """
    query = _query(kind, asked, newest_first)
    if after is not None:
        query = query.where(_beyond(kind, after, newest_first))
    found = connection.execute(query.limit(limit + 1)).all()
    rows = _made(kind)(connection, found[:limit])
    return Page(rows, _place(kind, rows[-1]) if len(found) > limit and rows else None)


def stream(
    connection: Connection, kind: Kind[T], asked: Asked, *, newest_first: bool = False, batch: int = BATCH
) -> Iterator[list[T]]:
    """All rows, `batch` at a time; no more of them are in memory, here or in the driver."""
    made = _made(kind)
    query = _query(kind, asked, newest_first).execution_options(yield_per=batch)
    result = connection.execute(query)
    for rows in result.partitions(batch):
        yield made(connection, rows)


def _query(kind: Kind[T], asked: Asked, newest_first: bool) -> Select[Any]:
    source = kind.source
    chosen = source.columns if kind.complete else selection(source, kind.row)
    order = [source.c[name].desc() if newest_first else source.c[name] for name in kind.key]
    return select(*chosen).where(*_conditions(kind, asked)).order_by(*order)


def _conditions(kind: Kind[T], asked: Asked) -> Iterator[ColumnElement[bool]]:
    source = kind.source
    begins = source.c[kind.key[0]]
    for name in ("camera_id", "person_id", "window_seconds"):
        wanted = getattr(asked, name)
        if wanted is not None and name not in source.c:
            raise InputError(f"{kind.name} cannot be asked for by {name}: they have none")
        if wanted is not None:
            yield source.c[name] == (storable(wanted) if isinstance(wanted, str) else wanted)
    if asked.since is not None and kind.end is None:
        yield begins >= asked.since
    elif asked.since is not None and kind.end is not None:
        later = source.c[kind.end] >= asked.since
        yield or_(later, source.c[kind.end].is_(None)) if kind.goes_on else later
    if asked.until is not None:
        yield begins < asked.until


def _made(kind: Kind[T]) -> Callable[[Connection, Sequence[Row[Any]]], list[T]]:
    if kind.complete is not None:
        return kind.complete
    make = maker(kind.row)
    return lambda _, rows: list(map(make, rows))


def _place(kind: Kind[T], row: T) -> str:
    """The key of a row as one word."""
    return base64.urlsafe_b64encode(msgspec.json.encode([getattr(row, name) for name in kind.key])).decode().rstrip("=")


def _beyond(kind: Kind[T], place: str, newest_first: bool) -> ColumnElement[bool]:
    """The rows after the one whose key this is."""
    types = columns_of(kind.row)
    try:
        word = base64.b64decode(place.encode("ascii") + b"=" * (-len(place) % 4), b"-_", validate=True)
        key = msgspec.json.decode(word, type=tuple.__class_getitem__(tuple(types[name] for name in kind.key)))
        values = list(map(_sound, key))
    except (binascii.Error, ValueError, OverflowError) as error:  # msgspec's errors are ValueErrors, too
        raise InputError("`after` is not what a page of this kind has told as its next") from error
    columns = [kind.source.c[name] for name in kind.key]
    here = [literal(value, column.type) for value, column in zip(values, columns, strict=True)]
    if newest_first:
        return (columns[0] <= here[0]) & (tuple_(*columns) < tuple_(*here))
    # Said twice, so that the index of the time is used.
    return (columns[0] >= here[0]) & (tuple_(*columns) > tuple_(*here))


def _sound(value: Any) -> Any:
    """A value of a key as both databases take it: who asks may have made it up. Raises ValueError, OverflowError."""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise OverflowError
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    return storable(value) if isinstance(value, str) else value


def newest_window(connection: Connection, run: CameraRun) -> CameraWindow | None:
    """The newest of a run's shortest windows; None before the first of them is over."""
    # In the order of the key, whose last entry this is. Other runs of the camera may have windows of other lengths.
    rows = window_stat.c.run_id == storable(run.run_id)
    rows &= (window_stat.c.camera_id == storable(run.camera_id)) & (window_stat.c.person_id == literal_column("''"))
    shortest = select(func.min(window_stat.c.window_seconds)).where(rows).scalar_subquery()
    query = select(*selection(window_stat, CameraWindow)).where(rows, window_stat.c.window_seconds == shortest)
    found = connection.execute(query.order_by(window_stat.c.window_start.desc()).limit(1))
    return next(map(maker(CameraWindow), found), None)


def lengths(connection: Connection, camera_id: str | None = None) -> list[int]:
    """The lengths that there are windows of, of a camera or of any, in seconds, ascending."""
    # Steps from one to the next, along the index of whole cameras, instead of looking at every window.
    of_camera = window_stat.c.person_id == literal_column("''")
    found: list[int] = []
    while (following := connection.scalar(_next_length(of_camera, found))) is not None:
        found.append(following)
    if camera_id is None:
        return found
    of_camera &= window_stat.c.camera_id == storable(camera_id)
    return [
        one
        for one in found
        if connection.scalar(select(exists().where(of_camera, window_stat.c.window_seconds == one)))
    ]


def _next_length(rows: ColumnElement[bool], found: Sequence[int]) -> Select[Any]:
    query = select(func.min(window_stat.c.window_seconds)).where(rows)
    return query.where(window_stat.c.window_seconds > found[-1]) if found else query


def fitting_length(connection: Connection, kind: Kind[Any], asked: Asked, limit: int) -> int | None:
    """Of the lengths with at most `limit` windows the one that covers most frames, the shortest of equals.

    Else the longest; None where there are no windows. Runs of a camera may have windows of different lengths.
    """
    best = longest = None
    most = -1
    for length in lengths(connection, asked.camera_id):
        found = page(connection, kind, msgspec.structs.replace(asked, window_seconds=length), limit=limit)
        longest = length if found.rows else longest
        # A long window that reaches out of the time asked for covers no more of it.
        within = [row.frames for row in found.rows if asked.until is None or end_of(row) <= asked.until]
        if found.rows and found.next is None and sum(within) > most:
            best, most = length, sum(within)
    return best or longest


def left_out(connection: Connection, asked: Asked) -> list[CameraWindow]:
    """What is missing among the windows of a length: of each run that has none of it, its shortest windows.

    A run whose first window of that length is not over yet is not meant.
    """
    whole = literal_column("''") == window_stat.c.person_id
    runs = msgspec.structs.replace(asked, window_seconds=None)
    of_run = (window_stat.c.run_id == RUNS.source.c.run_id) & (window_stat.c.camera_id == RUNS.source.c.camera_id)
    there = exists().where(of_run, whole, window_stat.c.window_seconds == asked.window_seconds)
    found = connection.execute(_query(RUNS, runs, False).where(~there)).all()
    rows: list[CameraWindow] = []
    for run in map(maker(CameraRun), found):
        newest = newest_window(connection, run)
        if newest is None or (run.ended_at is None and not _is_due(asked.window_seconds or 0, run, newest)):
            continue
        query = select(*selection(window_stat, CameraWindow)).where(
            window_stat.c.run_id == run.run_id, window_stat.c.camera_id == run.camera_id, whole,
            window_stat.c.window_seconds == newest.window_seconds,
            true() if asked.since is None else window_stat.c.window_start >= asked.since,
            true() if asked.until is None else window_stat.c.window_start < asked.until,
        )  # fmt: skip
        rows.extend(map(maker(CameraWindow), connection.execute(query.order_by(window_stat.c.window_start))))
    return rows


def _is_due(length: int, run: CameraRun, newest: CameraWindow) -> bool:
    """Whether a running run's first window of this length would be stored: windows that end together are."""
    return run.started_at.timestamp() // length * length + length <= end_of(newest).timestamp()


def end_of(window: CameraWindow | PersonWindow) -> datetime:
    """When a window ends."""
    return window.window_start + timedelta(seconds=window.window_seconds)


def names(connection: Connection) -> list[str]:
    """The cameras, by name."""
    return list(connection.scalars(select(camera.c.camera_id).order_by(camera.c.camera_id)))


def pseudonyms(connection: Connection, ending: str, camera_id: str | None = None) -> list[str]:
    """The people whose pseudonym is `ending`, or ends with it after a dot, in the order of their first appearance."""
    wanted = (person.c.person_id == storable(ending)) | person.c.person_id.endswith(
        "." + storable(ending), autoescape=True
    )
    query = select(person.c.person_id).where(wanted).order_by(person.c.first_seen, person.c.person_id)
    if camera_id is not None:
        query = query.where(person.c.camera_id == storable(camera_id))
    return list(connection.scalars(query))
