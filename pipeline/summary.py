"""What a run has found, as people like to read it, and as one JSON object for programs."""

import json
from collections.abc import Iterator, Sequence
from datetime import timedelta
from shlex import quote
from typing import Any, Final

from rich.console import Console, ConsoleOptions, Group
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from contracts.emotions import COLOURS, EMOTIONS
from contracts.rows import Run, Seven
from storage.queries import PersonSummary, RunTotals
from storage.store import Store

BAR: Final = 28  # characters
MIX: Final = 20  # characters, where there is room
MARKS: Final = dict(zip(EMOTIONS, "ADFHS!N", strict=True))
"""What stands for an emotion where there are no colours."""
MOST_PEOPLE: Final = 20


def as_object(store: Store, runs: Sequence[Run], *, wall_seconds: float | None, anonymous: bool) -> str:
    """One JSON object: the runs taken together. `wall_seconds` is None where nothing had to be done.

    People are not counted where nothing is stored about them (`anonymous`).
    """
    totals = store.totals([run.run_id for run in runs])
    content: dict[str, Any] = {
        "run_ids": [run.run_id for run in runs],
        "frames": totals.frames,
        "dropped": totals.dropped,
        "faces": totals.faces,
        "people": None if anonymous else totals.people,
        "windows": totals.windows,
        "seconds": round(sum(_seconds(run) for run in runs), 3),
        "wall_seconds": None if wall_seconds is None else round(wall_seconds, 3),
        "fps": None if wall_seconds is None else round(totals.frames / wall_seconds, 2),
        "detector": runs[0].detector,
        "model": runs[0].model,
        "mean": dict(zip(EMOTIONS, totals.mean, strict=True)) if totals.mean else None,
        "stress_ratio": totals.stress_ratio,
        "happiness_ratio": totals.happiness_ratio,
        "status": {run.run_id: run.status for run in runs},
        "database": store.place,
    }
    return json.dumps(content)


def show(
    store: Store,
    runs: Sequence[Run],
    *,
    wall_seconds: float | None,
    anonymous: bool,
    console: Console | None = None,
    place: str | None = None,
) -> None:
    """Prints, for each camera, what was seen and who, then where to ask for more (`place`, the store's if None).

    Nobody is spoken of where nothing is stored about people (`anonymous`).
    """
    console = console or Console()
    cameras: dict[str, list[Run]] = {}
    anybody = False
    for run in runs:
        cameras.setdefault(run.camera_id, []).append(run)
    for camera_id, its_runs in cameras.items():
        ids = [run.run_id for run in its_runs]
        people = None if anonymous else store.people(ids)
        console.print(_camera(camera_id, its_runs, store.totals(ids), people))
        anybody |= bool(people)
    if anybody and not _coloured(console):  # colours need none: the bars above have them, with names
        console.print(Padding(Legend(), (0, 0, 1, 0)))
    frames = sum(run.frames for run in runs)
    speed = f" in {wall_seconds:.1f} s ({frames / wall_seconds:.0f} frames/s)" if wall_seconds else ""
    console.print(
        f"[dim]{frames:,} frames{speed}, detector {runs[0].detector}, model {runs[0].model}[/]",
        highlight=False,
    )
    console.print(_where(place or store.place), highlight=False, soft_wrap=True)


def _camera(camera_id: str, runs: Sequence[Run], totals: RunTotals, people: Sequence[PersonSummary] | None) -> Group:
    title = Text.assemble((camera_id, "bold"), f"  {duration(sum(_seconds(run) for run in runs))}")
    title.append(f", {totals.frames:,} frames, {totals.faces:,} faces", "dim")
    if people is not None:
        title.append(", ", "dim").append(_people(len(people)), "bold")
    if totals.dropped:
        title.append(f", {totals.dropped:,} frames skipped to stay fresh", "yellow")
    if any(run.status == "interrupted" for run in runs):
        title.append(", interrupted", "yellow")
    parts: list[Any] = [Text(), title]
    if totals.mean is not None:
        parts.append(Padding(_shares(totals), (1, 0, 1, 2)))
        if people:
            parts.append(Padding(_table(people), (0, 0, 1, 2)))
    else:
        parts.append(Padding(Text("No face was seen long enough to count as a person.", "dim"), (1, 0, 1, 2)))
    return Group(*parts)


