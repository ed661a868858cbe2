"""Frames per second through the workers beside the embedded mode, and where the processor time of a frame goes.

    python -m benchmarks.distributed VIDEO [--rounds 2] [--each 1 --each 2] [--json FILE]

Each round measures the embedded mode and, with so many of each worker, the distributed one, in turn, so that the ratio
holds on a noisy machine. Servers are started for it: Redis with fsync at every write, Kafka, Postgres without fsync.
Processor time is that of the processes themselves and does not count what else the machine does. Start-up counts
nowhere: the workers are warmed by a short replay, and what the commands need to start is measured and taken off.

A second part stores messages of many cameras, batch by batch, through the aggregator's books into Postgres: there each
camera of a batch costs a checkpoint.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from classifier.card import read_card
from classifier.folders import find_model
from contracts import wire
from contracts.loading import load_settings
from contracts.messages import Frame, FrameEmotions, FrameFaces, FrameId, JpegFrame, RunStarted
from detector import open_detectors
from ingest import open_source
from pipeline.entries import Entry
from pipeline.jpeg import to_jpeg
from pipeline.ledger import Ledger
from storage import open_store
from tests.pipeline.distributed.cluster import WORKERS, Cluster, cluster
from tests.services.kafka import why_not_real

T = TypeVar("T")
SERVERS = {"redis-server": "redis", "java": "kafka", "postgres": "postgres"}
PARTS = ("replay", "detect", "classify", "aggregate", "redis", "kafka", "postgres")
BATCH = 200
"""Messages of one transaction, as the aggregator's default."""
OBSERVATIONS = """SELECT sum(pg_total_relation_size(inhrelid)), (SELECT count(*) FROM observation)
FROM pg_inherits WHERE inhparent = 'observation'::regclass"""


def children_seconds(work: Callable[[], T]) -> tuple[T, float]:
    """What it gives, and the processor time of the commands that it ran and waited for."""
    before = os.times()
    result = work()
    after = os.times()
    return result, sum(after[2:4]) - sum(before[2:4])


def spent(workers: Mapping[str, int]) -> dict[str, float]:
    """Processor seconds until now, by part; those of processes that have ended are in their parents'."""
    names = {pid: name.partition("-")[0] for name, pid in workers.items()}
    seconds = dict.fromkeys(PARTS, 0.0)
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if part := names.get(process.pid) or SERVERS.get(process.name()):
                seconds[part] += sum(process.cpu_times()[:4])
    return seconds


def embedded(video: str) -> dict[str, Any]:
    """One run in one process."""
    command = [sys.executable, "-m", "pipeline", "run", "--json", "--db"]
    with tempfile.TemporaryDirectory() as folder:

        def run(source: str) -> dict[str, Any]:
            call = [*command, f"{folder}/{len(os.listdir(folder))}.db", source]  # noqa: PTH208
            said: dict[str, Any] = json.loads(subprocess.run(call, check=True, capture_output=True, text=True).stdout)
            return said

        _, start_up = children_seconds(lambda: run("demo:0.1"))
        said, seconds = children_seconds(lambda: run(video))
    return {**_counts(said), "cpu_ms": 1000 * (seconds - start_up) / said["frames"]}


