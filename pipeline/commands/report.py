"""`affectstream report`: a camera's day as a page to read."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from contracts.errors import InputError
from pipeline.commands import Context
from pipeline.commands.history import Database


def report(
    context: typer.Context,
    camera: Annotated[str, typer.Option(help="The camera.", show_default=False)],
    day: Annotated[str, typer.Option(help="today, yesterday, monday, 2026-01-31, …")] = "today",
    output: Annotated[
        str | None, typer.Option(help="The HTML file; - is standard output.", show_default="CAMERA-DAY.html")
    ] = None,
    db: Database = None,
) -> None:
    """Write a camera's day as one HTML page: figures, charts, stress episodes, people, and the week before.

    The page needs nothing else: it can be sent, printed, and read on a phone.
    """
    from contracts.addresses import clean_camera_id
    from dashboards.report import day_report
    from pipeline.asking import asked, open_stored
    from pipeline.progress import waiting
    from pipeline.times import day_of
    from pipeline.writing import STDOUT, opened

    owner: Context = context.obj
    settings = owner.settings({"storage.url": db})
    span = day_of(day, datetime.now(UTC))
    which = span[0].astimezone().date()
    week_before = day_of(f"{which - timedelta(days=7)}", datetime.now(UTC))
    with open_stored(settings, reading=True) as store, waiting("reading the day"):
        asked(store, settings, camera=camera, person=None, since=None, until=None)
        page = day_report(store, settings, camera, which, span=span, week_before=week_before)
    if page is None:
        raise InputError(
            f"nothing is stored of {camera} on {which}; `affectstream history --camera {camera}` shows when"
        )
    name = output or f"{clean_camera_id(camera)}-{which}.html"
    with opened(name) as file:
        file.write(page.encode())
    if name != STDOUT:
        typer.echo(name)
