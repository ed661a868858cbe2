"""`affectstream dead-letters`: the frames that a stage gave up."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from contracts.errors import InputError
from pipeline.commands import Context, note

if TYPE_CHECKING:
    from pipeline.dead import Letter
    from pipeline.link import Link

dead_letters_app = typer.Typer(
    help="Look at the messages that the detect and classify workers gave up, try them again, or drop them.\n\n"
    "They are in Redis, the latest of each shard (redis.keep_dead); frames have a row in dead_letter too.",
    no_args_is_help=True,
)
Names = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME]...", help="As `list` shows them.", show_default=False)
]
All = Annotated[bool, typer.Option("--all", help="All of them.")]


@dead_letters_app.command("list")
def list_letters(
    context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False
) -> None:
    """Show them: which frame, the stage that gave up, and why."""
    from rich.console import Console
    from rich.table import Table

    from pipeline import dead

    with _link(context) as link:
        found = dead.letters(link)
    if as_json:
        typer.echo(json.dumps([_as_object(letter) for letter in found]))
        return
    if not found:
        typer.echo("no dead letters")
        return
    table = Table(box=None, header_style="bold")
    table.add_column("name", no_wrap=True)
    for heading in ("when", "stage", "camera", "run", "frame", "bytes", "reason"):
        table.add_column(heading, overflow="fold")
    for letter in found:
        table.add_row(
            letter.name, _when(letter)[:19], letter.stage, letter.camera, letter.run, letter.seq,
            f"{letter.size:,}", letter.reason,
        )  # fmt: skip
    Console().print(table)


@dead_letters_app.command()
def retry(context: typer.Context, names: Names = None, everything: All = False) -> None:
    """Put them back before the stage that gave them up.

    A frame that was given up has its place in its run already, so that nobody waited for it. What is found in it now is
    stored as observations without a person, and its row in dead_letter goes; people and windows stay as they are.
    """
    from pipeline import dead

    _each(context, names, everything, dead.retry, "put back")


@dead_letters_app.command()
def drop(context: typer.Context, names: Names = None, everything: All = False) -> None:
    """Forget them. The rows in dead_letter stay."""
    from pipeline import dead

    _each(context, names, everything, dead.drop, "dropped")


def _each(
    context: typer.Context, names: list[str] | None, everything: bool, work: "Callable[[Link, Letter], bool]", done: str
) -> None:
    from contracts.errors import TransportError
    from pipeline import dead

    if bool(names) == everything:
        raise InputError("name the dead letters, or say --all")
    with _link(context) as link:
        found = dead.letters(link, None if everything else set(names or []))
        if missing := sorted(set(names or []) - {letter.name for letter in found}):
            raise InputError(
                f"there is no dead letter {', '.join(missing)}; `affectstream dead-letters list` shows them"
            )
        number, refused = 0, 0
        for letter in found:
            try:
                number += work(link, letter)
            except TransportError as error:
                if not everything:
                    raise
                refused += 1
                note(str(error))
    typer.echo(f"{number} {done}")
    if refused:
        raise typer.Exit(1)


@contextmanager
def _link(context: typer.Context) -> "Iterator[Link]":
    import threading

    from pipeline.link import Link

    owner: Context = context.obj
    link = Link(owner.settings({}).redis, stopping=threading.Event(), say=note)
    try:
        link.open(wait=False)
        yield link
    finally:
        link.close()


def _when(letter: "Letter") -> str:
    return datetime.fromtimestamp(letter.died_at / 1e9, UTC).isoformat()


def _as_object(letter: "Letter") -> dict[str, object]:
    return {
        "name": letter.name, "when": _when(letter), "stage": letter.stage, "reason": letter.reason,
        "camera": letter.camera, "run_id": letter.run, "seq": int(letter.seq) if letter.seq.isdecimal() else None,
        "bytes": letter.size,
    }  # fmt: skip
