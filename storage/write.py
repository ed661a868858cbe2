"""Rows into tables. All of it may be repeated without changing anything."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Table, case, delete

from contracts.rows import Person, Rows, Run
from storage.backend import Backend, Insert
from storage.forgotten import allowed
from storage.tables import camera, dead_letter, person, run, stress_episode, window_stat
from storage.values import as_columns


def write_rows(connection: Connection, backend: Backend, rows: Rows) -> None:
    """Stores what became final together, in the connection's transaction, except of people who were forgotten."""
    rows = allowed(connection, rows)
    if rows.observations:
        backend.insert_observations(connection, rows.observations)
    _execute(connection, _replace(backend.insert(window_stat)), rows.windows)
    _execute(connection, _later_person(backend.insert(person)), _merged(rows.people))
    _execute(connection, _replace(backend.insert(stress_episode)), rows.episodes)
    _execute(connection, backend.insert(dead_letter).on_conflict_do_nothing(), rows.dead_letters)
    for run_id, seq in rows.revived:
        connection.execute(delete(dead_letter).where(dead_letter.c.run_id == run_id, dead_letter.c.seq == seq))


def write_run(connection: Connection, backend: Backend, row: Run, *, started: bool) -> None:
    """Stores a run and its camera. The news that a run has started does not undo the news that it has ended."""
    first = backend.insert(camera)
    earlier = first.excluded.created_at < camera.c.created_at
    upsert = first.on_conflict_do_update(
        index_elements=_key(camera), set_={"created_at": first.excluded.created_at}, where=earlier
    )
    values = as_columns(row)
    connection.execute(upsert, {"camera_id": values["camera_id"], "created_at": values["started_at"]})
    connection.execute(_replace(backend.insert(run), where=run.c.ended_at.is_(None) if started else None), values)


def _execute(connection: Connection, statement: Insert, rows: Sequence[msgspec.Struct]) -> None:
    if rows:
        table = statement.table
        assert isinstance(table, Table)  # noqa: S101
        connection.execute(statement, _once(_key(table), map(as_columns, rows)))


def _once(key: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The last row of each key, as one statement may not replace its own rows; in order, lest writers deadlock."""
    last = {tuple(row[name] for name in key): row for row in rows}
    return [last[values] for values in sorted(last)]


def _key(table: Table) -> list[str]:
    return [column.name for column in table.primary_key.columns]


def _replace(statement: Insert, where: ColumnElement[bool] | None = None) -> Insert:
    table = statement.table
    assert isinstance(table, Table)  # noqa: S101
    key = _key(table)
    changed = {column.name: statement.excluded[column.name] for column in table.columns if column.name not in key}
    return statement.on_conflict_do_update(index_elements=key, set_=changed, where=where)


def _later_person(statement: Insert) -> Insert:
    """The row that has seen the person last wins, whichever comes first; the earliest first_seen is kept."""
    new = statement.excluded
    later, earlier = new.last_seen >= person.c.last_seen, new.first_seen < person.c.first_seen
    changed = {
        column.name: case((earlier if column.name == "first_seen" else later, new[column.name]), else_=column)
        for column in person.columns
        if column.name != "person_id"
    }
    return statement.on_conflict_do_update(index_elements=["person_id"], set_=changed)


def _merged(people: Iterable[Person]) -> list[Person]:
    merged: dict[str, Person] = {}
    for row in people:
        before = merged.get(row.person_id, row)
        later = row if row.last_seen >= before.last_seen else before
        merged[row.person_id] = msgspec.structs.replace(later, first_seen=min(row.first_seen, before.first_seen))
    return list(merged.values())
