"""Windows as a table for people: when, who was there, what they showed."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final, TypeAlias

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from contracts.emotions import COLOURS
from pipeline.summary import Legend, Mix, duration, percent
from storage.history import CameraWindow, PersonWindow

Window: TypeAlias = CameraWindow | PersonWindow
RIGHT: Final = {"people", "seen for", "stressed", "happy"}


def windows_table(windows: Sequence[Window]) -> Group:
    """A table for each camera, oldest window first; the windows have one length. Times are in the machine's zone."""
    cameras = dict.fromkeys(window.camera_id for window in windows)
    parts = [_camera([window for window in windows if window.camera_id == name]) for name in cameras]
    return Group(*parts, Legend())


def _camera(windows: Sequence[Window]) -> Group:
    first, last = windows[0], windows[-1]
    end = last.window_start + timedelta(seconds=last.window_seconds)
    of_people = isinstance(first, CameraWindow)
    who = first.camera_id if isinstance(first, CameraWindow) else first.person_id
    title = Text.assemble((who, "bold"), f"  {length(first.window_seconds)} windows")
    begin = first.window_start
    until = _clock(end, first.window_seconds)
    until = until if _day(end) == _day(begin) else f"{_day(end)} {until}"
    years = f"{end.astimezone():%Y %Z}"
    title.append(f", {_day(begin)} {_clock(begin, first.window_seconds)} to {until}, {years}", "dim")
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("from", *(["people"] if of_people else []), "seen for", "mostly", "emotions", "stressed", "happy"):
        table.add_column(heading, justify="right" if heading in RIGHT else "left", no_wrap=heading != "emotions")
    day = _day(first.window_start)
    for row in _rows(windows):
        if _day(row[0].window_start) != day:
            day = _day(row[0].window_start)
            table.add_row(Text(day, "dim"))
        _add(table, row, of_people)
    return Group(Text(), title, Padding(table, (1, 0, 1, 2)))


def _rows(windows: Iterable[Window]) -> Iterator[list[Window]]:
    """One window each, but those of one day in which nobody was seen, and that follow each other, together."""
    for (_, seen), group in groupby(windows, lambda window: (_day(window.window_start), window.mean is not None)):
        rows = list(group)
        yield from ([window] for window in rows) if seen else [rows]


def _add(table: Table, row: list[Window], of_people: bool) -> None:
    window = row[0]
    if window.mean is None:
        how_many = f"nobody ({len(row)} windows)" if len(row) > 1 else "nobody"
        table.add_row(
            Text(_clock(window.window_start, window.window_seconds), "dim"),
            *([""] if of_people else []),
            "",
            "",
            Text(how_many, "dim"),
        )
        return
    people = [str(window.people)] if isinstance(window, CameraWindow) else []
    table.add_row(
        _clock(window.window_start, window.window_seconds), *people, duration(window.seconds_observed),
        Text(window.dominant or "", COLOURS.get(window.dominant or "", "")), Mix(window.mean),
        Text(percent(window.stress_ratio), "bold red" if (window.stress_ratio or 0) >= 0.25 else ""),
        percent(window.happiness_ratio),
    )  # fmt: skip


def length(seconds: int) -> str:
    """A window's length for people: 10 s, 1 min, 1 h."""
    for size, unit in ((86_400, "day"), (3600, "h"), (60, "min")):
        if seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _day(moment: datetime) -> str:
    return f"{moment.astimezone():%a %d %b}"


def _clock(moment: datetime, seconds: int) -> str:
    """The time of the day, as fine as windows of this length need it."""
    return f"{moment.astimezone():{'%H:%M' if seconds % 60 == 0 else '%H:%M:%S'}}"
