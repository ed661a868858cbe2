"""Erasing people: everything that is stored about them, and what a run that goes on would still store.

In three steps, each a transaction of its own, so that a database in use is held up only for a moment; if we die in
between, do it again:

1. Marks (`storage.forgotten`): nobody stores a row of these people from here on, not even who has them in memory.
2. Checkpoints: the people are taken out, and the version counts up. An aggregator that goes on with such a camera has
   an old version now, cannot write, and reads the new checkpoint, as after any other loss of its place.
3. Rows.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import msgspec
from sqlalchemy import (
    Connection,
    LargeBinary,
    MetaData,
    String,
    Table,
    case,
    delete,
    exists,
    func,
    inspect,
    or_,
    select,
    update,
)

from contracts.errors import InputError
from storage.forgotten import leave_out, marked
from storage.schema import belongs
from storage.store import Store
from storage.tables import checkpoint, observation, person, stress_episode, window_stat
from storage.values import storable

_ROWS: Final = (observation, window_stat, stress_episode, person)
"""The tables that name people; `person` last, by which they are found again."""


class Forgotten(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an erasure."""

    removed: Mapping[str, int]
    """Table -> rows that were removed; of `checkpoint`, the cameras whose state had these people in it."""
    left: Mapping[str, int]
    """`table.column` -> rows in which one of the pseudonyms still stands: none, or the erasure has failed."""
    traces: str | None
    """Why traces may be left in the database's files, in a sentence; None where there are none."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """When a person was before a camera."""

    person_id: str
    camera_id: str
    first_seen: datetime
    last_seen: datetime
    staying: bool  # still followed by an aggregator
    distributed: bool  # the camera's frames come through Redis and Kafka


def forget(store: Store, *people: str) -> Forgotten:
    """Erases these people and looks whether anything is left. May be repeated, and while others write.

    Raises InputError, and erases nobody, where one of them is empty, or neither stored nor was forgotten before.
    """
    ids = _checked(store, people)
    store.transact(partial(leave_out, people=ids))
    checkpoints = store.transact(partial(_take_out, people=ids))
    removed = store.transact(partial(_remove, people=ids)) | {checkpoint.name: checkpoints}
    traces = store.scrub()
    return Forgotten(removed=removed, left=store.transact(partial(search, people=ids), write=False), traces=traces)


def seen(store: Store, *people: str) -> list[Seen]:
    """When these people were seen; without those of whom that is not stored any more. Raises InputError as `forget`."""
    ids = _checked(store, people)
    return [one for person_id in ids if (one := store.transact(partial(_seen, person_id=person_id), write=False))]


def search(connection: Connection, people: Collection[str]) -> dict[str, int]:
    """Where these pseudonyms stand: `table.column` -> rows, over all texts and bytes of all tables."""
    found: dict[str, int] = {}
    for name in inspect(connection).get_table_names():
        if belongs(name, "table", None):  # the days of an observation are searched with it
            table = Table(name, MetaData(), autoload_with=connection)
            for column, rows in (_in_texts(connection, table, people) | _in_bytes(connection, table, people)).items():
                found[f"{name}.{column}"] = rows
    return found


def _checked(store: Store, people: Collection[str]) -> list[str]:
    ids = sorted({storable(person_id) for person_id in people})
    if not all(person_id.strip() for person_id in ids):
        raise InputError("a pseudonym is empty; give it as person_summary has it; nobody was forgotten")
    if unknown := store.transact(partial(_unknown, people=ids), write=False):
        raise InputError(f"nobody is called {', '.join(unknown)} in {store.place}; nobody was forgotten")
    return ids


def _unknown(connection: Connection, people: Sequence[str]) -> list[str]:
    forgotten = marked(connection, people)
    return [one for one in people if one not in forgotten and not _stored(connection, one)]


def _stored(connection: Connection, person_id: str) -> bool:
    tables = reversed(_ROWS)
    return any(connection.scalar(select(exists().where(table.c.person_id == person_id))) for table in tables)


def _seen(connection: Connection, person_id: str) -> Seen | None:
    row = connection.execute(select(person).where(person.c.person_id == person_id)).first()
    if row is None:
        times = func.min(observation.c.captured_at), func.max(observation.c.captured_at)
        query = select(observation.c.camera_id, times[0].label("first_seen"), times[1].label("last_seen"))
        own = query.where(observation.c.person_id == person_id).group_by(observation.c.camera_id)
        row = connection.execute(own).first()
    if row is None:
        return None
    state = connection.scalar(select(checkpoint.c.state).where(checkpoint.c.camera_id == row.camera_id))
    return Seen(
        person_id=person_id, camera_id=row.camera_id, first_seen=row.first_seen, last_seen=row.last_seen,
        staying=state is not None and _names(state, [person_id]), distributed=state is not None,
    )  # fmt: skip


def _remove(connection: Connection, people: Sequence[str]) -> dict[str, int]:
    named = [one for one in people if one]  # rows without a name are those of whole cameras, which stay
    return {
        table.name: connection.execute(delete(table).where(table.c.person_id.in_(named))).rowcount for table in _ROWS
    }


def _take_out(connection: Connection, people: Sequence[str]) -> int:
    states = connection.execute(select(checkpoint.c.camera_id, checkpoint.c.state))
    cameras = [camera_id for camera_id, state in states if _names(state, people)]
    query = select(checkpoint).where(checkpoint.c.camera_id.in_(cameras)).order_by(checkpoint.c.camera_id)
    for row in connection.execute(query.with_for_update()).all():
        changed = {"state": without(row.state, people), "version": row.version + 1, "updated_at": datetime.now(UTC)}
        connection.execute(update(checkpoint).where(checkpoint.c.camera_id == row.camera_id).values(**changed))
    return len(cameras)


def without(state: bytes, people: Collection[str]) -> bytes:
    """An aggregator's state without these people.

    It is MessagePack in which a person is a map with that `person_id`, or stands under the pseudonym as a key. A face
    that goes on being seen is a new one to who reads this, and becomes a new person; their numbers are not used again.
    """
    try:
        return msgspec.msgpack.encode(_pruned(msgspec.msgpack.decode(state), people))
    except msgspec.DecodeError:
        return state


def _pruned(value: Any, people: Collection[str]) -> Any:
    match value:
        case dict():
            return {key: _pruned(inner, people) for key, inner in value.items() if key not in people}
        case list():
            return [
                _pruned(inner, people)
                for inner in value
                if not (isinstance(inner, dict) and inner.get("person_id") in people)
            ]
        case bytes() if _near(value, people):  # a state within the state
            return without(value, people)
        case _:
            return value


def _near(data: bytes, people: Collection[str]) -> bool:
    """Whether a pseudonym stands among the bytes, or the beginning of a longer one."""
    return any(person_id.encode() in data for person_id in people)


def _names(data: bytes, people: Collection[str]) -> bool:
    """Whether one of the people is in a state."""
    if not _near(data, people):
        return False
    try:
        return without(data, people) != msgspec.msgpack.encode(msgspec.msgpack.decode(data))
    except msgspec.DecodeError:
        return True


def _in_texts(connection: Connection, table: Table, people: Collection[str]) -> dict[str, int]:
    columns = [column for column in table.columns if isinstance(column.type, String)]
    if not columns:
        return {}
    place = func.strpos if connection.dialect.name == "postgresql" else func.instr
    hits = [or_(*(place(column, person_id) > 0 for person_id in people)) for column in columns]
    # In one pass over the table, and little comes of it: near misses are few different ones.
    shown = [case((hit, column)).label(column.name) for hit, column in zip(hits, columns, strict=True)]
    near = select(*shown, func.count()).where(or_(*hits)).group_by(*shown)
    whole = re.compile("|".join(rf"(?<![\w.-]){re.escape(person_id)}(?![\w-]|\.\w)" for person_id in people))
    found: dict[str, int] = {}
    for *values, rows in connection.execute(near):
        for column, value in zip(columns, values, strict=True):
            if value is not None and whole.search(value):
                found[column.name] = found.get(column.name, 0) + rows
    return found


def _in_bytes(connection: Connection, table: Table, people: Collection[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for column in table.columns:
        if isinstance(column.type, LargeBinary):
            values = connection.scalars(select(column).where(column.is_not(None)))
            if rows := sum(_names(value, people) for value in values):
                found[column.name] = rows
    return found