def _shares(totals: RunTotals) -> Table:
    """Emotion shares as bars, strongest first, with the two ratios beside."""
    table = Table.grid(padding=(0, 2))
    mean = totals.mean or (0.0,) * len(EMOTIONS)
    ratios = [
        Text.assemble("stressed   ", (percent(totals.stress_ratio), "bold"), (" of the time people were seen", "dim")),
        Text.assemble("happy      ", (percent(totals.happiness_ratio), "bold"), (" of that time", "dim")),
    ]
    for row, (emotion, share) in enumerate(sorted(zip(EMOTIONS, mean, strict=True), key=lambda pair: -pair[1])):
        table.add_row(emotion, _bar(share, COLOURS[emotion]), percent(share), ratios[row] if row < len(ratios) else "")
    return table


def _table(people: Sequence[PersonSummary]) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("person", "from", "seen for", "mostly", "emotions", "stressed", "happy"):
        table.add_column(
            heading, justify="right" if heading in {"seen for", "stressed", "happy"} else "left",
            no_wrap=heading != "emotions",
        )  # fmt: skip
    for who in people[:MOST_PEOPLE]:
        dominant = Text(who.dominant or "", COLOURS.get(who.dominant or "", ""))
        table.add_row(
            who.person_id.rpartition(".")[2], f"{who.first_seen.astimezone():%H:%M:%S}",
            duration(who.seconds_observed), dominant, Mix(who.mean) if who.mean else "",
            percent(who.stress_ratio), percent(who.happiness_ratio),
        )  # fmt: skip
    if len(people) > MOST_PEOPLE:
        table.add_row("…", "", "", f"{len(people) - MOST_PEOPLE} more")
    return table


def _where(place: str) -> Text:
    text = Text.assemble(("\nThe data is in ", "dim"), (place, "bold"), ("; ask it, for example:\n  ", "dim"))
    question = "SELECT * FROM camera_window"
    if place.startswith("postgresql"):
        return text.append(f'psql "{place}" -c "{question}"')
    return text.append(f'sqlite3 -box {quote(place)} "{question}"')


def _bar(share: float, colour: str) -> Text:
    eighths = round(share * BAR * 8)
    partial = " ▏▎▍▌▋▊▉"[eighths % 8].strip()
    return Text(("█" * (eighths // 8) + partial).ljust(BAR), colour)


class Mix:
    """The seven shares as one bar of coloured parts, shorter in a narrow terminal, so that the figures stay whole."""

    def __init__(self, mean: Seven) -> None:
        self._mean = mean

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(1, MIX)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        text, drawn, reached = Text(), 0, 0.0
        for emotion, share in zip(EMOTIONS, self._mean, strict=True):
            reached += share
            end = round(reached * min(MIX, options.max_width))
            text.append(_block(emotion, console) * (end - drawn), COLOURS[emotion])
            drawn = end
        yield text


class Legend:
    """Which colour, or without colours which letter, is which emotion."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        text = Text("  ")
        for emotion in EMOTIONS:
            text.append(_block(emotion, console), COLOURS[emotion]).append(f" {emotion}  ", "dim")
        yield text


def _block(emotion: str, console: Console) -> str:
    """One character of an emotion, to be painted in its colour where the console has any."""
    return "█" if _coloured(console) else MARKS[emotion]


def _coloured(console: Console) -> bool:
    return bool(console.color_system) and not console.no_color


def _people(number: int) -> str:
    return {0: "nobody", 1: "1 person"}.get(number, f"{number} people")


def percent(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}".rjust(4)


def duration(seconds: float) -> str:
    """A length of time for people: 9.3 s, 4:05, 1:02:03."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = timedelta(seconds=round(seconds))
    return str(whole).removeprefix("0:").removeprefix("0")


def _seconds(run: Run) -> float:
    return ((run.ended_at or run.started_at) - run.started_at) / 1e9
