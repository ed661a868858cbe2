"""Fetching one pinned file over HTTP: whole and checked, or not at all."""

import logging
from pathlib import Path

import pooch
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

CONNECT_SECONDS = 5.0
READ_SECONDS = 15.0  # without a byte


def fetch(url: str, path: Path, sha256: str) -> None:
    """Fetches `url` to `path`, with a progress bar on a terminal's stderr.

    The bytes go to a temporary file beside `path`, which takes its name only when the checksum is right and is gone
    otherwise. Raises ValueError for a wrong checksum, OSError (requests' errors are) for everything else.
    """
    pooch.get_logger().setLevel(logging.WARNING)  # it announces each download on stderr
    bar = _Bar(path.name)
    try:
        pooch.retrieve(
            url,
            known_hash=f"sha256:{sha256}",
            fname=path.name,
            path=path.parent,
            downloader=pooch.HTTPDownloader(progressbar=bar, timeout=(CONNECT_SECONDS, READ_SECONDS)),
        )
    finally:
        bar.close()


class _Bar:
    """A Rich progress bar behind the few calls that pooch makes of one."""

    def __init__(self, name: str) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("[progress.description]{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task: TaskID = self._progress.add_task(f"fetching {name}", total=None)
        self._total = 0
        self._progress.start()

    @property
    def total(self) -> int:
        return self._total

    @total.setter
    def total(self, count: int) -> None:
        self._total = count
        self._progress.update(self._task, total=count or None)

    def update(self, count: int) -> None:
        self._progress.advance(self._task, count)

    def reset(self) -> None:
        self._progress.reset(self._task)

    def close(self) -> None:
        self._progress.stop()
