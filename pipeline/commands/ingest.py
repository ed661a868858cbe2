"""`affectstream ingest`: the worker that reads cameras."""

from typing import Annotated

import typer

from contracts.errors import InputError
from pipeline.commands import Context
from pipeline.commands.run import Cameras, Database, Pace, Start


def ingest(
    context: typer.Context,
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SOURCE]...",
            show_default="its share of `affectstream cameras`",
            help="Camera addresses, webcams by index, recordings, or demo.",
        ),
    ] = None,
    camera: Cameras = None,
    pace: Annotated[
        Pace | None,
        typer.Option(help="Read recordings as fast as possible, or as they were recorded.", show_default="max"),
    ] = None,
    start: Start = None,
    db: Database = None,
) -> None:
    """Read cameras and publish their frames to Redis.

    Without a SOURCE it reads its share of the cameras that `affectstream cameras add` has put into the database.
    """
    from pipeline.commands.run import open_sources
    from pipeline.workers.ingest import ingest as publish
    from pipeline.workers.ingest import ingest_cameras

    owner: Context = context.obj
    settings = owner.settings({"storage.url": db, "ingest.pace": pace and pace.value, "ingest.start": start})
    if sources:
        opened = open_sources(sources, camera or [], settings)
        raise typer.Exit(publish(list(zip(sources, opened, strict=True)), settings))
    if camera:
        raise InputError("--camera names a SOURCE, and there is none")
    ingest_cameras(settings)
