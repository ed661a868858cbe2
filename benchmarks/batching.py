"""How many faces the classifier takes at once, by how much comes: batches should grow under load.

Frames of eight cameras are published at some rate, or as fast as they are taken, and the worker's own histogram, which
Prometheus reads too, says how large its batches were. One detector and one classifier share this machine, so that the
detector is the bound; faces are therefore also given to the classifier directly, as by many detectors.
"""

import itertools
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import urlopen

import msgspec

from benchmarks import checkout
from benchmarks.messages import Messages, placed, started
from benchmarks.result import Cell, Column, Table
from contracts.errors import AffectstreamError
from pipeline.link import Link
from pipeline.publishing import Publisher
from pipeline.streams import READS, fields, key, shard_of
from pipeline.supervisor import Task

if TYPE_CHECKING:
    from tests.pipeline.distributed.cluster import Cluster

CAMERAS = tuple(f"camera-{number}" for number in range(8))  # two in each shard
BACKLOG = 32
"""Frames of a shard that may wait, so that what waits at the end is soon done."""
SECONDS = 4.0
THROUGH: tuple[float | None, ...] = (5, 20, None)
"""Frames per second that come to the detector; None: as fast as they are taken."""
DIRECTLY: tuple[float | None, ...] = (20, 100, 400, None)
"""Frames per second whose faces come to the classifier."""

AT_ONCE = 16
"""Frames that are given together where there is no rate."""

Put = Callable[[Sequence[int], bool], None]
"""Publishes frames by their numbers; whether to wait for room."""


class Batches(msgspec.Struct, frozen=True):
    """The worker's histogram."""

    counts: dict[float, float]  # upper end of a bucket -> batches of at most so many faces
    faces: float

    def since(self, before: "Batches") -> "Batches":
        """What has come to it."""
        counts = {end: count - before.counts[end] for end, count in self.counts.items()}
        return Batches(counts, self.faces - before.faces)

    @property
    def number(self) -> float:
        """Of batches."""
        return self.counts[float("inf")]

    def by_bucket(self) -> dict[str, float]:
        """`3-4` -> batches of three or four faces."""
        ends = sorted(self.counts)
        found = {}
        for low, high in itertools.pairwise([-1.0, *ends]):
            name = f"over {low:.0f}" if high == float("inf") else f"{high:.0f}"
            if low + 1 < high < float("inf"):
                name = f"{low + 1:.0f}-{high:.0f}"
            found[name] = self.counts[high] - self.counts.get(low, 0.0)
        return found


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """How a load was carried."""

    offered: float  # frames per second
    carried: float  # until all were done
    batches: Batches


def measure(place: "Cluster", messages: Messages, *, seconds: float = SECONDS) -> list[Table]:
    """How each load was carried, and the batches of each by their size."""
    place.fresh({"ingest_start": "now", "redis_backlog": BACKLOG})
    loads: dict[str, Load] = {}
    with _workers(place) as look, checkout.linked(checkout.settings(place)) as link:
        for way, rates, publisher in (
            ("detector", THROUGH, _to_the_detector), ("classifier", DIRECTLY, _to_the_classifier)
        ):  # fmt: skip
            for rate in rates:
                load = "flat out" if rate is None else f"{rate:g}/s"
                loads[f"{way}, {load}"] = _carry(place, publisher(link, messages), look, rate, seconds)
    return [_overview(messages, loads), _sizes(messages, loads)]


def _carry(place: "Cluster", put: Put, look: Callable[[], Batches], rate: float | None, seconds: float) -> Load:
    """Offers a load for so long, and waits until all of it is done."""
    before, began, number = look(), time.monotonic(), 0
    while (now := time.monotonic() - began) < seconds:
        due = number + AT_ONCE if rate is None else int(rate * now)
        put(range(number, due), rate is None)
        number = due
        time.sleep(0.001)
    offered = number / now
    while place.waiting():
        time.sleep(0.02)
    return Load(offered=offered, carried=number / (time.monotonic() - began), batches=look().since(before))


