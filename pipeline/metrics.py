"""What the workers tell Prometheus. Declared here, counted by the wiring; the stages know nothing of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter, time
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30)

FRAMES: Final = Counter("affectstream_frames", "Frames handled", ["stage", "camera"])
FACES: Final = Counter("affectstream_faces", "Faces handled", ["stage", "camera"])
SKIPPED: Final = Counter("affectstream_skipped_frames", "Frames a live camera skipped to stay fresh", ["camera"])
RETRIES: Final = Counter("affectstream_retries", "Messages tried again", ["stage"])
TAKEN_OVER: Final = Counter("affectstream_taken_over", "Messages taken over from a dead worker", ["stage"])
DEAD_LETTERS: Final = Counter("affectstream_dead_letters", "Messages given up", ["stage"])
RECONNECTS: Final = Counter("affectstream_reconnects", "Connections to a server that were lost", ["server"])
LAG: Final = Gauge("affectstream_lag", "Messages that wait for a stage", ["stage", "shard"])
BATCH: Final = Histogram(
    "affectstream_batch_size", "Faces or messages per call", ["stage"], buckets=(0, 1, 2, 4, 8, 16, 32, 64, 128, 256)
)
BUSY: Final = Histogram("affectstream_stage_seconds", "Seconds of work per call", ["stage"], buckets=_SECONDS)
LATENCY: Final = Histogram(
    "affectstream_latency_seconds", "Seconds from capture until a stage was done", ["stage"], buckets=_SECONDS
)


def begin(stage: str, *, server: str, done: str | None = None) -> None:
    """Shows at zero what has not happened yet: what appears at one for the first time is no increase to Prometheus.

    `server` is what the stage reads from or writes to; `done` the name under which it tells how late it is.
    """
    for metric in (RETRIES, TAKEN_OVER, DEAD_LETTERS, BATCH, BUSY):
        metric.labels(stage)
    RECONNECTS.labels(server)
    LATENCY.labels(done or stage)


@contextmanager
def busy(stage: str) -> Iterator[None]:
    """Times a call of a stage."""
    started = perf_counter()
    try:
        yield
    finally:
        BUSY.labels(stage).observe(perf_counter() - started)


def observe_latency(stage: str, captured_at: int) -> None:
    """How long ago a frame was captured (UTC ns). A recording's event time, which is long past, says nothing of it."""
    seconds = time() - captured_at / 1e9
    if 0 <= seconds < 3600:
        LATENCY.labels(stage).observe(seconds)
