"""`affectstream run`: the whole job in one process."""

import gc
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from enum import StrEnum
from itertools import count, zip_longest
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from contracts.errors import InputError
from pipeline.commands import Context, note

if TYPE_CHECKING:
    from contracts.settings import Settings
    from contracts.stages import Source
    from dashboards.live.hub import Hub
    from storage.store import Store


class Pace(StrEnum):
    """How fast a recording is read."""

    MAX = "max"
    REALTIME = "realtime"


class Privacy(StrEnum):
    """What is kept about people."""

    PSEUDONYMOUS = "pseudonymous"
    AGGREGATE = "aggregate"


class DetectorName(StrEnum):
    """Which face detector."""

    AUTO = "auto"
    YUNET = "yunet"
    HAAR = "haar"


Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE...",
        show_default=False,
        help="Recordings, camera addresses (rtsp://…, http://…), webcams by index (0, 1, …), or demo.",
    ),
]
Cameras = Annotated[
    list[str] | None,
    typer.Option(help="Your name for the camera; one for each source, in order.", show_default="from the source"),
]
Database = Annotated[
    str | None, typer.Option(help="Database: a file, or postgresql://…", show_default="affectstream.db")
]
Window = Annotated[
    list[int] | None,
    typer.Option(help="Window length in seconds; may be repeated.", show_default="10, 60, 900"),
]
Start = Annotated[
    str | None,
    typer.Option(
        help="When a recording began: recorded (as its file says), now, or an ISO 8601 time.", show_default="recorded"
    ),
]


def run(
    context: typer.Context,
    sources: Sources,
    camera: Cameras = None,
    db: Database = None,
    detector: Annotated[
        DetectorName | None,
        typer.Option(help="Face detector; auto takes yunet where it can be had.", show_default="auto"),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Emotion model: a name or a folder.", show_default="default")
    ] = None,
    pace: Annotated[
        Pace | None,
        typer.Option(help="Read recordings as fast as possible, or as they were recorded.", show_default="max"),
    ] = None,
    start: Start = None,
    window: Window = None,
    privacy: Annotated[
        Privacy | None,
        typer.Option(help="aggregate: store nothing about any one person.", show_default="pseudonymous"),
    ] = None,
    live: Annotated[bool, typer.Option("--live", help="Serve the live page and the REST API meanwhile.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the summary.")] = False,
) -> None:
    """Watch cameras or recordings: find faces, read emotions, follow people, store statistics.

    Cameras run until Ctrl-C, recordings to their end. What was seen until then is kept.
    """
    owner: Context = context.obj
    settings = owner.settings(
        {
            "storage.url": db, "detector.name": detector and detector.value, "classifier.model": model,
            "ingest.pace": pace and pace.value, "ingest.start": start, "aggregator.windows": window,
            "privacy.level": privacy and privacy.value,
        }
    )  # fmt: skip
    raise typer.Exit(_run(sources, camera or [], settings, as_json=as_json, live=live))


def _run(addresses: Sequence[str], cameras: Sequence[str], settings: "Settings", *, as_json: bool, live: bool) -> int:
    from classifier import open_classifier
    from detector import open_detectors
    from pipeline.embedded import Embedded
    from pipeline.progress import Progress, waiting
    from pipeline.summary import as_object, show
    from storage import open_store

    with ExitStack() as stack:
        sources = open_sources(addresses, cameras, settings)
        for source in sources:
            stack.callback(source.close)
        store = stack.enter_context(closing(open_store(settings.storage)))
        with waiting("loading the emotion model"):
            classifier = stack.enter_context(closing(open_classifier(settings.classifier, settings.models)))
        detectors = open_detectors(settings.detector, settings.models, classifier.crop, note=note)
        for detector in detectors:
            stack.callback(detector.close)
        hub = stack.enter_context(_shown(store, settings)) if live else None
        embedded = Embedded(sources, detectors, classifier, store, settings, hub)
        gc.freeze()  # what has been loaded stays: no collection, with all threads waiting, needs to go through it again
        stack.callback(gc.unfreeze)
        with Progress(sources, embedded) as progress:
            embedded.run(progress.update)
        runs, anonymous = [progress.run for progress in embedded.runs], settings.privacy.aggregate
        if runs and as_json:
            typer.echo(as_object(store, runs, wall_seconds=embedded.seconds, anonymous=anonymous))
        elif runs:
            show(store, runs, wall_seconds=embedded.seconds, anonymous=anonymous)
        for problem in dict.fromkeys(
            [*(str(error) for error in embedded.errors), *(r.error for r in runs if r.status == "failed" and r.error)]
        ):
            note(problem)
        if live and not as_json and sys.stderr.isatty() and all(run.status != "interrupted" for run in runs):
            _stay()
        if embedded.errors or any(run.status == "failed" for run in runs):
            return 1
        return 130 if any(run.status == "interrupted" for run in runs) else 0


@contextmanager
def _shown(store: "Store", settings: "Settings") -> "Iterator[Hub]":
    """What happens, on the live page."""
    from dashboards.live.hub import Hub
    from dashboards.live.server import LiveServer

    hub = Hub(settings)
    server = LiveServer(hub, store, settings)
    note(f"live page at {server.start()}")
    try:
        yield hub
    finally:
        server.close()


def _stay() -> None:
    """After the end of recordings, for somebody who is still looking."""
    note("all recordings are over; the live page stays until Ctrl-C")
    with suppress(KeyboardInterrupt):
        Event().wait()


def open_sources(addresses: Sequence[str], cameras: Sequence[str], settings: "Settings") -> "list[Source]":
    from ingest import open_source

    if cameras and len(cameras) != len(addresses):
        raise InputError(
            f"--camera is given {len(cameras)} times for {len(addresses)} sources: name each of them, or none"
        )
    if repeated := [name for name, times in Counter(cameras).items() if times > 1]:
        raise InputError(f"two sources cannot both be the camera {repeated[0]!r}")
    sources: list[Source] = []
    used: set[str] = set()
    for address, name in zip_longest(addresses, cameras):
        source = open_source(address, camera_id=name, settings=settings.ingest)
        if source.camera_id in used:  # two files of one name, in two folders
            number = next(n for n in count(2) if f"{source.camera_id}-{n}" not in used)
            source.close()
            source = open_source(address, camera_id=f"{source.camera_id}-{number}", settings=settings.ingest)
        used.add(source.camera_id)
        sources.append(source)
    return sources
