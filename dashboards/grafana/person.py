"""Person: one unbroken appearance before a camera, moment by moment where the time range is short."""
# ruff: noqa: S608  (put together from constants and settings)

from typing import Final

from grafana_foundation_sdk.builders import stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders.dashboard import Dashboard

from contracts.emotions import COLOURS, EMOTIONS
from contracts.settings import Settings
from dashboards.grafana.asking import CAMERAS, PERSON, camera_variable, person_variable, sql
from dashboards.grafana.camera import episodes_marked
from dashboards.grafana.figures import LOW
from dashboards.grafana.style import (
    COUNT,
    INDICATOR,
    NO_EPISODE,
    NO_PERSON,
    PART,
    PLAIN,
    SCORE,
    SECONDS,
    SHARE,
    STRESS,
    TEXT,
    WHEN,
    Column,
    Kind,
    Says,
    figure,
    lines,
    new_dashboard,
    rows,
    states,
    with_thresholds,
)
from dashboards.grafana.windows import (
    SHARES,
    SMOOTHED,
    ZOOMED_IN,
    Windows,
    listed,
    mean,
    means,
    strongest,
    with_gaps,
)

ZOOMED: Final = f"$__unixEpochTo() - $__unixEpochFrom() <= {ZOOMED_IN}"
FINEST: Final = "100ms"
ZOOM_HINT: Final = f"Choose {ZOOMED_IN // 60} minutes or less to see single frames instead of windows."
EPISODE_LINK: Final = (
    "Look at this time",
    "/d/affectstream-person?from=${__data.fields.from.numeric}&to=${__data.fields.to.numeric}"
    "&${camera:queryparam}&${person:queryparam}",
)


def person(settings: Settings) -> Dashboard:
    windows = Windows(settings)
    about = f"One person, under a pseudonym: what the face showed when, and how the stress score went. {INDICATOR}"
    return (
        new_dashboard("affectstream-person", "affectstream: person", about, since="now-1h")
        .with_variable(camera_variable())
        .with_variable(person_variable())
        .annotation(episodes_marked(f"{CAMERAS} AND {PERSON}"))
        .with_panel(_seen_for(windows))
        .with_panel(_dominant(windows))
        .with_panel(_ratio(windows, "stress_ratio", STRESS, f"in the stressed state. {INDICATOR}"))
        .with_panel(_ratio(windows, "happiness_ratio", COLOURS["happy"], "with happy as the strongest emotion."))
        .with_panel(_transitions(windows))
        .with_panel(_timeline(windows))
        .with_panel(_probabilities(windows))
        .with_panel(with_thresholds(_stress(windows, settings), settings.aggregator))
        .with_panel(_episodes())
    )


def _over_range(windows: Windows, columns: dict[str, str]) -> str:
    return f"SELECT {listed(columns)}\nFROM person_window\nWHERE {_where(windows)}\nHAVING count(*) > 0"


def _where(windows: Windows) -> str:
    return f"{windows.of_cameras()} AND {PERSON}"


def _figure(
    windows: Windows, title: str, about: str, query: str, kind: Kind, colour: str = PLAIN, *, field: str = ""
) -> stat.Panel:
    says = Says(title, about, [sql(query)], kind, "nothing", width=5, height=LOW, interval=f"{windows.shortest}s")
    return figure(says, colour, field=field)


def _seen_for(windows: Windows) -> stat.Panel:
    query = _over_range(windows, {"seen for": "sum(seconds_observed)"})
    return _figure(windows, "Seen for", "How long this person was seen in the time range.", query, SECONDS)


def _dominant(windows: Windows) -> stat.Panel:
    query = f"SELECT {strongest(SHARES)} AS dominant FROM (\n{_over_range(windows, means(SHARES))}\n) AS shares"
    about = "The emotion with the largest share over the time range."
    return _figure(windows, "Mostly", about, query, TEXT, field="dominant")


def _ratio(windows: Windows, column: str, colour: str, what: str) -> stat.Panel:
    title = column.replace("_", " ")
    query = _over_range(windows, {title: mean(column)})
    return _figure(windows, title.capitalize(), f"Share of the time observed spent {what}", query, PART, colour)


