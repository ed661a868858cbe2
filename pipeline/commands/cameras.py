"""`affectstream cameras`: the cameras that the ingest workers read, added and removed while all runs."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from contracts.errors import InputError
from pipeline.commands import Context

if TYPE_CHECKING:
    from contracts.settings import Settings
    from storage.store import Store

cameras_app = typer.Typer(
    help="Add and remove the cameras that the ingest workers read.\n\nThey are kept in the database (storage.url), "
    "with user and password of their addresses as they are given: protect it. No command shows them.",
    no_args_is_help=True,
)
Name = Annotated[str, typer.Argument(show_default=False, help="Your name for the camera.")]


@cameras_app.command()
def add(
    context: typer.Context,
    name: Name,
    url: Annotated[
        str,
        typer.Argument(
            metavar="URL",
            show_default=False,
            help="rtsp://…, http://… or a webcam's number; - reads it from standard input, so that a password in it "
            "stays out of the shell's history. It is stored as it is.",
        ),
    ],
) -> None:
    """Add a camera, or give it another address. The running ingest workers notice within seconds."""
    from contracts.addresses import check_camera_id
    from ingest import open_source, redact
    from storage.cameras import Cameras

    address = (sys.stdin.readline() if url == "-" else url).strip()
    check_camera_id(name)
    settings = _settings(context)
    if not open_source(address, camera_id=name, settings=settings.ingest).live:
        raise InputError(f"{redact(address)} is a recording, not a camera; `affectstream replay` publishes recordings")
    with _store(settings) as store:
        change = Cameras(store).add(name, address)
    said = {"added": "added", "changed": "has another address now", "unchanged": "was there already"}
    typer.echo(f"{name} {said[change]}: {redact(address)}")


@cameras_app.command()
def remove(context: typer.Context, name: Name) -> None:
    """Remove a camera: its address is forgotten, and it is read no more. What was seen with it stays."""
    from storage.cameras import Cameras

    with _store(_settings(context)) as store:
        cameras = Cameras(store)
        if not cameras.remove(name):
            known = ", ".join(camera.camera_id for camera in cameras.list()) or "none"
            raise InputError(f"there is no camera {name!r}; there are: {known}")
    typer.echo(f"{name} removed")


@cameras_app.command("list")
def list_cameras(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array on stdout.")] = False,
) -> None:
    """Show the cameras, and which worker reads each."""
    from ingest import redact
    from storage.cameras import Cameras

    with _store(_settings(context)) as store:
        cameras = Cameras(store).list()
    if as_json:
        import json

        content = [
            {"camera": camera.camera_id, "address": redact(camera.url), "read_by": camera.reader} for camera in cameras
        ]
        typer.echo(json.dumps(content, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    for heading in ("camera", "address", "read by"):
        table.add_column(heading, overflow="fold")
    for camera in cameras:
        table.add_row(camera.camera_id, redact(camera.url), camera.reader or "nobody")
    Console().print(table)


def _settings(context: typer.Context) -> "Settings":
    owner: Context = context.obj
    return owner.settings({})


def _store(settings: "Settings") -> "Store":
    from storage import open_store

    return open_store(settings.storage)
