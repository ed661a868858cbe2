"""Retention: what is older than the settings say is removed.

Age is event time in whole days of UTC: what is to be kept for N days is removed once N full days have passed since the
end of its day, so that a day comes and goes as one. A window belongs to the day in which it begins, an episode, a run
and a person to that of their end; a run that goes on is kept. In Postgres the days of `observation` are tables of their
own, and are dropped, which takes no time; all else is deleted in batches, between which others can write.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Table, delete, false, func, select, tuple_

from contracts.settings import RetentionSettings
from storage.store import Store
from storage.tables import dead_letter, observation, person, run, stress_episode, window_stat

BATCH: Final = 10_000
"""Rows that are deleted in one transaction."""


class Retained(msgspec.Struct, frozen=True, kw_only=True):
    """What retention came to."""

    before: Mapping[str, datetime]
    """Table -> what is older goes, of the tables that have a retention."""
    removed: Mapping[str, int]
    """Table -> rows that were removed, or would be."""
    traces: str | None
    """Why the database's file has not become smaller, in a sentence; None where it has, or nothing was removed."""


def retain(store: Store, settings: RetentionSettings, now: datetime, *, dry_run: bool = False) -> Retained:
    """Removes what is older than the settings allow; with `dry_run` only counts it. `now` is aware.

    May be done again, and while others write.
    """
    before = {
        name: _days_before(now, days) for name in settings.__class__.model_fields if (days := getattr(settings, name))
    }
    conditions = _conditions(before)
    if dry_run:
        count = partial(_count, conditions=conditions)
        return Retained(before=before, removed=store.transact(count, write=False), traces=None)
    removed = dict.fromkeys((table.name for table in conditions), 0)
    if observation in conditions:
        oldest = before[observation.name].date()
        removed[observation.name] = sum(store.drop_day(day) for day in store.days() if day < oldest)
    for table, condition in conditions.items():
        while batch := store.transact(partial(_delete, table=table, condition=condition)):
            removed[table.name] += batch
    traces = store.scrub() if any(removed.values()) else None
    return Retained(before=before, removed=removed, traces=traces)


def _days_before(now: datetime, days: int) -> datetime:
    """The beginning of the first day that is kept."""
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days)


def _conditions(before: Mapping[str, datetime]) -> dict[Table, ColumnElement[bool]]:
    """What goes, of each table from which something does; people last, since they take their rows along."""

    def older(table: Table, column: str) -> ColumnElement[bool]:
        return table.c[column] < before[table.name] if table.name in before else false()

    gone = select(person.c.person_id).where(older(person, "last_seen"))
    conditions = {
        observation: older(observation, "captured_at"),
        window_stat: older(window_stat, "window_start") | window_stat.c.person_id.in_(gone),
        stress_episode: older(stress_episode, "ended_at") | stress_episode.c.person_id.in_(gone),
        dead_letter: older(dead_letter, "captured_at"),
        run: older(run, "ended_at"),
        person: older(person, "last_seen"),
    }
    with_people = {window_stat, stress_episode} if person.name in before else set()
    return {table: it for table, it in conditions.items() if table.name in before or table in with_people}


def _count(connection: Connection, conditions: Mapping[Table, ColumnElement[bool]]) -> dict[str, int]:
    return {
        table.name: connection.scalar(select(func.count()).select_from(table).where(condition)) or 0
        for table, condition in conditions.items()
    }


def _delete(connection: Connection, table: Table, condition: ColumnElement[bool]) -> int:
    key = tuple(table.primary_key.columns)
    batch = select(*key).where(condition).limit(BATCH)
    return connection.execute(delete(table).where(tuple_(*key).in_(batch))).rowcount