def _to_the_detector(link: Link, messages: Messages) -> Put:
    publishers = [Publisher(link, camera) for camera in CAMERAS]
    runs = [started(camera, time.time_ns()) for camera in CAMERAS]
    frames = [placed(messages.jpegs, run) for run in runs]
    for publisher, run in zip(publishers, runs, strict=True):
        publisher.begin(run)

    def put(numbers: Sequence[int], wait: bool) -> None:
        for number in numbers:
            seq, camera = divmod(number, len(CAMERAS))
            if wait:
                publishers[camera].room(live=False, give_up=lambda: False)
            publishers[camera].frame(frames[camera](seq))

    return put


def _to_the_classifier(link: Link, messages: Messages) -> Put:
    settings = link.settings
    runs = [started(camera, time.time_ns()) for camera in CAMERAS]
    frames = [placed(messages.faces, run) for run in runs]
    streams = [key(settings.prefix, shard_of(camera, settings.shards), READS["classify"]) for camera in CAMERAS]

    def put(numbers: Sequence[int], wait: bool) -> None:
        while wait and sum(int(str(link.redis.xlen(stream))) for stream in set(streams)) >= settings.backlog:
            time.sleep(0.002)
        pipe = link.redis.pipeline(transaction=False)
        for number in numbers:
            seq, camera = divmod(number, len(CAMERAS))
            parts: Any = fields(frames[camera](seq))
            pipe.xadd(streams[camera], dict(zip(parts[::2], parts[1::2], strict=True)))
        pipe.execute()

    return put


@contextmanager
def _workers(place: "Cluster") -> Iterator[Callable[[], Batches]]:
    """One of each worker, ready; what gives the classifier's histogram as it is."""
    from tests.services.processes import free_port

    ports = {kind: free_port() for kind in ("aggregate", "classify", "detect")}
    tasks = [
        Task(
            kind, (sys.executable, "-m", "pipeline", kind), group=kind,
            environment={**place.environment, "AFFECTSTREAM_WORKER_PORT": str(port)},
        )
        for kind, port in ports.items()
    ]  # fmt: skip
    with place.workers(0, sys.stderr, others=tasks) as supervisor:
        for port in ports.values():
            _wait_for(port)
        yield lambda: _histogram(ports["classify"])
    if supervisor.failed or any(supervisor.restarts.values()):
        raise AffectstreamError("a worker did not live to the end: this measures nothing")


def _wait_for(port: int, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(URLError), urlopen(f"http://127.0.0.1:{port}/ready", timeout=5):
            return
        time.sleep(0.1)
    raise AffectstreamError("a worker did not become ready")


def _histogram(port: int) -> Batches:
    from prometheus_client.parser import text_string_to_metric_families

    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        families = text_string_to_metric_families(answer.read().decode())
        samples = [one for family in families if family.name == "affectstream_batch_size" for one in family.samples]
    counts = {float(one.labels["le"]): one.value for one in samples if one.name.endswith("_bucket")}
    return Batches(counts, next(one.value for one in samples if one.name.endswith("_sum")))


def _overview(messages: Messages, loads: dict[str, Load]) -> Table:
    rows: list[list[Cell]] = [
        [name, load.offered, load.carried, load.batches.number, load.batches.faces / max(load.batches.number, 1)]
        for name, load in loads.items()
    ]
    return Table(
        title=f"{messages.title}: the classifier under load",
        columns=(
            Column("what comes to whom"), Column("offered", "frames/s"), Column("carried", "frames/s", better="higher"),
            Column("batches", digits=0), Column("batch", "faces", better="higher"),
        ),
        rows=rows,
        note=f"{messages.many:.2f} faces per frame, {len(CAMERAS)} cameras, one of each worker. To the detector come "
        "frames; to the classifier faces directly, as from many detectors. Flat out: as fast as they are taken.",
    )  # fmt: skip


def _sizes(messages: Messages, loads: dict[str, Load]) -> Table:
    by_load = [load.batches.by_bucket() for load in loads.values()]
    return Table(
        title=f"{messages.title}: batches of the classifier by their size, under each load",
        columns=(Column("faces"), *(Column(name, "batches", 0) for name in loads)),
        rows=[[bucket, *(counts[bucket] for counts in by_load)] for bucket in by_load[0]],
        note="Faces of one call, as `affectstream_batch_size` counts them; the network takes them in batches of at "
        "most `classifier.batch_size`.",
    )  # fmt: skip
