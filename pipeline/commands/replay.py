"""`affectstream replay`: a recording through the workers."""

import json
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands import Context, note
from pipeline.commands.run import Database, Pace, Start

if TYPE_CHECKING:
    from contracts.settings import Settings


def replay(
    context: typer.Context,
    video: Annotated[
        str, typer.Argument(metavar="VIDEO", show_default=False, help="A recording, or demo or demo:SECONDS.")
    ],
    camera: Annotated[
        str | None, typer.Option(help="Your name for the camera.", show_default="from the recording")
    ] = None,
    pace: Annotated[
        Pace | None, typer.Option(help="As fast as the workers go, or as it was recorded.", show_default="max")
    ] = None,
    start: Start = None,
    db: Database = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until all of it is stored, and show the summary.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Publish it as a new run, whatever was done before.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Publish a recording for the workers.

    A replay that was stopped or killed is gone on with by the same command; one that is done is not done twice.
    """
    owner: Context = context.obj
    settings = owner.settings({"storage.url": db, "ingest.pace": pace and pace.value, "ingest.start": start})
    raise typer.Exit(_replay(video, camera, settings, wait=wait, again=again, as_json=as_json))


def _replay(video: str, camera: str | None, settings: "Settings", *, wait: bool, again: bool, as_json: bool) -> int:
    from ingest import open_source
    from pipeline.summary import as_object, show
    from pipeline.workers.replay import replay as publish
    from storage import open_store

    with ExitStack() as stack:
        source = open_source(video, camera_id=camera, settings=settings.ingest)
        stack.callback(source.close)
        store = stack.enter_context(closing(open_store(settings.storage))) if wait else None
        done = publish(video, source, settings, again=again, store=store)
        if done.known:
            note(f"this was replayed before, as run {done.run_id}; --again does it once more")
        if done.stopped:
            note(f"stopped after {done.frames:,} frames of run {done.run_id}; the same command goes on from there")
        seconds, anonymous = None if done.known else done.seconds, settings.privacy.aggregate
        if store is not None and done.run is not None:
            if as_json:
                typer.echo(as_object(store, [done.run], wall_seconds=seconds, anonymous=anonymous))
            else:
                show(store, [done.run], wall_seconds=seconds, anonymous=anonymous)
            if done.run.error and done.run.status == "failed":
                note(done.run.error)
                return 1
        elif as_json:
            typer.echo(json.dumps({"run_ids": [done.run_id], "published": done.frames, "complete": not done.stopped}))
        elif not done.stopped:
            typer.echo(f"{source.camera_id}: {done.frames:,} frames published as run {done.run_id}")
        return 130 if done.stopped else 0
