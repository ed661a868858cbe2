"""What was stored, read back: for the summary at the end of a run, and for history."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, FromClause, case, func, select

from contracts.emotions import EMOTIONS
from contracts.rows import Run, Seven
from storage.tables import person, run, window_stat
from storage.values import SEVENS, storable, to_ns


class PersonSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A person over all the time observed. None where there is no window of this person."""

    person_id: str
    camera_id: str
    first_seen: datetime
    last_seen: datetime
    observations: int
    seconds_observed: float
    mean: Seven | None
    dominant: str | None
    stress_ratio: float | None
    happiness_ratio: float | None


class RunTotals(msgspec.Struct, frozen=True, kw_only=True):
    """Some runs, taken together. None where nobody was seen."""

    frames: int
    dropped: int
    faces: int
    people: int
    windows: int  # of whole cameras, of every length
    seconds_observed: float  # person-seconds
    mean: Seven | None
    dominant: str | None
    stress_ratio: float | None
    happiness_ratio: float | None


def people(connection: Connection, run_ids: Sequence[str]) -> list[PersonSummary]:
    """The people seen in these runs, who was seen longest first."""
    ids = _ids(run_ids)
    rows = _smallest_windows(ids)
    merged = select(rows.c.person_id, *weighted_means(rows)).group_by(rows.c.person_id).subquery()
    # A person may have come back in another run, so those with windows count too, not only those of person.run_id.
    wanted = person.c.run_id.in_(ids) | merged.c.person_id.is_not(None)
    query = (
        select(person, *(column for column in merged.columns if column.name != "person_id"))
        .outerjoin_from(person, merged, merged.c.person_id == person.c.person_id)
        .where(wanted)
        .order_by(person.c.seconds_observed.desc(), person.c.person_id)
    )
    return [
        PersonSummary(
            person_id=row["person_id"],
            camera_id=row["camera_id"],
            first_seen=row["first_seen"],
            last_seen=row["last_seen"],
            observations=row["observations"],
            seconds_observed=row["seconds_observed"],
            mean=mean_of(row),
            dominant=dominant_of(mean_of(row)),
            stress_ratio=row["stress_ratio"],
            happiness_ratio=row["happiness_ratio"],
        )
        for row in connection.execute(query).mappings()
    ]


def totals(connection: Connection, run_ids: Sequence[str]) -> RunTotals:
    """These runs, taken together."""
    ids = _ids(run_ids)
    counts = connection.execute(
        select(*(func.coalesce(func.sum(run.c[name]), 0).label(name) for name in ("frames", "dropped", "faces"))).where(
            run.c.run_id.in_(ids)
        )
    ).one()
    seen = select(func.count()).select_from(person).where(person.c.run_id.in_(ids))
    windows = (
        select(func.count())
        .select_from(window_stat)
        .where(window_stat.c.run_id.in_(ids), window_stat.c.person_id == "")
    )
    rows = _smallest_windows(ids)
    seconds = func.coalesce(func.sum(rows.c.seconds_observed), 0.0).label("seconds_observed")
    merged = connection.execute(select(seconds, *weighted_means(rows)).where(rows.c.person_id == "")).mappings().one()
    mean = mean_of(merged)
    return RunTotals(
        frames=int(counts.frames),
        dropped=int(counts.dropped),
        faces=int(counts.faces),
        people=connection.execute(seen).scalar_one(),
        windows=connection.execute(windows).scalar_one(),
        seconds_observed=float(merged["seconds_observed"]),
        mean=mean,
        dominant=dominant_of(mean),
        stress_ratio=merged["stress_ratio"],
        happiness_ratio=merged["happiness_ratio"],
    )


def runs(connection: Connection, camera_id: str | None = None, limit: int | None = None) -> list[Run]:
    """The runs, of one camera or of all, latest first."""
    query = select(run).order_by(run.c.started_at.desc(), run.c.run_id)
    if camera_id is not None:
        query = query.where(run.c.camera_id == storable(camera_id))
    if limit is not None:
        query = query.limit(limit)
    return [
        msgspec.convert({name: _plain(row[name]) for name in Run.__struct_fields__}, Run)
        for row in connection.execute(query).mappings()
    ]


def _plain(value: Any) -> Any:
    return to_ns(value) if isinstance(value, datetime) else value


def _ids(run_ids: Sequence[str]) -> list[str]:
    return [storable(run_id) for run_id in run_ids]


def _smallest_windows(ids: Sequence[str]) -> FromClause:
    """The rows of window_stat of each run's shortest window: together they cover the run once."""
    shortest = (
        select(window_stat.c.run_id, func.min(window_stat.c.window_seconds).label("window_seconds"))
        .where(window_stat.c.run_id.in_(ids))
        .group_by(window_stat.c.run_id)
        .subquery()
    )
    same = (shortest.c.run_id == window_stat.c.run_id) & (shortest.c.window_seconds == window_stat.c.window_seconds)
    return select(window_stat).join_from(window_stat, shortest, same).subquery()


def weighted_means(rows: FromClause) -> list[ColumnElement[Any]]:
    """The means and ratios of merged rows, weighted by time; where no time was observed at all, unweighted."""
    seconds = rows.c.seconds_observed

    def weighted(name: str) -> ColumnElement[Any]:
        column = rows.c[name]
        total = func.sum(case((column.is_not(None), seconds)))
        return func.coalesce(func.sum(column * seconds) / func.nullif(total, 0.0), func.avg(column)).label(name)

    return [weighted(name) for name in (*SEVENS["mean"], "stress_mean", "stress_ratio", "happiness_ratio")]


def mean_of(row: Mapping[Any, Any]) -> Seven | None:
    values = [row[name] for name in SEVENS["mean"]]
    return None if None in values else msgspec.convert(values, Seven)


def dominant_of(mean: Seven | None) -> str | None:
    return None if mean is None else EMOTIONS[mean.index(max(mean))]
