"""Charts as SVG shapes in a box of 1000 x 100 that is stretched to its place; their labels are HTML beside them."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from contracts.emotions import EMOTIONS
from storage.history import CameraWindow

WIDTH: Final = 1000
HEIGHT: Final = 100
_STEPS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 14_400)
_MOST_TICKS: Final = 7


class Tick(msgspec.Struct, frozen=True):
    """A label at a place of an axis, in percent."""

    at: float
    label: str


class Hint(msgspec.Struct, frozen=True):
    """What is told where the pointer is."""

    x: float
    width: float
    text: str


class Span:
    """The time that a chart shows: from the first window to the end of the last."""

    def __init__(self, windows: Sequence[CameraWindow]) -> None:
        self.begin: Final = windows[0].window_start
        self.end: Final = windows[-1].window_start + timedelta(seconds=windows[-1].window_seconds)

    def x(self, moment: datetime) -> float:
        return round((moment - self.begin) / (self.end - self.begin) * WIDTH, 2)

    def ticks(self) -> list[Tick]:
        """At round times of the machine's zone."""
        seconds = (self.end - self.begin).total_seconds()
        step = next((step for step in _STEPS if seconds / step <= _MOST_TICKS), _STEPS[-1])
        form = "%H:%M" if step >= 60 else "%H:%M:%S"
        local = self.begin.astimezone()
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
        moment = midnight + (local - midnight) // timedelta(seconds=step) * timedelta(seconds=step)
        found: list[Tick] = []
        while moment <= self.end:
            if moment >= self.begin:
                found.append(Tick(self.x(moment) / WIDTH * 100, f"{moment.astimezone():{form}}"))
            moment += timedelta(seconds=step)
        return found


def stacked(windows: Sequence[CameraWindow], span: Span) -> dict[str, str]:
    """The emotion shares, one upon the other: emotion -> path."""
    paths: dict[str, list[str]] = {emotion: [] for emotion in EMOTIONS}
    for window in windows:
        left, right = _sides(window, span)
        below = 0.0
        for emotion, share in zip(EMOTIONS, window.mean or (), strict=window.mean is not None):
            above = below + share
            paths[emotion].append(f"M{left} {_y(below)}V{_y(above)}H{right}V{_y(below)}Z")
            below = above
    return {emotion: "".join(path) for emotion, path in paths.items()}


def line(windows: Sequence[CameraWindow], span: Span, value: Callable[[CameraWindow], float | None]) -> str:
    """A line of steps, broken where there is no value. Values are from 0 to 1."""
    path: list[str] = []
    reached: float | None = None
    for window in windows:
        found = value(window)
        left, right = _sides(window, span)
        if found is not None:
            path.append(f"{'V' if reached == left else f'M{left} '}{_y(found)}H{right}")
        reached = None if found is None else right
    return "".join(path)


def bars(windows: Sequence[CameraWindow], span: Span, value: Callable[[CameraWindow], float], top: float) -> str:
    """A bar for each window; `top` is the value of the chart's upper edge."""
    sides = ((window, *_sides(window, span)) for window in windows if value(window) > 0)
    return "".join(f"M{left} {_y(0)}V{_y(value(window) / top)}H{right}V{_y(0)}Z" for window, left, right in sides)


def hints(windows: Sequence[CameraWindow], span: Span, text: Callable[[CameraWindow], str]) -> list[Hint]:
    """What is told of each window."""
    places = [(window, *_sides(window, span)) for window in windows]
    return [Hint(left, round(right - left, 2), text(window)) for window, left, right in places]


def _sides(window: CameraWindow, span: Span) -> tuple[float, float]:
    return span.x(window.window_start), span.x(window.window_start + timedelta(seconds=window.window_seconds))


def _y(share: float) -> float:
    return round((1 - min(share, 1.0)) * HEIGHT, 2)
