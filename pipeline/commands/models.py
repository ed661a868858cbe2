"""`affectstream models`: which models there are, and fetching the detector's."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from contracts.errors import ModelError
from pipeline.commands import Context

if TYPE_CHECKING:
    from contracts.settings import Settings

WIDE: Final = 10_000

models_app = typer.Typer(help="List the models, fetch the face detector's.", no_args_is_help=True)


@models_app.command("list")
def list_models(context: typer.Context) -> None:
    """Show the models that are here: face detectors and classifiers, with their measured accuracy."""
    from rich.console import Console
    from rich.table import Table

    from classifier.folders import all_models
    from detector import yunet_path
    from detector.models import UnavailableError

    settings = _settings(context)
    try:
        where = str(yunet_path(settings.models.model_copy(update={"download": False})))
    except UnavailableError:
        where = "not here yet: affectstream models pull"
    except ModelError as error:
        where = str(error)
    table = Table(box=None, header_style="bold")
    for heading in ("model", "kind", "what it is", "where"):
        table.add_column(heading, overflow="fold")
    table.add_row("yunet", "detector", "face detector, the better one", where)
    table.add_row("haar", "detector", "face detector, for where yunet cannot be had", "comes with OpenCV")
    for name, folder in all_models(settings.models).items():
        table.add_row(name, "classifier", _description(folder), str(folder))
    # Names and paths are no markup. Who reads them from a pipe needs them whole, however wide that is.
    Console(markup=False, emoji=False, width=None if sys.stdout.isatty() else WIDE).print(table)


@models_app.command()
def pull(
    context: typer.Context,
    folder: Annotated[str | None, typer.Option(help="Put it into this folder instead of the models folder.")] = None,
) -> None:
    """Fetch the YuNet face detector, once, and check it."""
    from detector import pull as fetch

    typer.echo(fetch(_settings(context, {"models.folder": folder, "models.download": True}).models))


def _description(folder: Path) -> str:
    from classifier.card import read_card

    try:
        card = read_card(folder)
    except ModelError as error:
        return f"damaged: {error}"
    accuracy = ", ".join(f"{head} {value:.3f}" for head, value in card.accuracy.items())
    return f"{card.architecture}, {card.parameters:,} parameters; {accuracy}"


def _settings(context: typer.Context, flags: dict[str, object] | None = None) -> "Settings":
    owner: Context = context.obj
    return owner.settings(flags or {})
