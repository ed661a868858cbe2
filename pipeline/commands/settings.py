"""`affectstream settings`: what is in force."""

from typing import Annotated

import typer

from pipeline.commands import Context, note


def show_settings(
    context: typer.Context,
    secrets: Annotated[
        bool, typer.Option("--secrets", help="Show passwords and the token, too, for a file that can be used.")
    ] = False,
) -> None:
    """Show every setting that is in force, with its meaning, as a settings file; passwords and the token as ***."""
    from contracts.describing import as_toml

    owner: Context = context.obj
    settings = owner.settings({})
    shown = as_toml(settings, secrets=secrets)
    typer.echo(shown, nl=False)
    if shown != as_toml(settings, secrets=True):
        note("passwords and the token are shown as ***; --secrets shows them")
