"""`affectstream history`: what was seen, window by window."""

import io
from datetime import timedelta
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.commands import Context, note

if TYPE_CHECKING:
    from storage.history import Asked, Kind
    from storage.store import Store

TABLE_ROWS = 1000
"""More than that nobody reads in a terminal."""


class View(StrEnum):
    """What the windows are shown as."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


Camera = Annotated[str | None, typer.Option(help="Of this camera.", show_default="all cameras")]
Person = Annotated[
    str | None, typer.Option(help="Of this person: the pseudonym, or its last part where that is clear.")
]
Since = Annotated[
    str | None,
    typer.Option("--from", help="Not before this time: yesterday, monday 9:30, 2h ago, 2026-01-31, …"),
]
Until = Annotated[str | None, typer.Option("--to", help="Before this time; a day counts to its end.")]
Database = Annotated[
    str | None, typer.Option(help="Database: a file, or postgresql://…", show_default="affectstream.db")
]


def history(
    context: typer.Context,
    camera: Camera = None,
    person: Person = None,
    since: Since = None,
    until: Until = None,
    window: Annotated[
        int | None,
        typer.Option(min=1, help="Window length in seconds.", show_default="one that gives a readable number of rows"),
    ] = None,
    view: Annotated[
        View | None, typer.Option("--format", help="How they are shown.", show_default="table, or as --output ends")
    ] = None,
    output: Annotated[str | None, typer.Option(help="Write into this file.", show_default="the terminal")] = None,
    plot: Annotated[str | None, typer.Option(help="Also draw a picture into this .png or .svg file.")] = None,
    db: Database = None,
) -> None:
    """Show what was seen, window by window: people, emotions, stress, happiness.

    Times without a zone are this machine's. csv, json and parquet have all columns of the windows, the table the most
    telling. `export-history` writes everything, however much it is.
    """
    from msgspec.structs import replace

    from pipeline.asking import asked, open_stored, readable_length
    from pipeline.picture import picture_format
    from storage.history import CAMERA_WINDOWS, PERSON_WINDOWS

    owner: Context = context.obj
    settings = owner.settings({"storage.url": db})
    form = picture_format(plot) if plot else None
    with open_stored(settings, reading=True) as store:
        which = asked(store, settings, camera=camera, person=person, since=since, until=until, window=window)
        kind: Kind[Any] = PERSON_WINDOWS if which.person_id else CAMERA_WINDOWS
        if window is None:
            length = store.transact(partial(readable_length, kind=kind, wanted=which), write=False)
            which = replace(which, window_seconds=length)
        _show(store, kind, which, view or _view(output), output)
        if plot and form:
            _plot(store, kind, which, plot, form)
        _explain_nothing(store, kind, which)
        if window is None and which.window_seconds is not None and which.person_id is None:
            _tell_of_others(store, which)


def _view(output: str | None) -> View:
    from pipeline.writing import SUFFIXES

    known = SUFFIXES.get(Path(output or "").suffix.lower())
    return View(known.value) if known else View.TABLE


def _show(store: "Store", kind: "Kind[Any]", which: "Asked", view: View, output: str | None) -> None:
    from pipeline.writing import Format, write
    from storage.history import stream

    if view is View.TABLE:
        _table(store, kind, which, output)
    else:
        rows = store.stream(partial(stream, kind=kind, asked=which))
        write(rows, kind.row, Format(view.value), output)


def _table(store: "Store", kind: "Kind[Any]", which: "Asked", output: str | None) -> None:
    from rich.console import Console

    from pipeline.windows_table import windows_table
    from pipeline.writing import STDOUT, opened
    from storage.history import page

    found = store.transact(partial(page, kind=kind, asked=which, newest_first=True, limit=TABLE_ROWS), write=False)
    table = windows_table(found.rows[::-1]) if found.rows else ""
    if output in {None, STDOUT}:
        if found.rows:
            Console().print(table)
    else:
        with opened(output) as file:
            text = io.TextIOWrapper(file, encoding="utf-8", write_through=True)
            Console(file=text, width=100).print(table)
            text.detach()
    if found.next:
        note(f"these are the latest {TABLE_ROWS:,} windows; --format csv gives all, a longer --window fewer")


def _plot(store: "Store", kind: "Kind[Any]", which: "Asked", plot: str, form: str) -> None:
    from pipeline.picture import draw
    from pipeline.writing import opened
    from storage.history import stream

    windows = [row for rows in store.stream(partial(stream, kind=kind, asked=which)) for row in rows]
    if windows:
        with opened(plot) as file:
            draw(windows, file, form)


def _tell_of_others(store: "Store", which: "Asked") -> None:
    """Says which runs are not among the windows, since theirs have other lengths."""
    from storage.history import left_out

    missing = store.transact(partial(left_out, asked=which), write=False)
    if others := sorted({window.window_seconds for window in missing}):
        shown = " or ".join(f"--window {length}" for length in others)
        note(f"some runs of that time have no windows of {which.window_seconds} s; {shown} shows them")


def _explain_nothing(store: "Store", kind: "Kind[Any]", which: "Asked") -> None:
    """Says when there is something, where there is nothing now."""
    from msgspec.structs import replace

    from storage.history import page

    def first(asked: "Asked", newest_first: bool) -> Any:
        rows = store.transact(
            partial(page, kind=kind, asked=asked, newest_first=newest_first, limit=1), write=False
        ).rows
        return rows[0] if rows else None

    if first(which, True) is not None:
        return
    always = replace(which, since=None, until=None)
    who = which.person_id or which.camera_id or "anything"
    latest, earliest = first(always, True), first(always, False)
    if latest is None or earliest is None:
        note(f"nothing is stored of {who} yet; `affectstream run SOURCE` watches a camera or a recording")
    else:
        begin = earliest.window_start.astimezone()
        end = (latest.window_start + timedelta(seconds=latest.window_seconds)).astimezone()
        note(f"no windows of {who} in that time; there are some from {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M %Z}")
