"""`affectstream settings`: what is in force."""

import typer

from pipeline.commands import Context


def show_settings(context: typer.Context) -> None:
    """Show every setting that is in force, with its meaning, as a settings file."""
    from contracts.describing import as_toml

    owner: Context = context.obj
    typer.echo(as_toml(owner.settings({})), nl=False)
