"""`affectstream detect`: the worker that finds faces."""

from typing import Annotated

import typer

from pipeline.commands import Context
from pipeline.commands.run import DetectorName


def detect(
    context: typer.Context,
    detector: Annotated[
        DetectorName | None,
        typer.Option(help="Face detector; auto takes yunet where it can be had.", show_default="auto"),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Emotion model that the faces are cut out for.", show_default="default")
    ] = None,
) -> None:
    """Find faces in the frames that wait in Redis. Any number of these workers share the work."""
    from pipeline.workers.detect import detect as work

    owner: Context = context.obj
    work(owner.settings({"detector.name": detector and detector.value, "classifier.model": model}))
