"""What the aggregator's books cost: messages of many cameras in turn, batch by batch into Postgres, without Kafka.

Each camera of a batch costs a checkpoint, whether it sent one frame of the batch or all.
"""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import checkout
from benchmarks.costs import spent, written_ahead
from benchmarks.result import Cell, Column, Table
from contracts import wire
from contracts.messages import FrameEmotions, RunStarted
from pipeline.entries import Entry
from pipeline.ledger import Ledger
from storage import open_store

if TYPE_CHECKING:
    from tests.pipeline.distributed.cluster import Cluster

CAMERAS = (1, 20, 200)
BATCH = 200
"""Messages of one transaction, as the aggregator's default."""
FACES = 2
MESSAGES = 8000
EVERY = 200_000_000  # ns between the frames of a camera
CHECKPOINT = "SELECT avg(octet_length(state)) FROM checkpoint"


def measure(place: "Cluster", cameras: Sequence[int] = CAMERAS, messages: int = MESSAGES) -> Table:
    """A row for each number of cameras."""
    return Table(
        title="messages of many cameras into Postgres",
        columns=(
            Column("cameras in a batch"), Column("speed", "messages/s", 0, better="higher"),
            Column("worker", "ms per message", 3, better="lower"),
            Column("Postgres", "ms per message", 3, better="lower"),
            Column("Postgres logs", "bytes per message", 0, better="lower"), Column("checkpoint", "bytes", 0),
        ),
        rows=[_stored(place, number, messages) for number in cameras],
        note=f"Batches of {BATCH} messages of {FACES} faces. worker and Postgres: processor time. Without Kafka, and "
        "without fsync.",
    )  # fmt: skip


def _stored(place: "Cluster", cameras: int, messages: int) -> list[Cell]:
    """Stores messages of so many cameras, as one aggregate worker's thread would."""
    place.fresh({})
    settings = checkout.settings(place)
    made = _Made(cameras)
    with open_store(settings.storage) as store:
        ledger = Ledger(store, settings)
        warm = 5 * cameras  # people are people after three observations
        for first in range(0, warm, BATCH):
            ledger.apply([made.entry(number) for number in range(first, min(first + BATCH, warm))])
        batches = [
            [made.entry(number) for number in range(first, first + BATCH)]
            for first in range(warm, warm + messages, BATCH)
        ]
        before, wal, own, began = spent({}), written_ahead(place), time.process_time(), time.monotonic()
        for batch in batches:
            ledger.apply(batch)
        wall, own = time.monotonic() - began, time.process_time() - own
        postgres = spent({})["postgres"] - before["postgres"]
    count = BATCH * len(batches)
    logged = (written_ahead(place) - wal) / count
    checkpoint = float(place.ask(CHECKPOINT)[0][0])
    return [str(cameras), count / wall, 1000 * own / count, 1000 * postgres / count, logged, checkpoint]


class _Made:
    """Messages as they lie in the topic, of cameras in turn."""

    def __init__(self, cameras: int) -> None:
        self._cameras = cameras
        self._start = time.time_ns()
        self._probabilities = np.random.default_rng(0).dirichlet(np.ones(7), FACES).astype(np.float32)
        self._boxes = np.array([[100 + 150 * face, 100, 90, 110] for face in range(FACES)], np.float32)

    def entry(self, number: int) -> Entry:
        """The message of that number."""
        seq, camera = divmod(number, self._cameras)
        at = self._start + seq * EVERY
        name: Any = {"camera_id": f"c{camera}", "run_id": f"c{camera}-1"}
        message: Any = FrameEmotions(
            **name, seq=seq - 1, captured_at=at, boxes=self._boxes, scores=np.ones(FACES, np.float32),
            probabilities=self._probabilities,
        )  # fmt: skip
        if seq == 0:
            message = RunStarted(**name, source="", started_at=at, width=800, height=450, live=True)
        return Entry(partition="0", offset=number, at=at, camera_id=name["camera_id"], value=wire.pack(message))
