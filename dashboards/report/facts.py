"""What there is to say about a camera's day."""

import heapq
from collections.abc import Sequence
from datetime import date, datetime
from typing import Final

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection

from contracts.emotions import EMOTIONS
from contracts.rows import Seven
from storage import history
from storage.history import Asked, CameraWindow, Episode, PersonHistory, PersonWindow

Span = tuple[datetime, datetime]
"""[start, end) of a day, aware."""
FINEST: Final = 150
"""Windows that a chart has room for."""
MOST_EPISODES: Final = 30
MOST_PEOPLE: Final = 10


class Total(msgspec.Struct, frozen=True, kw_only=True):
    """A day taken together; means and ratios are weighted by time, and None where nobody was seen."""

    frames: int
    seconds: float  # person-seconds
    people: int | None  # None where nothing is said about people
    episodes: int | None
    mean: Seven | None
    dominant: str | None
    stress_max: float | None
    stress_ratio: float | None
    happiness_ratio: float | None


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """A camera's day. Episodes are the longest, in the order of time; people those who were seen longest."""

    camera_id: str
    day: date
    length: int  # of the windows, seconds
    windows: list[CameraWindow]
    others: list[CameraWindow]  # of runs that have none of that length: the charts are without them
    total: Total
    episodes: list[Episode]
    people: list[PersonHistory]
    before: Total | None  # the same weekday, a week before; None where there is nothing of that day


def read_day(
    connection: Connection, *, camera_id: str, day: date, span: Span, week_before: Span, per_person: bool
) -> Day | None:
    """The day's facts, or None where there are no windows of it. The spans are those of the day and of the other."""
    windows, others = _windows(connection, camera_id, span)
    if not windows:
        return None
    episodes, people = _of_people(connection, camera_id, span) if per_person else (None, None)
    longest = heapq.nlargest(MOST_EPISODES, episodes or [], key=lambda episode: episode.seconds)
    earlier = [window for part in _windows(connection, camera_id, week_before) for window in part]
    then = _of_people(connection, camera_id, week_before) if per_person and earlier else (None, None)
    return Day(
        camera_id=camera_id,
        day=day,
        length=windows[0].window_seconds,
        windows=windows,
        others=others,
        total=_together([*windows, *others], episodes, people),
        episodes=sorted(longest, key=lambda episode: episode.started_at),
        people=heapq.nlargest(MOST_PEOPLE, people or [], key=lambda person: person.seconds_observed),
        before=_together(earlier, *then) if earlier else None,
    )


def _windows(connection: Connection, camera_id: str, span: Span) -> tuple[list[CameraWindow], list[CameraWindow]]:
    """The day's windows, of a length that a chart has room for, else of the longest; and those of runs without it."""
    asked = Asked(camera_id=camera_id, since=span[0], until=span[1])
    length = history.fitting_length(connection, history.CAMERA_WINDOWS, asked, FINEST)
    if length is None:
        return [], []
    asked = replace(asked, window_seconds=length)
    windows = [row for rows in history.stream(connection, history.CAMERA_WINDOWS, asked) for row in rows]
    return windows, history.left_out(connection, asked)


def _of_people(connection: Connection, camera_id: str, span: Span) -> tuple[list[Episode], list[PersonHistory]]:
    """What of them lies in the day: who or what crosses a midnight counts on each side with its part."""
    begin, end = span
    asked = Asked(camera_id=camera_id, since=begin, until=end)
    episodes = [row for rows in history.stream(connection, history.EPISODES, asked) for row in rows]
    people = [row for rows in history.stream(connection, history.PEOPLE, asked) for row in rows]
    return (
        [_episode_within(episode, span) for episode in episodes if episode.ended_at > begin],
        [_person_within(connection, person, span) for person in people],
    )


def _episode_within(episode: Episode, span: Span) -> Episode:
    began, ended = max(episode.started_at, span[0]), min(episode.ended_at, span[1])
    return replace(episode, started_at=began, ended_at=ended, seconds=(ended - began).total_seconds())


def _person_within(connection: Connection, person: PersonHistory, span: Span) -> PersonHistory:
    """Of what is not shown, the whole life stays."""
    begin, end = span
    if begin <= person.first_seen and person.last_seen < end:
        return person
    asked = Asked(person_id=person.person_id, since=begin, until=end)
    windows = [row for rows in history.stream(connection, history.PERSON_WINDOWS, asked) for row in rows]
    shortest = min((window.window_seconds for window in windows), default=0)
    part = _together([window for window in windows if window.window_seconds == shortest], None, None)
    return replace(
        person,
        first_seen=max(person.first_seen, begin),
        last_seen=min(person.last_seen, end),
        seconds_observed=part.seconds,
        mean=part.mean,
        dominant=part.dominant,
        stress_ratio=part.stress_ratio,
        happiness_ratio=part.happiness_ratio,
    )


def _together(
    windows: Sequence[CameraWindow | PersonWindow],
    episodes: Sequence[Episode] | None,
    people: Sequence[PersonHistory] | None,
) -> Total:
    seen = [window for window in windows if window.mean is not None]

    def weighted(values: Sequence[float | None]) -> float | None:
        parts = [(value, one.seconds_observed) for value, one in zip(values, seen, strict=True) if value is not None]
        total = sum(seconds for _, seconds in parts)
        return sum(value * seconds for value, seconds in parts) / total if total else None

    means = [weighted([window.mean[number] for window in seen if window.mean]) for number in range(len(EMOTIONS))]
    mean = None if None in means else msgspec.convert(means, Seven)
    highest = [window.stress_max for window in seen if window.stress_max is not None]
    return Total(
        frames=sum(window.frames for window in windows),
        seconds=sum(window.seconds_observed for window in windows),
        people=None if people is None else len(people),
        episodes=None if episodes is None else len(episodes),
        mean=mean,
        dominant=None if mean is None else EMOTIONS[mean.index(max(mean))],
        stress_max=max(highest, default=None),
        stress_ratio=weighted([window.stress_ratio for window in seen]),
        happiness_ratio=weighted([window.happiness_ratio for window in seen]),
    )
