"""Retention: what is older than the settings say is removed.

Age is event time in whole days of UTC: what is to be kept for N days is removed once N full days have passed since the
end of its day, so that a day comes and goes as one. A window belongs to the day in which it begins, an episode, a run
and a person to that of their end; a run that goes on is kept. A run of a process that was killed has no end: it counts
as over where no checkpoint has it and nothing of it is young enough to be kept. (Should it go on after all, as a long
recording of long ago may, its end brings it back.) In Postgres the days of `observation` are tables of their own, and
are dropped, which takes no time; all else is deleted in batches, between which others can write.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Table, delete, exists, false, func, or_, select, tuple_

from contracts.settings import RetentionSettings
from storage.store import Store
from storage.tables import checkpoint, dead_letter, observation, person, run, stress_episode, window_stat

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
    held = store.transact(partial(_held, before=before[run.name]), write=False) if run.name in before else []
    conditions = _conditions(before, held)
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


def _held(connection: Connection, before: datetime) -> list[str]:
    """Of the runs that have begun before and not ended, those that an aggregator can go on with."""
    begun = run.c.ended_at.is_(None) & (run.c.started_at < before)
    with_state = select(run.c.run_id, checkpoint.c.state).join(checkpoint, checkpoint.c.camera_id == run.c.camera_id)
    # Another name that has this one in it will do as well: the run is removed another time.
    return [row.run_id for row in connection.execute(with_state.where(begun)) if row.run_id.encode() in row.state]


def _abandoned(before: datetime, held: Sequence[str]) -> ColumnElement[bool]:
    """Runs of processes that were killed, of which nothing is younger."""
    times = {
        window_stat: "window_start", person: "last_seen", observation: "captured_at", stress_episode: "ended_at",
        dead_letter: "captured_at",
    }  # fmt: skip
    younger = [exists().where(table.c.run_id == run.c.run_id, table.c[at] >= before) for table, at in times.items()]
    return run.c.ended_at.is_(None) & (run.c.started_at < before) & run.c.run_id.not_in(held) & ~or_(*younger)


def _conditions(before: Mapping[str, datetime], held: Sequence[str]) -> dict[Table, ColumnElement[bool]]:
    """What goes, of each table from which something does; people last, since they take their rows along."""

    def older(table: Table, column: str) -> ColumnElement[bool]:
        return table.c[column] < before[table.name] if table.name in before else false()

    gone = select(person.c.person_id).where(older(person, "last_seen"))
    conditions = {
        observation: older(observation, "captured_at"),
        window_stat: older(window_stat, "window_start") | window_stat.c.person_id.in_(gone),
        stress_episode: older(stress_episode, "ended_at") | stress_episode.c.person_id.in_(gone),
        dead_letter: older(dead_letter, "captured_at"),
        run: older(run, "ended_at") | (_abandoned(before[run.name], held) if run.name in before else false()),
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
