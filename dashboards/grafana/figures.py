"""Panels about the chosen cameras that more than one dashboard shows."""
# ruff: noqa: S608  (put together from constants and settings)

from typing import Final

from grafana_foundation_sdk.builders import stat, timeseries

from contracts.emotions import COLOURS
from dashboards.grafana.asking import CAMERAS, sql
from dashboards.grafana.style import (
    COUNT,
    INDICATOR,
    PART,
    SHARE,
    STRESS,
    TEXT,
    Kind,
    Says,
    figure,
    lines,
    shares,
)
from dashboards.grafana.windows import SHARES, Windows, listed, mean, means, strongest

LOW: Final = 4  # rows of the grid


class Figures:
    """Made of the windows of the chosen cameras, weighted by the time that people were seen."""

    def __init__(self, windows: Windows) -> None:
        self._windows: Final = windows
        self._interval: Final = f"{windows.shortest}s"

    def people_now(self) -> stat.Panel:
        latest = (
            f"SELECT DISTINCT ON (camera_id) people FROM camera_window WHERE {CAMERAS} "
            f"AND window_seconds = {self._windows.shortest} AND window_start <= $__timeTo()::timestamptz "
            f"AND window_start >= $__timeTo()::timestamptz - interval '{self._windows.fresh} seconds' "
            "ORDER BY camera_id, window_start DESC"
        )
        about = (
            f"Different people in the latest {self._windows.shortest} s of each camera, at the end of the time range. "
            f"Cameras that were not seen for {self._windows.fresh} s do not count."
        )
        query = f"SELECT sum(people) AS people FROM ({latest}) AS latest HAVING count(*) > 0"
        return figure(self._says("People now", about, query, kind=COUNT, nothing="no camera"))

    def dominant(self) -> stat.Panel:
        about = "The emotion with the largest share over all people and the whole time range."
        shares_of_all = f"SELECT {listed(means(SHARES))}\n{self._range()}"
        query = f"SELECT {strongest(SHARES)} AS dominant\nFROM (\n{shares_of_all}\n) AS shares"
        return figure(self._says("Mostly", about, query, kind=TEXT, nothing="nobody"), field="dominant")

    def stress_ratio(self) -> stat.Panel:
        about = f"Share of the time in which people were seen that they spent in the stressed state. {INDICATOR}"
        query = f'SELECT {mean("stress_ratio")} AS "stress ratio" {self._range()}'
        return figure(self._says("Stress ratio", about, query, kind=PART, nothing="nobody"), STRESS)

    def happiness_ratio(self) -> stat.Panel:
        about = "Share of the time in which people were seen that they spent with happy as the strongest emotion."
        query = f'SELECT {mean("happiness_ratio")} AS "happiness ratio" {self._range()}'
        return figure(self._says("Happiness ratio", about, query, kind=PART, nothing="nobody"), COLOURS["happy"])

    def episodes(self) -> stat.Panel:
        about = f"Stress episodes that began in the time range. {INDICATOR}"
        began = f"{CAMERAS} AND $__timeFilter(started_at)"
        query = f"SELECT count(*) AS episodes FROM episode WHERE {began} HAVING count(*) > 0"
        return figure(self._says("Stress episodes", about, query, kind=COUNT, nothing="none"), STRESS)

    def emotions_over_time(self, width: int) -> timeseries.Panel:
        about = "What the faces showed: time-weighted mean probabilities of the seven emotions, which add up to 1."
        query = self._windows.over_time(means(SHARES))
        return shares(self._over_time("Emotions over time", about, query, width, height=9))

    def stress_over_time(self, width: int = 12) -> timeseries.Panel:
        about = (
            "Shares of the time in which people were seen that they spent in the stressed state, "
            f"and with happy as the strongest emotion. {INDICATOR}"
        )
        titles = {"stress ratio": mean("stress_ratio"), "happiness ratio": mean("happiness_ratio")}
        colours = {"stress ratio": STRESS, "happiness ratio": COLOURS["happy"]}
        query = self._windows.over_time(titles)
        return lines(self._over_time("Stress and happiness over time", about, query, width), colours=colours)

    def people_over_time(self, width: int = 12) -> timeseries.Panel:
        about = (
            "Different people seen by each camera in one window; where a point spans several windows, in the fullest."
        )
        query = self._windows.over_time({"people": "max(people)"}, by={"camera": "camera_id"})
        says = self._over_time("People over time", about, query, width, kind=COUNT)
        return lines(says, named_by="camera")

    def _range(self) -> str:
        return f"FROM camera_window\nWHERE {self._windows.of_cameras()}\nHAVING sum(observations) > 0"

    def _says(self, title: str, about: str, query: str, *, kind: Kind, nothing: str) -> Says:
        return Says(title, about, [sql(query)], kind, nothing, width=4, height=LOW, interval=self._interval)

    def _over_time(
        self, title: str, about: str, query: str, width: int, *, kind: Kind = SHARE, height: int = 8
    ) -> Says:
        asked = [sql(query, "time_series")]
        return Says(title, about, asked, kind, width=width, height=height, interval=self._interval)
