"""`affectstream doctor`: what may keep it from working here."""

from typing import Annotated

import typer

from pipeline.commands import Context


def doctor(
    context: typer.Context,
    distributed: Annotated[
        bool, typer.Option("--distributed", help="Also what the workers need: Redis, Kafka, Postgres.")
    ] = False,
    gpu: Annotated[bool, typer.Option("--gpu", help="Also whether TensorFlow sees a GPU; takes some seconds.")] = False,
) -> None:
    """Check the installation and everything that the settings name; exit 1 if something is broken."""
    from rich.console import Console
    from rich.table import Table

    from pipeline.doctor import examine

    owner: Context = context.obj
    settings = owner.settings({})
    colours = {"ok": "green", "hint": "yellow", "broken": "red"}
    table = Table("check", "", box=None, header_style="bold")
    table.add_column("found", overflow="fold")
    broken = 0
    for finding in examine(settings, distributed=distributed, gpu=gpu):
        broken += finding.verdict == "broken"
        advice = f"\n[bold]->[/] {_plain(finding.advice)}" if finding.advice else ""
        colour = colours[finding.verdict]
        table.add_row(finding.what, f"[{colour}]{finding.verdict}[/]", _plain(finding.found) + advice)
    Console().print(table)
    if broken:
        raise typer.Exit(1)


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
