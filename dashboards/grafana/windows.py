"""SQL over windows that fits what Grafana can draw: the length that suits its interval, merged into its points.

The macros are Grafana's. All that this makes keeps to the views, and to conditions that their index serves.
"""
# ruff: noqa: S608  (put together from constants and settings)

from collections.abc import Iterable, Mapping
from typing import Final

from contracts.emotions import EMOTIONS
from contracts.settings import Settings
from dashboards.grafana.asking import CAMERAS

LATE: Final = 100
"""Seconds that a window may take to be stored once it is over."""
ZOOMED_IN: Final = 1800
"""A time range of no more seconds than this shows single frames."""

SHARES: Final = {emotion: f"mean_{emotion}" for emotion in EMOTIONS}
"""Title -> column of the windows."""
SMOOTHED: Final = {emotion: f"s_{emotion}" for emotion in EMOTIONS}
"""Title -> column of the moments."""


class Windows:
    """The pieces that depend on which windows are stored."""

    def __init__(self, settings: Settings) -> None:
        lengths = sorted(settings.aggregator.windows)
        *smaller, largest = lengths
        cases = " ".join(f"WHEN $__interval_ms <= {length}000 THEN {length}" for length in smaller)
        self.shortest: Final = lengths[0]
        self.fresh: Final = 2 * self.shortest + LATE
        """Seconds since the newest of the shortest began, at most: it is stored when it is over, and the newest until
        the next is.
        """
        self.hourly: Final = max((length for length in lengths if 3600 % length == 0), default=lengths[0])
        """The longest that lies in one hour of the day."""
        self.fitting: Final = f"CASE {cases} ELSE {largest} END" if cases else f"{largest}"
        """The shortest that is no shorter than the interval, in seconds; the longest where all are."""
        self.hold: Final = settings.aggregator.hold

    def of_cameras(self, length: str | None = None) -> str:
        """Where camera_window has the windows of the chosen cameras and the time range."""
        return f"{CAMERAS}\n  AND window_seconds = {length or self.fitting}\n  AND $__timeFilter(window_start)"

    def over_time(self, columns: Mapping[str, str], *, by: Mapping[str, str] | None = None) -> str:
        """Points of cameras: title -> expression over the windows of a point; one series each, or by these columns."""
        rows = f"camera_window\n  WHERE {self.of_cameras()}"
        return with_gaps([self.points(columns, rows, by or {})], columns, by or {})

    def points(self, columns: Mapping[str, str], rows: str, by: Mapping[str, str] | None = None) -> str:
        """Points of windows, whole ones, as long as the interval at least."""
        step = "ceil($__interval_ms / 1000.0 / window_seconds)::float8 * window_seconds"  # numeric is slower
        return _grouped(columns, rows, by or {}, at="window_start", step=step, lasts="max(step)")

    def moments(self, columns: Mapping[str, str], rows: str) -> str:
        """Points of single frames. A face that is lost for less than `aggregator.hold` leaves no gap."""
        step = "greatest($__interval_ms, 1) / 1000.0::float8"
        lasts = f"greatest(max(step) * 1.5, {self.hold})"
        return _grouped(columns, rows, {}, at="captured_at", step=step, lasts=lasts)


def mean(column: str) -> str:
    """A mean of windows' means, weighted by the time observed."""
    return f"sum({column} * seconds_observed) / nullif(sum(seconds_observed), 0)"


def means(columns: Mapping[str, str]) -> dict[str, str]:
    """Title -> column as title -> weighted mean."""
    return {title: mean(column) for title, column in columns.items()}


def strongest(titles: Iterable[str]) -> str:
    """The title of the greatest of these columns; null where they are."""
    cases = " ".join(f"WHEN {title} THEN '{title}'" for title in titles)
    return f"CASE greatest({', '.join(titles)}) {cases} END"


def listed(columns: Mapping[str, str]) -> str:
    """Title -> expression as SELECT wants it."""
    return ",\n  ".join(f'{expression} AS "{title}"' for title, expression in columns.items())


def with_gaps(parts: list[str], columns: Iterable[str], by: Iterable[str] = ()) -> str:
    """The points of all parts, and after each that no other follows an empty one, so that no line is drawn on."""
    titles = list(columns)
    keys = "".join(f'"{title}", ' for title in by)
    values = ", ".join(f'"{title}"' for title in titles)
    nothing = ", ".join("NULL" for _ in titles)
    partition = f"PARTITION BY {keys[:-2]} " if keys else ""
    return (
        f"WITH points AS (\n{' UNION ALL '.join(parts)}\n)\n"
        f'SELECT "time", {keys}{values} FROM points\n'
        f'UNION ALL SELECT "time" + lasts, {keys}{nothing}\n'
        f'FROM (SELECT *, lead("time") OVER ({partition}ORDER BY "time") AS following FROM points) AS pairs\n'
        'WHERE coalesce(following > "time" + lasts, true)\n'
        "ORDER BY 1"
    )


def _grouped(columns: Mapping[str, str], rows: str, by: Mapping[str, str], *, at: str, step: str, lasts: str) -> str:
    keys = f"{listed(by)},\n  " if by else ""
    grouping = ", ".join(["1", *by.values()])
    return (
        f'SELECT to_timestamp(floor(extract(epoch FROM {at})::float8 / step) * step) AS "time",\n'
        f"  make_interval(secs => {lasts}) AS lasts,\n  {keys}{listed(columns)}\n"
        f"FROM (\n  SELECT *, {step} AS step\n  FROM {rows}\n) AS chosen\nGROUP BY {grouping}"
    )
