"""What is known of some people over all the time observed: the rows of person_summary, worked out for them alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, and_, func, literal_column, select

from storage.queries import dominant_of, mean_of, weighted_means
from storage.records import PersonHistory
from storage.tables import stress_episode, window_stat


def summaries(connection: Connection, people: Sequence[Row[Any]]) -> list[PersonHistory]:
    """The people of these rows of `person`, in the same order."""
    ids = [row.person_id for row in people]
    windows = window_stat.c.person_id.in_(ids) & (
        window_stat.c.person_id != literal_column("''")
    )  # as the index has it
    # Each run's shortest windows cover it once.
    shortest = (
        select(window_stat.c.person_id, window_stat.c.run_id, func.min(window_stat.c.window_seconds).label("shortest"))
        .where(windows)
        .group_by(window_stat.c.person_id, window_stat.c.run_id)
        .subquery()
    )
    same = and_(
        window_stat.c.person_id == shortest.c.person_id,
        window_stat.c.run_id == shortest.c.run_id,
        window_stat.c.window_seconds == shortest.c.shortest,
    )
    rows = select(window_stat).join(shortest, same).where(windows).subquery()
    counts = (func.sum(rows.c.transitions).label("transitions"), func.max(rows.c.stress_max).label("stress_max"))
    merged = select(rows.c.person_id, *counts, *weighted_means(rows)).group_by(rows.c.person_id)
    known = {row["person_id"]: row for row in connection.execute(merged).mappings()}
    count = select(stress_episode.c.person_id, func.count()).where(stress_episode.c.person_id.in_(ids))
    episodes = {who: number for who, number in connection.execute(count.group_by(stress_episode.c.person_id))}  # noqa: C416
    return [_summary(row, known.get(row.person_id, {}), episodes.get(row.person_id, 0)) for row in people]


def _summary(row: Row[Any], own: Mapping[Any, Any], episodes: int) -> PersonHistory:
    mean = mean_of(own) if own else None
    return PersonHistory(
        person_id=row.person_id,
        camera_id=row.camera_id,
        first_seen=row.first_seen,
        last_seen=row.last_seen,
        observations=row.observations,
        seconds_observed=row.seconds_observed,
        mean=mean,
        dominant=dominant_of(mean),
        transitions=own.get("transitions"),
        stress_mean=own.get("stress_mean"),
        stress_max=own.get("stress_max"),
        stress_ratio=own.get("stress_ratio"),
        happiness_ratio=own.get("happiness_ratio"),
        stress_episodes=episodes,
    )
