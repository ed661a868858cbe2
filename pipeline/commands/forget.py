"""`affectstream forget`: erases people."""

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from contracts.errors import TransportError
from pipeline.commands import Context, note

if TYPE_CHECKING:
    from contracts.settings import RedisSettings
    from storage.erasure import Forgotten, Seen

MARGIN = 60 * 10**9
"""Ns before and after a person was seen in which a frame that could not be read may show the person, too."""


def forget(
    context: typer.Context,
    people: Annotated[
        list[str],
        typer.Argument(metavar="PERSON...", show_default=False, help="Pseudonyms, as person_summary has them."),
    ],
    db: Annotated[
        str | None, typer.Option(help="Database: a file, or postgresql://…", show_default="storage.url")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; without a terminal nobody is asked.")] = False,
    no_redis: Annotated[
        bool, typer.Option("--no-redis", help="Leave out the dead letters in Redis, where it is not used any more.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Erase people from the database, and look whether anything is left.

    Also while a run goes on: it stores nothing more about them. Statistics of whole cameras stay as they are. What was
    copied out of the database before (exports, backups) is not reached. See docs/privacy.md.
    """
    from pipeline.asking import open_stored
    from pipeline.progress import waiting
    from storage.erasure import forget as erase
    from storage.erasure import seen

    owner: Context = context.obj
    settings = owner.settings({"storage.url": db})
    with open_stored(settings) as store:
        with waiting("looking for them"):
            known = seen(store, *people)
        if known and not yes and sys.stdin.isatty() and not _agreed(known):
            note("nobody was forgotten")
            raise typer.Exit(1)
        remote = [one for one in known if one.distributed]
        letters = _drop_letters(settings.redis, remote) if remote and not no_redis else None
        with waiting("erasing"):
            done = erase(store, *people)
    if as_json:
        typer.echo(json.dumps(_as_object(people, done, letters), indent=2))
    else:
        _show(people, done, letters, remote=bool(remote))
    if done.traces:
        note(done.traces)
    if done.left:
        note("still there: " + ", ".join(f"{rows} rows of {place}" for place, rows in done.left.items()))
    if done.left or done.traces:
        raise typer.Exit(1)


def _drop_letters(settings: "RedisSettings", known: "Sequence[Seen]") -> int:
    """Drops the dead letters that may show these people; before anything else, as their times are still known."""
    import threading

    from pipeline.dead import drop_payloads
    from pipeline.link import Link
    from storage.values import to_ns

    link = Link(settings, stopping=threading.Event(), say=note)
    try:
        link.open(wait=False)
        return sum(
            drop_payloads(
                link, one.camera_id, to_ns(one.first_seen) - MARGIN,
                None if one.staying else to_ns(one.last_seen) + MARGIN,
            )
            for one in known
        )  # fmt: skip
    except TransportError as error:
        raise TransportError(
            f"{error}; nobody was forgotten, as Redis may keep pictures of dead letters (--no-redis leaves them out)"
        ) from None
    finally:
        link.close()


def _agreed(known: "Sequence[Seen]") -> bool:
    for one in known:
        when = f"{one.first_seen:%Y-%m-%d %H:%M:%S} to {one.last_seen:%Y-%m-%d %H:%M:%S} UTC"
        typer.echo(f"{one.person_id}  {one.camera_id}, {when}", err=True)
    try:
        return typer.confirm("Erase for ever?", err=True)
    except typer.Abort:  # Ctrl-C, or the end of the input
        typer.echo(err=True)
        return False


def _show(people: Sequence[str], done: "Forgotten", letters: int | None, *, remote: bool) -> None:
    names = ", ".join(dict.fromkeys(people))
    if not any(done.removed.values()) and not letters:
        typer.echo(f"{names}: was forgotten before, and nothing was there to be removed")
    else:
        typer.echo(f"{names}: removed")
        for table, rows in done.removed.items():
            if rows:
                typer.echo(f"  {rows:>9,}  {'cameras in ' if table == 'checkpoint' else ''}{table}")
        if letters:
            typer.echo(f"  {letters:>9,}  dead letters in Redis that may show them")
    if not done.left:
        typer.echo("The pseudonym stands in no text and no bytes of any table any more.")
    typer.echo("Statistics of whole cameras stay as they are; a hash of the pseudonym keeps it from coming back.")
    if remote:
        typer.echo("Kafka keeps boxes and probabilities, which name nobody, as long as its retention says.")


def _as_object(people: Sequence[str], done: "Forgotten", letters: int | None) -> dict[str, object]:
    return {
        "people": list(dict.fromkeys(people)), "removed": dict(done.removed), "dead_letters_in_redis": letters,
        "left": dict(done.left), "traces": done.traces,
    }  # fmt: skip
