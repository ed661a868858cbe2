"""Windows as a picture: emotion shares, stress and happiness, and how many people there were, over time."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any, Final

from dateutil.tz import tzlocal  # type: ignore[import-untyped]

from contracts.emotions import COLOURS, EMOTIONS
from contracts.errors import InputError
from pipeline.windows_table import Window, length
from storage.history import CameraWindow

STRESS: Final = "#882255"
HAPPINESS: Final = "#117733"
MOST_CAMERAS: Final = 6


def picture_format(output: str) -> str:
    """png or svg, by the file's name. Raises InputError for another."""
    suffix = Path(output).suffix.lower().removeprefix(".")
    if suffix not in {"png", "svg"}:
        raise InputError(f"--plot {output}: write a .png or an .svg file")
    return suffix


def draw(windows: Sequence[Window], file: IO[bytes], form: str) -> None:
    """Draws windows of one length, each camera's in time order. Times are in the machine's zone."""
    from matplotlib.figure import Figure

    cameras = list(dict.fromkeys(window.camera_id for window in windows))
    if len(cameras) > MOST_CAMERAS:
        raise InputError(f"--plot shows {MOST_CAMERAS} cameras at most, these are {len(cameras)}; name one by --camera")
    figure = Figure(figsize=(11, 5.5 * len(cameras)), layout="constrained", dpi=120)
    parts = figure.subfigures(len(cameras), 1, squeeze=False)[:, 0]
    for camera, part in zip(cameras, parts, strict=True):
        _camera(part, [window for window in windows if window.camera_id == camera])
    figure.savefig(file, format=form)


def _camera(figure: Any, windows: Sequence[Window]) -> None:
    from matplotlib import dates
    from matplotlib.ticker import PercentFormatter

    first = windows[0]
    name = first.camera_id if isinstance(first, CameraWindow) else first.person_id
    shares, ratios, crowd = figure.subplots(3, 1, sharex=True, height_ratios=(3, 1.6, 1))
    figure.suptitle(f"{name}, {length(first.window_seconds)} windows", fontsize="medium", fontweight="bold")
    times, rows = outline(windows)
    seen = [row is not None and row.mean is not None for row in rows]
    below = [0.0] * len(rows)
    for number, emotion in enumerate(EMOTIONS):
        above = [base + (row.mean[number] if row and row.mean else 0) for base, row in zip(below, rows, strict=True)]
        shares.fill_between(times, below, above, where=seen, color=COLOURS[emotion], linewidth=0, label=emotion)
        below = above
    for what, colour, style in (("stress", STRESS, "-"), ("happiness", HAPPINESS, "--")):
        values = [_or_nan(getattr(row, f"{what}_ratio", None)) for row in rows]
        ratios.plot(times, values, color=colour, linestyle=style, label=what)
    of_people = isinstance(first, CameraWindow)
    counts = [_or_nan(getattr(row, "people" if of_people else "seconds_observed", None)) for row in rows]
    crowd.fill_between(times, counts, color="#777777", linewidth=0)
    shares.set(ylabel="share of emotions", ylim=(0, 1))
    ratios.set(ylabel="share of time", ylim=(-0.03, 1.03))
    crowd.set(ylabel="people" if of_people else "seen for, s", ylim=(0, None))
    crowd.yaxis.get_major_locator().set_params(integer=True)
    for axes in (shares, ratios):
        handles, labels = axes.get_legend_handles_labels()
        axes.legend(handles[::-1], labels[::-1], loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    for axes in (shares, ratios):
        axes.yaxis.set_major_formatter(PercentFormatter(1))
    locator: Any = dates.AutoDateLocator(tz=tzlocal())  # type: ignore[no-untyped-call]
    crowd.xaxis.set_major_locator(locator)
    crowd.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, tz=tzlocal()))  # type: ignore[no-untyped-call]
    crowd.set(xlim=(times[0], times[-1]), xlabel=f"{first.window_start.astimezone():%Z}")
    for axes in (shares, ratios, crowd):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.3)
    figure.align_ylabels()


def outline(windows: Sequence[Window]) -> tuple[list[datetime], list[Window | None]]:
    """Each window at its start and at its end, None where there is a gap. Aware: an hour that comes twice is two."""
    times: list[datetime] = []
    rows: list[Window | None] = []
    for window in windows:
        start = window.window_start
        if times and times[-1] < start:
            times.append(start)
            rows.append(None)
        times += [start, start + timedelta(seconds=window.window_seconds)]
        rows += [window, window]
    return times, rows


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else float(value)
