"""`affectstream export-history`: what is stored, into a file."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
import typer

from contracts.errors import InputError
from pipeline.commands import Context
from pipeline.commands.history import Camera, Database, Person, Since, Until

if TYPE_CHECKING:
    from storage.history import Kind

BATCH: Final = 10_000


class What(StrEnum):
    """What is written."""

    WINDOWS = "windows"
    PERSON_WINDOWS = "person-windows"
    EPISODES = "episodes"
    PEOPLE = "people"
    RUNS = "runs"
    OBSERVATIONS = "observations"


class Format(StrEnum):
    """What it is written as."""

    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


def export_history(
    context: typer.Context,
    output: Annotated[str, typer.Option(help="The file; - is standard output.", show_default=False)],
    what: Annotated[What, typer.Option(help="What to write; windows are of cameras, with --person of that person.")] = (
        What.WINDOWS
    ),
    camera: Camera = None,
    person: Person = None,
    since: Since = None,
    until: Until = None,
    window: Annotated[
        int | None, typer.Option(min=1, help="Windows of this length alone, in seconds.", show_default="all lengths")
    ] = None,
    form: Annotated[
        Format | None,
        typer.Option("--format", help="json has an object in each line.", show_default="as --output ends, else csv"),
    ] = None,
    db: Database = None,
) -> None:
    """Write windows, stress episodes, people, runs or single observations into a file, however many there are.

    Oldest first. What lasts counts where it reaches into the time from --from to --to, windows where they begin in it.
    Where in the picture somebody was is left out. The file appears when it is complete.
    """
    from pipeline import writing
    from pipeline.asking import asked, open_stored, refuse_people
    from storage.history import stream

    owner: Context = context.obj
    settings = owner.settings({"storage.url": db})
    kind = _kind(what, person)
    if person is not None and what is What.RUNS:
        raise InputError("runs are of nobody in particular; leave --person out")
    if window is not None and what not in {What.WINDOWS, What.PERSON_WINDOWS}:
        raise InputError(f"--window goes with windows, not with {what}; leave it out")
    if what not in {What.WINDOWS, What.RUNS}:
        refuse_people(settings, what.value)
    written = writing.Format(form.value) if form else writing.SUFFIXES.get(Path(output).suffix.lower())
    with open_stored(settings, reading=True) as store:
        which = asked(store, settings, camera=camera, person=person, since=since, until=until, window=window)
        with closing(store.stream(partial(stream, kind=kind, asked=which, batch=BATCH))) as batches:
            rows = _counted(batches, what.value)
            writing.write(rows, kind.row, written or writing.Format.CSV, output, lines=True)


def _kind(what: What, person: str | None) -> "Kind[Any]":
    from storage import history

    kinds: dict[What, Kind[Any]] = {
        What.WINDOWS: history.CAMERA_WINDOWS if person is None else history.PERSON_WINDOWS,
        What.PERSON_WINDOWS: history.PERSON_WINDOWS,
        What.EPISODES: history.EPISODES,
        What.PEOPLE: history.PEOPLE,
        What.RUNS: history.RUNS,
        What.OBSERVATIONS: history.OBSERVATIONS,
    }
    return kinds[what]


def _counted(batches: Iterable[Sequence[msgspec.Struct]], what: str) -> Iterator[Sequence[msgspec.Struct]]:
    """The batches, and on a terminal how many rows they were so far."""
    from rich import progress as rich
    from rich.console import Console

    columns = (
        rich.SpinnerColumn(), rich.TextColumn("{task.completed:,} {task.description}"), rich.TimeElapsedColumn(),
    )  # fmt: skip
    console = Console(stderr=True)
    with rich.Progress(*columns, console=console, disable=not sys.stderr.isatty(), transient=True) as bar:
        task = bar.add_task(what, total=None)
        for batch in batches:
            yield batch
            bar.advance(task, len(batch))