def _transitions(windows: Windows) -> stat.Panel:
    about = "How often the strongest emotion changed in the time range."
    query = _over_range(windows, {"changes": "sum(transitions)"})
    return _figure(windows, "Changes", about, query, COUNT).span(4)


def _moments() -> str:
    """Single frames, where the time range is short."""
    return f"person_moment\n  WHERE {ZOOMED}\n  AND {CAMERAS}\n  AND {PERSON}\n  AND $__timeFilter(captured_at)"


def _longer(windows: Windows) -> str:
    """Windows, where it is long."""
    return f"person_window\n  WHERE NOT ({ZOOMED})\n  AND {_where(windows)}"


def _by_moment(windows: Windows, of_frames: dict[str, str], of_windows: dict[str, str]) -> str:
    """Title -> expression over single frames where the time range is short, over windows where it is long."""
    frames = windows.moments(of_frames, _moments())
    return with_gaps([frames, windows.points(of_windows, _longer(windows))], of_frames)


def _timeline(windows: Windows) -> statetimeline.Panel:
    frames = windows.moments({"emotion": "mode() WITHIN GROUP (ORDER BY dominant)"}, _moments())
    longer = (
        f'SELECT "time", lasts, {strongest(SHARES)} AS "emotion" FROM (\n'
        f"{windows.points(means(SHARES), _longer(windows))}\n) AS shares"
    )
    query = with_gaps([frames, longer], ["emotion"])
    about = f"The strongest emotion over time; empty while the person was not seen. {ZOOM_HINT}"
    return states(Says("Strongest emotion", about, [sql(query)], TEXT, NO_PERSON, width=24, height=5, interval=FINEST))


def _probabilities(windows: Windows) -> timeseries.Panel:
    frames = {emotion: f"avg({SMOOTHED[emotion]})" for emotion in EMOTIONS}
    query = _by_moment(windows, frames, means(SHARES))
    about = (
        "What the face showed: the smoothed probabilities of the seven emotions; over longer times the windows' "
        f"time-weighted means. {ZOOM_HINT}"
    )
    says = Says("Emotions", about, [sql(query, "time_series")], SHARE, NO_PERSON, width=24, height=9, interval=FINEST)
    return lines(says, colours=COLOURS).fill_opacity(0).line_width(2)


def _stress(windows: Windows, settings: Settings) -> timeseries.Panel:
    query = _by_moment(
        windows,
        {"stress score": "avg(stress)", "highest": "max(stress)"},
        {"stress score": mean("stress_mean"), "highest": "max(stress_max)"},
    )
    stress = settings.aggregator
    about = (
        f"The smoothed stress score, 0 to 1. The stressed state begins when it has been at {stress.stress_on:g} for "
        f"{stress.stress_on_after:g} s, and ends at {stress.stress_off:g} (dashed). {INDICATOR} {ZOOM_HINT}"
    )
    says = Says(
        "Stress score", about, [sql(query, "time_series")], SCORE, NO_PERSON, width=14, height=9, interval=FINEST
    )
    return lines(says, colours={"stress score": STRESS, "highest": f"{STRESS}80"})


def _episodes() -> table.Panel:
    asked = {
        "started": "started_at",
        "lasted": "seconds",
        "mean score": "stress_mean",
        "highest score": "stress_max",
        "from": "extract(epoch FROM started_at) * 1000 - 10000",
        "to": "extract(epoch FROM ended_at) * 1000 + 10000",
    }
    query = (
        f"SELECT {listed(asked)}\nFROM episode\nWHERE {CAMERAS}\n  AND {PERSON}\n"
        "  AND started_at <= $__timeTo()::timestamptz AND ended_at >= $__timeFrom()::timestamptz\n"
        "ORDER BY started_at DESC LIMIT 200"
    )
    columns = {
        "started": Column(WHEN, link=EPISODE_LINK),
        "lasted": Column(SECONDS),
        "mean score": Column(SCORE, bar=STRESS),
        "highest score": Column(SCORE, bar=STRESS),
        "from": Column(hidden=True),
        "to": Column(hidden=True),
    }
    about = (
        f"The person's stress episodes that reach into the time range. Click on one to look at that time. {INDICATOR}"
    )
    return rows(Says("Stress episodes", about, [sql(query)], SCORE, NO_EPISODE, width=10, height=9), columns)
