"""Processor time of the workers and of the servers that a benchmark has started."""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from contracts.errors import AffectstreamError

if TYPE_CHECKING:
    from tests.pipeline.distributed.cluster import Cluster

T = TypeVar("T")
SERVERS = {"redis-server": "redis", "java": "kafka", "postgres": "postgres"}
PARTS = ("ingest", "detect", "classify", "aggregate", "redis", "kafka", "postgres")


def children_seconds(work: Callable[[], T]) -> tuple[T, float]:
    """What it gives, and the processor time of the commands that it ran and waited for."""
    before = os.times()
    result = work()
    after = os.times()
    return result, sum(after[2:4]) - sum(before[2:4])


def spent(workers: Mapping[str, int]) -> dict[str, float]:
    """Processor seconds until now, by part; those of processes that have ended are in their parents'."""
    import psutil

    names = {pid: name.partition("-")[0] for name, pid in workers.items()}
    seconds = dict.fromkeys(PARTS, 0.0)
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if part := names.get(process.pid) or SERVERS.get(process.name()):
                seconds[part] += sum(process.cpu_times()[:4])
    return seconds


def settle(look: Callable[[], dict[str, float]], seconds: float = 2) -> dict[str, float]:
    """Waits until all workers have started and are quiet; how many cores each part takes then."""
    for _ in range(30):
        before = look()
        time.sleep(seconds)
        idle = {part: (after - before[part]) / seconds for part, after in look().items()}
        if all(idle[part] < 0.25 for part in ("detect", "classify", "aggregate")):
            return idle
    raise AffectstreamError("the workers did not come to rest")


def written_ahead(place: "Cluster") -> int:
    """Bytes of Postgres' write-ahead log until now."""
    return int(place.ask("SELECT pg_current_wal_lsn() - '0/0'")[0][0])
