"""The workers on real servers beside the embedded mode: frames per second, and the processor time of a frame by part.

Each round measures the embedded mode and, with so many of each worker, the distributed one, in turn, so that the ratio
holds on a noisy machine. Servers are started for it: Redis with fsync at every write, Kafka, Postgres without fsync.
Processor time is that of the processes themselves and does not count what else the machine does. Start-up counts
nowhere: the workers are warmed by a short replay, and what the commands need to start is measured and taken off.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from benchmarks import batching, books, checkout, transport
from benchmarks.costs import PARTS, children_seconds, settle, spent, written_ahead
from benchmarks.messages import Messages
from benchmarks.result import Cell, Column, Table, spread
from contracts.errors import AffectstreamError
from contracts.settings import Settings

if TYPE_CHECKING:
    from tests.pipeline.distributed.cluster import Cluster

WARM = "demo:2"


class Pass(msgspec.Struct, frozen=True, kw_only=True):
    """Once over a recording."""

    frames: int
    fps: float
    faces: int
    cpu_ms: float  # of a frame
    parts: dict[str, float] = {}  # ms of a frame
    rest: dict[str, float] = {}  # cores, while nothing is to be done
    others: float = 0.0  # cores that had other things to do
    redis_bytes: float = 0.0  # of a frame
    wal_bytes: float = 0.0


def measure(
    video: Path, settings: Settings, *, rounds: int, each: Sequence[int], frames: int, note: Callable[[str], None]
) -> list[Table]:
    """All tables; the steps of the way by so many frames of the recording.

    Raises InputError outside of a checkout, where a server cannot be started, and for a recording without frames.
    """
    alone: list[Pass] = []
    together: dict[int, list[Pass]] = {number: [] for number in each}
    messages = Messages(video, settings, frames)
    with checkout.servers() as place:
        for number in range(rounds):
            note(f"round {number + 1} of {rounds}: embedded, then distributed")
            alone.append(embedded(video))
            for many, passes in together.items():
                passes.append(distributed(place, video, many))
        note("each step of the way by itself")
        steps = transport.measure(place, messages, rounds=rounds)
        note("batches under load")
        batches = batching.measure(place, messages)
        note("the books of many cameras")
        stored = books.measure(place)
    return [
        *_speed(video, alone, together), _parts(video, together), _bytes(video, together), steps, *batches, stored
    ]  # fmt: skip


def embedded(video: Path) -> Pass:
    """One run in one process."""
    command = [sys.executable, "-m", "pipeline", "run", "--json", "--db"]
    with tempfile.TemporaryDirectory() as folder:

        def run(source: str) -> dict[str, Any]:
            call = [*command, f"{folder}/{len(os.listdir(folder))}.db", source]  # noqa: PTH208
            said: dict[str, Any] = json.loads(subprocess.run(call, check=True, capture_output=True, text=True).stdout)
            return said

        _, start_up = children_seconds(lambda: run("demo:0.1"))
        said, seconds = children_seconds(lambda: run(str(video)))
    cpu_ms = 1000 * (seconds - start_up) / said["frames"]
    return Pass(frames=said["frames"], fps=said["fps"], faces=said["faces"], cpu_ms=cpu_ms)


def distributed(place: "Cluster", video: Path, each: int) -> Pass:
    """One replay through so many of each worker."""
    place.fresh({"ingest_start": "now"})  # so that the camera's second recording comes after its first
    with place.workers(each, sys.stderr) as supervisor:
        place.replay(WARM, "people")
        rest = settle(lambda: spent(supervisor.alive))
        _, start_up = children_seconds(lambda: place.replay(WARM, "people"))  # is known: does nothing but start
        before, traffic, wal = spent(supervisor.alive), _redis_bytes(place), written_ahead(place)
        busy, began = _machine_busy(), time.monotonic()
        said, seconds = children_seconds(lambda: place.replay(video, "people", "--again"))
        wall, busy = time.monotonic() - began, _machine_busy() - busy
        cost = {part: after - before[part] for part, after in spent(supervisor.alive).items()}
        others = busy - sum(cost.values()) - seconds
        cost["ingest"] = max(0.0, seconds - start_up)
        traffic, wal = _redis_bytes(place) - traffic, written_ahead(place) - wal
    if supervisor.failed or any(supervisor.restarts.values()):
        raise AffectstreamError("a worker did not live to the end: this measures nothing")
    frames = said["frames"]
    return Pass(
        frames=frames, fps=said["fps"], faces=said["faces"], cpu_ms=1000 * sum(cost.values()) / frames,
        parts={part: 1000 * cost[part] / frames for part in PARTS}, rest=rest, others=max(0.0, others / wall),
        redis_bytes=traffic / frames, wal_bytes=wal / frames,
    )  # fmt: skip


def _redis_bytes(place: "Cluster") -> int:
    with place.redis.client() as client:
        found: Any = client.info("stats")
        return int(found["total_net_input_bytes"])


def _machine_busy() -> float:
    import psutil

    now = psutil.cpu_times()
    return float(now.user + now.nice + now.system + now.irq + now.softirq)


def _speed(video: Path, alone: Sequence[Pass], together: Mapping[int, Sequence[Pass]]) -> list[Table]:
    ways = {"embedded": alone} | {_named(many): passes for many, passes in together.items()}
    rows: list[list[Cell]] = [
        [
            name, spread([one.fps for one in passes]), spread([one.cpu_ms for one in passes]),
            passes[0].faces / passes[0].frames,
        ]
        for name, passes in ways.items()
    ]  # fmt: skip
    pairs = {_named(many): list(zip(passes, alone, strict=True)) for many, passes in together.items()}
    ratios: list[list[Cell]] = [
        [
            name, spread([one.fps / base.fps for one, base in each]),
            spread([one.cpu_ms / base.cpu_ms for one, base in each]),
        ]
        for name, each in pairs.items()
    ]  # fmt: skip
    others = [one.others for passes in together.values() for one in passes]
    return [
        Table(
            title=f"{video.name}: embedded beside distributed",
            columns=(
                Column("way"), Column("speed", "frames/s", better="higher"),
                Column("processor time", "ms per frame", 2, better="lower"), Column("found", "faces per frame", 2),
            ),
            rows=rows, note=f"{max(others):.1f} cores had other things to do at the worst, which costs speed.",
        ),
        Table(
            title=f"{video.name}: distributed as a ratio to embedded, within each round",
            columns=(
                Column("way"), Column("frames/s", digits=2, better="higher"),
                Column("processor time", digits=2, better="lower"),
            ),
            rows=ratios,
        ),
    ]  # fmt: skip


def _parts(video: Path, together: Mapping[int, Sequence[Pass]]) -> Table:
    columns = [Column("part")]
    for many in together:
        columns += [Column(_named(many), "ms per frame", 2, better="lower"), Column("at rest", "cores", 2)]
    rows: list[list[Cell]] = [
        [
            part,
            *(
                cell
                for passes in together.values()
                for cell in (
                    spread([one.parts[part] for one in passes]),
                    None if part == "ingest" else spread([one.rest[part] for one in passes]),
                )
            ),
        ]
        for part in PARTS
    ]
    return Table(
        title=f"{video.name}: processor time of a frame, by part", columns=tuple(columns), rows=rows,
        note="ingest is the command `replay`. Redis writes with fsync, Postgres without.",
    )  # fmt: skip


def _bytes(video: Path, together: Mapping[int, Sequence[Pass]]) -> Table:
    return Table(
        title=f"{video.name}: what the servers get of a frame",
        columns=(
            Column("way"), Column("Redis receives", "bytes", 0, better="lower"),
            Column("Postgres logs", "bytes", 0, better="lower"),
        ),
        rows=[
            [_named(many), spread([one.redis_bytes for one in passes]), spread([one.wal_bytes for one in passes])]
            for many, passes in together.items()
        ],
    )  # fmt: skip


def _named(many: int) -> str:
    return f"distributed, {many} of each worker"
