"""`affectstream export`: a model for a faster runtime."""

import typer

from pipeline.commands import Context
from pipeline.commands.data import Model


def export(context: typer.Context, model: Model = "default") -> None:
    """Write a model for OpenVINO beside the Keras one; `run` then uses it: faster on CPUs, and quicker to start."""
    from classifier.exporting import export_openvino
    from classifier.folders import find_model
    from pipeline.progress import waiting

    owner: Context = context.obj
    folder = find_model(model, owner.settings({}).models)
    with waiting("exporting"):
        card = export_openvino(folder)
    typer.echo(f"{folder}: {', '.join(card.exports['openvino'])}")
