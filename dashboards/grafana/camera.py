"""Camera: what happened before one camera, or before several, and when of the week it does."""
# ruff: noqa: S608  (put together from constants and settings)

from typing import Final

from grafana_foundation_sdk.builders import table
from grafana_foundation_sdk.builders.dashboard import Dashboard

from contracts.emotions import COLOURS
from contracts.settings import Settings
from dashboards.grafana.asking import CAMERAS, Episodes, camera_variable, sql
from dashboards.grafana.figures import Figures
from dashboards.grafana.style import (
    COUNT,
    INDICATOR,
    NO_PERSON,
    PART,
    PERSON_LINK,
    SECONDS,
    SHARE,
    STRESS,
    TEXT,
    WHEN,
    Column,
    Kind,
    Says,
    emotion_texts,
    heat,
    new_dashboard,
    rows,
)
from dashboards.grafana.windows import Windows, listed, mean

MOST_PEOPLE: Final = 200
"""Rows of a table."""
MOST_EPISODES: Final = 500
"""Marks in one graph; the highest stress first, should there be more."""


def camera(settings: Settings) -> Dashboard:
    windows = Windows(settings)
    figures = Figures(windows)
    about = f"One camera, or several taken together: what the faces showed, how many there were, and when. {INDICATOR}"
    return (
        new_dashboard("affectstream-camera", "affectstream: camera", about, since="now-6h")
        .with_variable(camera_variable())
        .annotation(episodes_marked(CAMERAS))
        .with_panel(figures.people_now().span(5))
        .with_panel(figures.dominant().span(5))
        .with_panel(figures.stress_ratio().span(5))
        .with_panel(figures.happiness_ratio().span(5))
        .with_panel(figures.episodes())
        .with_panel(figures.emotions_over_time(width=24))
        .with_panel(figures.stress_over_time())
        .with_panel(figures.people_over_time())
        .with_panel(_stress_of_the_week(windows))
        .with_panel(_people_of_the_week(windows))
        .with_panel(_people())
    )


def episodes_marked(where: str) -> Episodes:
    """The stress episodes that reach into the time range."""
    text = (
        f"'Stress episode of ' || person_id || ', highest score ' || round(stress_max::numeric, 2) || '. {INDICATOR}'"
    )
    tag = "translate(camera_id, ',', ' ')"  # a comma would make two tags of it
    latest = (
        f"SELECT * FROM episode WHERE {where} AND started_at <= $__timeTo()::timestamptz "
        f"AND ended_at >= $__timeFrom()::timestamptz ORDER BY stress_max DESC LIMIT {MOST_EPISODES}"
    )
    query = (
        f'SELECT started_at AS "time", ended_at AS "timeEnd",\n  {text} AS "text",\n  {tag} AS "tags"\n'
        f"FROM ({latest}) AS marked\nORDER BY started_at"
    )
    return Episodes("Stress episodes", query, STRESS)


def _stress_of_the_week(windows: Windows) -> table.Panel:
    about = (
        "When of the week people are stressed: the stress ratio by weekday and hour of the day, over the time range "
        f"and in the time zone of the dashboard. Choose some weeks above. {INDICATOR}"
    )
    chosen = windows.of_cameras(f"{windows.hourly}")
    return _week("Stress by weekday and hour", about, chosen, mean("stress_ratio"), PART, "continuous-YlRd")


def _people_of_the_week(windows: Windows) -> table.Panel:
    about = (
        "When of the week people are there: how many at the same time, on average while a camera runs, by weekday and "
        "hour of the day, over the time range and in the time zone of the dashboard. Choose some weeks above."
    )
    at_once = "sum(seconds_observed) / sum(window_seconds)"
    chosen = windows.of_cameras(f"{windows.shortest}")  # a long one may be full for a part only
    return _week("People by weekday and hour", about, chosen, at_once, Kind("short", 1, 0), "continuous-blues")


def _week(title: str, about: str, chosen: str, value: str, kind: Kind, colour_mode: str) -> table.Panel:
    """Each cell is a value over the windows of one hour of the day of one weekday."""
    local = "window_start AT TIME ZONE '${__timezone}'"
    cells = (
        f"SELECT extract(isodow FROM {local}) AS day, extract(hour FROM {local}) AS hour, {value} AS value "
        f"FROM camera_window WHERE {chosen} GROUP BY 1, 2"
    )
    hours = ", ".join(f'max(value) FILTER (WHERE hour = {hour}) AS "{hour:02d}"' for hour in range(24))
    days = "(ARRAY['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'])[day::int]"
    query = f"SELECT {days} AS weekday, {hours} FROM ({cells}) AS cells GROUP BY day ORDER BY day"
    return heat(Says(title, about, [sql(query)], kind, width=12, height=9), colour_mode)


def _people() -> table.Panel:
    longest = (
        f"SELECT person_id FROM person_summary\n  WHERE {CAMERAS}\n"
        "  AND last_seen >= $__timeFrom()::timestamptz AND first_seen <= $__timeTo()::timestamptz\n"
        f"  ORDER BY seconds_observed DESC, person_id LIMIT {MOST_PEOPLE}"
    )
    asked = {
        "person": "person_id",
        "camera": "camera_id",
        "from": "first_seen",
        "until": "last_seen",
        "seen for": "seconds_observed",
        "mostly": "dominant",
        "stress ratio": "stress_ratio",
        "happiness ratio": "happiness_ratio",
        "episodes": "stress_episodes",
    }
    query = (
        f"SELECT {listed(asked)}\nFROM person_summary\n"
        f"WHERE person_id = ANY(ARRAY(\n  {longest}\n))\n"  # only of these are the windows looked at
        'ORDER BY "seen for" DESC'
    )
    about = (
        f"Who was seen in the time range, longest first, {MOST_PEOPLE} at most, as pseudonyms: one for each unbroken "
        f"appearance, nobody is recognised. Click on one to see the person. {INDICATOR}"
    )
    columns = {
        "person": Column(TEXT, link=PERSON_LINK),
        "camera": Column(TEXT),
        "from": Column(WHEN),
        "until": Column(WHEN),
        "seen for": Column(SECONDS),
        "mostly": Column(TEXT, mapping=emotion_texts()),
        "stress ratio": Column(SHARE, bar=STRESS),
        "happiness ratio": Column(SHARE, bar=COLOURS["happy"]),
        "episodes": Column(COUNT),
    }
    says = Says("People", about, [sql(query)], COUNT, NO_PERSON, width=24, height=10)
    return rows(says, columns, sorted_by="seen for")
