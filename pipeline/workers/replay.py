"""Replaying a recording through the workers, and waiting until all of it is in the database."""

import secrets
import sys
import time
from contextlib import suppress
from typing import Final, Self

import msgspec
from rich import progress as rich
from rich.console import Console

from contracts.errors import InputError, StorageError
from contracts.rows import Run
from contracts.settings import Settings
from contracts.stages import Source
from pipeline.link import StoppedError
from pipeline.publishing import Publisher
from pipeline.workers.ingest import Feed, feed_all, recording_run_id
from pipeline.workers.shell import Shell
from pipeline.workers.stage import linked
from storage.store import Store

ASK_EVERY: Final = 0.3
"""Seconds between questions to the database."""
STILL: Final = 20.0
"""Seconds in which nothing moves, after which we wonder aloud whether the workers run."""


class Replayed(msgspec.Struct, frozen=True):
    """What came of a replay."""

    run_id: str
    frames: int
    seconds: float
    known: bool = False  # had been published to its end before
    stopped: bool = False  # before its end
    run: Run | None = None  # its row, if it was waited for and is over


def replay(address: str, source: Source, settings: Settings, *, again: bool, store: Store | None) -> Replayed:
    """Publishes a recording, and waits for its rows if there is a store to look into.

    The same recording, camera and start make the same run, which is gone on with if it was not published to its end,
    and is not published a second time if it was; unless it is to be done `again`, in a run of its own, which is gone on
    with likewise. Raises InputError for a live source.
    """
    if source.live:
        raise InputError(f"{source.camera_id} is a camera, not a recording; `affectstream ingest` reads cameras")
    began = time.monotonic()
    run_id = recording_run_id(address, source.camera_id, settings.ingest.start)
    if not again and store is not None and (run := _row(store, source.camera_id, run_id)) and _over(run):
        source.close()
        return Replayed(run_id, run.frames, time.monotonic() - began, known=True, run=run)
    with Shell("replay", settings.worker) as shell, linked(settings.redis, shell) as link, _Display(source) as display:
        if again:
            begun = Publisher(link, source.camera_id).unfinished()
            new = f"{run_id}-{secrets.token_hex(3)}"
            run_id = next((known for known in begun if known.startswith(f"{run_id}-")), new)
        feed = Feed(source, link, settings, say=shell.say, run_id=run_id)
        wonder = _Wonder(feed, shell)

        def tick() -> None:
            display.show(feed, waiting=False)
            wonder.look(feed.published)

        feed_all([feed], shell, tick)
        if isinstance(feed.error, StoppedError) or (not feed.ended and feed.error is None):
            return Replayed(run_id, feed.published, time.monotonic() - began, stopped=True)
        if feed.error is not None and not feed.ended:
            raise feed.error
        if store is None:
            return Replayed(run_id, feed.published, time.monotonic() - began, known=feed.known)
        over = _wait(feed, run_id, store, shell, display)
        return Replayed(
            run_id, feed.published, time.monotonic() - began, known=feed.known, stopped=over is None, run=over
        )


def _wait(feed: Feed, run_id: str, store: Store, shell: Shell, display: "_Display") -> Run | None:
    """The run's row when it is over; None where we are asked to stop before."""
    away, wonder = False, _Wonder(feed, shell)
    while not shell.stopping.is_set():
        shell.beat()
        try:
            run = _row(store, feed.camera_id, run_id)
        except StorageError as error:
            if not away:
                shell.say(f"{error}; waiting for it")
            away, run = True, None
        else:
            away = False
        if run is not None and _over(run):
            return run
        display.show(feed, waiting=True)
        with suppress(StoppedError):
            wonder.look(feed.backlog())
        shell.stopping.wait(ASK_EVERY)
    return None


def _row(store: Store, camera_id: str, run_id: str) -> Run | None:
    return next((run for run in store.runs(camera_id) if run.run_id == run_id), None)


def _over(run: Run) -> bool:
    return run.ended_at is not None


class _Wonder:
    """Wonders aloud whether the workers run, when nothing moves."""

    def __init__(self, feed: Feed, shell: Shell) -> None:
        self._feed: Final = feed
        self._shell: Final = shell
        self._before = -1
        self._moved = time.monotonic()

    def look(self, state: int) -> None:
        """To be called again and again, with a number that changes when something moves."""
        if state != self._before:
            self._before, self._moved = state, time.monotonic()
        if time.monotonic() - self._moved <= STILL:
            return
        asked = self._moved = time.monotonic()
        with suppress(StoppedError):
            waiting = self._feed.backlog()
            if time.monotonic() - asked > ASK_EVERY:
                return  # it was Redis that was away, as is said elsewhere
            if self._feed.alive and not waiting:
                return  # it is the recording that takes its time
            where = f"{waiting} messages wait in Redis" if waiting else "nothing waits in Redis any more"
            self._shell.say(f"nothing has moved for {STILL:g} s ({where}); do detect, classify and aggregate run?")


class _Display:
    """How far it has come, on stderr; nothing where that is no terminal."""

    def __init__(self, source: Source) -> None:
        self._rich: Final = rich.Progress(
            rich.TextColumn("[bold]{task.description}"),
            rich.BarColumn(bar_width=24),
            rich.TextColumn("{task.completed:>7,} frames done  {task.fields[published]:>7,} published"),
            rich.TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._task: Final = self._rich.add_task(source.camera_id, total=source.frames_expected, published=0)
        self._shown = 0.0

    def __enter__(self) -> Self:
        self._rich.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._rich.stop()

    def show(self, feed: Feed, *, waiting: bool) -> None:
        """Brings it up to date, a few times in a second."""
        if self._rich.disable or time.monotonic() - self._shown < ASK_EVERY:
            return
        self._shown = time.monotonic()
        with suppress(StoppedError):
            done = max(0, feed.published - feed.backlog())
            self._rich.update(
                self._task, completed=done, published=feed.published, total=feed.published if waiting else None
            )
