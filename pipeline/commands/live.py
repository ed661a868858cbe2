"""`affectstream live`: the live page and the REST API, in a process of their own."""

from contextlib import ExitStack, closing, suppress
from threading import Event
from typing import Annotated

import typer

from pipeline.commands import Context, note


def live(
    context: typer.Context,
    db: Annotated[
        str | None, typer.Option(help="Database: a file, or postgresql://…", show_default="affectstream.db")
    ] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port of the page.", show_default="8350")] = None,
) -> None:
    """Serve the live page and the REST API, until Ctrl-C: what the workers do now, and what is stored.

    What happens now comes from the workers, through Redis, while somebody looks; with a SQLite database only what is
    stored is shown. To look at a run of this machine itself: affectstream run --live.
    """
    from dashboards.live.hub import Hub
    from dashboards.live.lookback import Lookback
    from dashboards.live.server import LiveServer
    from pipeline.broadcast import Reception
    from storage import open_store

    owner: Context = context.obj
    settings = owner.settings({"storage.url": db, "live.port": port})
    with ExitStack() as stack:
        store = stack.enter_context(closing(open_store(settings.storage)))
        told = settings.storage.url.startswith("postgres")
        hub = Hub(settings, stored=not told)
        stack.enter_context(Lookback(hub, store, settings))
        if told:
            stack.enter_context(Reception(hub, settings))
        server = LiveServer(hub, store, settings)
        stack.callback(server.close)
        note(f"live page at {server.start()}; Ctrl-C ends it")
        with suppress(KeyboardInterrupt):
            Event().wait()
