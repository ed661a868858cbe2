"""`affectstream dashboards`: what Grafana shows."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands import Context
from pipeline.commands.push import export_alerts, push

dashboards_app = typer.Typer(help="Dashboards for Grafana.", no_args_is_help=True)
dashboards_app.command()(push)
dashboards_app.command(name="export-alerts")(export_alerts)


@dashboards_app.command()
def export(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder for the files; made where there is none.")],
) -> None:
    """Write the dashboards as JSON files, which Grafana imports and provisions.

    Window lengths and the thresholds of stress are those of your settings.
    """
    from contracts.errors import InputError
    from dashboards.grafana.catalog import write

    common: Context = context.obj
    try:
        written = write(folder, common.settings({}))
    except OSError as error:
        raise InputError(
            f"cannot write to {folder}: {error.strerror or error}; give a folder that you may write to"
        ) from error
    for path in written:
        typer.echo(path)