def distributed(place: Cluster, video: str, each: int) -> dict[str, Any]:
    """One replay through so many of each worker."""
    place.fresh({"ingest_start": "now"})  # so that the camera's second recording comes after its first
    with place.workers(each, sys.stderr) as supervisor:
        place.replay("demo:2", "people")
        idle = _settle(lambda: spent(supervisor.alive))
        _, start_up = children_seconds(lambda: place.replay("demo:2", "people"))  # is known: does nothing but start
        before, traffic, wal = spent(supervisor.alive), _redis_bytes(place), _wal(place)
        busy, began = _machine_busy(), time.monotonic()
        said, seconds = children_seconds(lambda: place.replay(video, "people", "--again"))
        wall, busy = time.monotonic() - began, _machine_busy() - busy
        cost = {part: after - before[part] for part, after in spent(supervisor.alive).items()}
        others = busy - sum(cost.values()) - seconds
        cost["replay"] = max(0.0, seconds - start_up)
        traffic, wal = _redis_bytes(place) - traffic, _wal(place) - wal
    if supervisor.failed or any(supervisor.restarts.values()):
        raise SystemExit("a worker did not live to the end: this measures nothing")
    frames = said["frames"]
    return {
        **_counts(said), "each": each, "cpu_ms": 1000 * sum(cost.values()) / frames,
        "parts_ms": {part: 1000 * cost[part] / frames for part in PARTS},
        "idle_cores": idle, "cores_of_others": max(0.0, others / wall),
        "redis_bytes_in": traffic / frames, "wal_bytes": wal / frames,
    }  # fmt: skip


def sizes(video: str) -> dict[str, float]:
    """Bytes of a frame's messages, on the average over every fifth frame."""
    settings = load_settings(None, os.environ, {})
    crop = read_card(find_model(settings.classifier.model, settings.models)).crop
    detector = open_detectors(settings.detector, settings.models, crop, note=print)[0]
    total, frames = Counter[str](), 0
    for event in open_source(video, camera_id="people", settings=settings.ingest).events():
        if not isinstance(event, Frame) or event.seq % 5:
            continue
        place: dict[str, Any] = {name: getattr(event, name) for name in FrameId.__struct_fields__}
        faces = detector.detect([event.picture])[0]
        found: dict[str, Any] = {"boxes": faces.boxes, "scores": faces.scores}
        frames += 1
        total += Counter(
            faces=len(faces),
            jpeg=len(wire.pack(JpegFrame(**place, jpeg=to_jpeg(event.picture, settings.redis.jpeg_quality)))),
            crops=len(wire.pack(FrameFaces(**place, faces=faces))),
            kafka=len(wire.pack(FrameEmotions(**place, **found, probabilities=np.zeros((len(faces), 7), np.float32)))),
        )
    return {name: number / frames for name, number in total.items()}


def books(place: Cluster, cameras: int, *, messages: int = 8000, faces: int = 2) -> dict[str, float]:
    """Stores messages of so many cameras in turn, as one aggregate worker's thread would, without Kafka."""
    place.fresh({})
    settings = load_settings(None, os.environ | place.environment, {})
    chance = np.random.default_rng(0)
    probabilities = chance.dirichlet(np.ones(7), faces).astype(np.float32)
    boxes = np.array([[100 + 150 * face, 100, 90, 110] for face in range(faces)], np.float32)
    start = time.time_ns()

    def entry(number: int) -> Entry:
        seq, camera = divmod(number, cameras)
        name: Any = {"camera_id": f"c{camera}", "run_id": f"c{camera}-1"}
        message: Any = FrameEmotions(
            **name, seq=seq - 1, captured_at=start + seq * 200_000_000, boxes=boxes,
            scores=np.ones(faces, np.float32), probabilities=probabilities,
        )  # fmt: skip
        if seq == 0:
            message = RunStarted(**name, source="", started_at=start, width=800, height=450, live=True)
        return Entry(partition="0", offset=number, at=start, camera_id=name["camera_id"], value=wire.pack(message))

    with open_store(settings.storage) as store:
        ledger = Ledger(store, settings)
        warm = 5 * cameras  # people are people after three observations
        for first in range(0, warm, BATCH):
            ledger.apply([entry(number) for number in range(first, min(first + BATCH, warm))])
        batches = [[entry(warm + first + at) for at in range(BATCH)] for first in range(0, messages, BATCH)]
        before, wal, own, began = spent({}), _wal(place), time.process_time(), time.monotonic()
        for batch in batches:
            ledger.apply(batch)
        wall, own = time.monotonic() - began, time.process_time() - own
        postgres = spent({})["postgres"] - before["postgres"]
    size, rows = place.ask(OBSERVATIONS)[0]
    return {
        "cameras": cameras, "messages_per_second": messages / wall, "worker_ms": 1000 * own / messages,
        "postgres_ms": 1000 * postgres / messages, "wal_bytes": (_wal(place) - wal) / messages,
        "checkpoint_bytes": float(place.ask("SELECT avg(octet_length(state)) FROM checkpoint")[0][0]),
        "observation_bytes": float(size / rows),
    }  # fmt: skip


