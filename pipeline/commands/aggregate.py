"""`affectstream aggregate`: the worker that turns classified frames into rows."""

from typing import Annotated

import typer

from pipeline.commands import Context


def aggregate(
    context: typer.Context,
    db: Annotated[str | None, typer.Option(help="Database: postgresql://…", show_default="storage.url")] = None,
    port: Annotated[int | None, typer.Option(help="Port for health and metrics; 0 takes a free one.")] = None,
) -> None:
    """Follow people through the classified frames of all cameras, and store what is found (from Kafka into SQL).

    Any number of these workers share the cameras out among themselves; any of them may be killed at any time.
    """
    common: Context = context.obj
    from pipeline.workers.aggregate import aggregate as work

    work(common.settings({"storage.url": db, "worker.port": port}), debug=common.debug)
