"""How the row of a run comes about, in either mode."""

from typing import Final

import msgspec

from contracts.messages import RunEnded, RunStarted
from contracts.rows import Run

COUNTED_EVERY: Final = 5.0
"""Seconds between looks at how many frames and faces a run has had."""


def opened(started: RunStarted, *, detector: str, model: str) -> Run:
    """The row of a run that begins."""
    return Run(
        run_id=started.run_id, camera_id=started.camera_id, source=started.source, live=started.live,
        width=started.width, height=started.height, started_at=started.started_at, detector=detector, model=model,
    )  # fmt: skip


def closed(run: Run, ended: RunEnded, faces: int) -> Run:
    """The row of a run that is over and of which all frames are stored."""
    broken = "lost" if run.live else "failed"
    status = "finished" if ended.error is None else broken
    return msgspec.structs.replace(
        run, ended_at=ended.ended_at, frames=ended.frames, dropped=ended.dropped, faces=faces,
        status="interrupted" if ended.interrupted else status, error=ended.error,
    )  # fmt: skip