def _settle(look: Callable[[], dict[str, float]], seconds: float = 2) -> dict[str, float]:
    """Waits until all workers have started and are quiet; how many cores each part takes then."""
    for _ in range(30):
        before = look()
        time.sleep(seconds)
        idle = {part: (after - before[part]) / seconds for part, after in look().items()}
        if all(idle[part] < 0.25 for part in WORKERS):
            return idle
    raise SystemExit("the workers did not come to rest")


def _counts(said: Mapping[str, Any]) -> dict[str, Any]:
    return {"fps": said["fps"], "frames": said["frames"], "faces": said["faces"]}


def _machine_busy() -> float:
    now = psutil.cpu_times()
    return float(now.user + now.nice + now.system + now.irq + now.softirq)


def _redis_bytes(place: Cluster) -> int:
    with place.redis.client() as client:
        found: Any = client.info("stats")
        return int(found["total_net_input_bytes"])


def _wal(place: Cluster) -> int:
    return int(place.ask("SELECT pg_current_wal_lsn() - '0/0'")[0][0])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--each", type=int, action="append", help="so many of each worker; repeatable")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args(arguments)
    if why := why_not_real():
        raise SystemExit(why)
    rounds = []
    with cluster() as place:
        for _ in range(options.rounds):
            many = [distributed(place, options.video, each) for each in options.each or [1]]
            rounds.append({"embedded": embedded(options.video), "distributed": many})
        stored = [books(place, cameras) for cameras in (1, 20, 200)]
    result = {
        "video": Path(options.video).name,
        "machine": f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}",
        "message_bytes": sizes(options.video), "rounds": rounds, "books": stored,
    }  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    _show(result)


def _show(result: dict[str, Any]) -> None:
    rounds = result["rounds"]
    alone = [one["embedded"] for one in rounds]
    runs = list(zip(*(one["distributed"] for one in rounds), strict=True))
    table = Table("medians", "embedded", *(f"{many[0]['each']} of each" for many in runs), title=result["video"])

    def ratios(name: str) -> list[str]:
        return [_median(run[name] / one[name] for run, one in zip(many, alone, strict=True)) for many in runs]

    for name, title in {"fps": "frames/s", "cpu_ms": "CPU ms per frame"}.items():
        table.add_row(title, *(_median(run[name] for run in many) for many in (alone, *runs)))
        table.add_row("  as a ratio to embedded", "", *ratios(name))
    for part in PARTS:
        table.add_row(f"  {part}, ms", "", *(_median(run["parts_ms"][part] for run in many) for many in runs))
    for part in PARTS[1:]:
        table.add_row(
            f"  {part} at rest, cores", "", *(_median(run["idle_cores"][part] for run in many) for many in runs)
        )
    for name in ("redis_bytes_in", "wal_bytes", "cores_of_others"):
        table.add_row(name.replace("_", " "), "", *(_median(run[name] for run in many) for many in runs))
    stored = Table("books, 2 faces per message", *(f"{one['cameras']} cameras" for one in result["books"]))
    for name in list(result["books"][0])[1:]:
        stored.add_row(name.replace("_", " "), *(f"{one[name]:,.2f}" for one in result["books"]))
    sizes_ = ", ".join(f"{name} {number:,.1f}" for name, number in result["message_bytes"].items())
    Console().print(table, stored, f"a frame: {sizes_} bytes; {result['machine']}")


def _median(values: Iterable[float]) -> str:
    return f"{statistics.median(values):.2f}"


if __name__ == "__main__":
    main()
