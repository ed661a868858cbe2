"""Overview: how it is in front of all cameras, and which of them to look at."""
# ruff: noqa: S608  (put together from constants and settings)

from grafana_foundation_sdk.builders import bargauge, stat, table
from grafana_foundation_sdk.builders.dashboard import Dashboard

from contracts.emotions import COLOURS
from contracts.settings import Settings
from dashboards.grafana.asking import CAMERAS, camera_variable, sql
from dashboards.grafana.figures import LOW, Figures
from dashboards.grafana.style import (
    CAMERA_LINK,
    COUNT,
    INDICATOR,
    PART,
    SECONDS,
    SHARE,
    STATES,
    STRESS,
    TEXT,
    WHEN,
    Column,
    Says,
    bars_of_emotions,
    coloured_texts,
    emotion_texts,
    figure,
    new_dashboard,
    rows,
)
from dashboards.grafana.windows import SHARES, Windows, listed, mean, means, strongest


def overview(settings: Settings) -> Dashboard:
    windows = Windows(settings)
    figures = Figures(windows)
    about = f"All cameras: how many people are there, what their faces show, and which camera to look at. {INDICATOR}"
    return (
        new_dashboard("affectstream-overview", "affectstream: overview", about, since="now-6h")
        .with_variable(camera_variable())
        .with_panel(_running())
        .with_panel(figures.people_now())
        .with_panel(figures.dominant())
        .with_panel(figures.stress_ratio())
        .with_panel(figures.happiness_ratio())
        .with_panel(figures.episodes())
        .with_panel(figures.emotions_over_time(width=17))
        .with_panel(_mix(windows))
        .with_panel(figures.stress_over_time())
        .with_panel(figures.people_over_time())
        .with_panel(_busiest(windows))
    )


def _running() -> stat.Panel:
    running = "count(*) FILTER (WHERE status = 'running') AS running"
    query = f"SELECT {running} FROM camera_summary WHERE {CAMERAS} HAVING count(*) > 0"
    about = "How many of the chosen cameras are being read now, whatever the time range."
    return figure(Says("Cameras running", about, [sql(query)], COUNT, "no camera", width=4, height=LOW))


def _mix(windows: Windows) -> bargauge.Panel:
    query = (
        f"SELECT {listed(means(SHARES))}\nFROM camera_window\nWHERE {windows.of_cameras()}\n"
        "HAVING sum(observations) > 0"
    )
    about = "What the faces showed over the whole time range: time-weighted mean probabilities of the seven emotions."
    return bars_of_emotions(
        Says("Emotions", about, [sql(query)], SHARE, width=7, height=9, interval=f"{windows.shortest}s")
    )


def _busiest(windows: Windows) -> table.Panel:
    seen = {
        "camera": "camera_id",
        "seen for": "sum(seconds_observed)",
        "people at once": "max(people)",
        **means(SHARES),
        "stress ratio": mean("stress_ratio"),
        "happiness ratio": mean("happiness_ratio"),
    }
    columns = f'"seen for", "people at once", {strongest(SHARES)} AS "mostly", "stress ratio", "happiness ratio"'
    query = (
        f'SELECT camera, {columns}, status AS "state", last_seen AS "last seen"\n'
        f"FROM (\nSELECT {listed(seen)}\nFROM camera_window\nWHERE {windows.of_cameras()}\n"
        "GROUP BY camera_id HAVING sum(observations) > 0\n) AS busiest\n"
        'JOIN camera_summary ON camera_id = camera\nORDER BY "seen for" DESC LIMIT 100'
    )
    about = (
        "Cameras by how long people were seen in the time range: two people for a minute are two minutes. People at "
        f"once are the different people of the fullest window. Click on a name to see the camera. {INDICATOR}"
    )
    shown = {
        "camera": Column(TEXT, link=CAMERA_LINK),
        "seen for": Column(SECONDS),
        "people at once": Column(COUNT),
        "mostly": Column(TEXT, mapping=emotion_texts()),
        "stress ratio": Column(SHARE, bar=STRESS),
        "happiness ratio": Column(SHARE, bar=COLOURS["happy"]),
        "state": Column(TEXT, mapping=coloured_texts(STATES)),
        "last seen": Column(WHEN),
    }
    says = Says("Busiest cameras", about, [sql(query)], PART, width=24, height=9, interval=f"{windows.shortest}s")
    return rows(says, shown, sorted_by="seen for")
