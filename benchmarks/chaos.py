"""Kills everything, again and again, and counts: make chaos [SEED=1] [MINUTES=2]

Recordings are replayed through real workers on a real Redis, Kafka and Postgres. Every two seconds one of the processes
is killed with SIGKILL (and started again by its supervisor), or a server is. In the end every frame must be in the
database once, or in the dead letters, and the windows must be those of an undisturbed replay.
"""

import argparse
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from sqlalchemy.exc import SQLAlchemyError

from benchmarks.result import from_shell
from tests.pipeline.distributed.accounting import Account, account, differences, picture
from tests.pipeline.distributed.cluster import Cluster, cluster, mayhem

FINISHED = "SELECT count(*) FROM run WHERE status = 'finished'"


def chaos(
    place: Cluster, video: str, *, cameras: int, seed: int, seconds: float, every: float, patience: float
) -> tuple[list[Account], dict[str, int], list[str]]:
    """Replays the video for so many cameras at once amid the killing.

    Returns the bill of each camera, how often each worker and server was killed, and in what the windows, people and
    observations differ from an undisturbed replay.
    """
    settings = dict(place.settings)
    with place.workers(1, sys.stderr):
        sent = int(place.replay(video, "undisturbed")["frames"])
    calm = picture(place, "undisturbed")
    place.fresh(settings)
    names = [f"camera-{number}" for number in range(1, cameras + 1)]
    with place.workers(1, sys.stderr, dict.fromkeys(names, video)) as supervisor:
        killed = mayhem(supervisor, place, random.Random(seed), seconds=seconds, every=every)
        deadline = time.monotonic() + patience
        while _finished(place) < cameras and time.monotonic() < deadline:
            time.sleep(1)
    bills = [account(place, name, sent) for name in names]
    found = [
        f"{name}: {difference}"
        for name, bill in zip(names, bills, strict=True)
        if not bill.dead
        for difference in differences(picture(place, name), calm, within=1e-3)
    ]
    if place.waiting():
        found.append(f"{place.waiting()} messages are left in Redis")
    return bills, killed, found


def _finished(place: Cluster) -> int:
    try:
        return int(place.ask(FINISHED)[0][0])
    except SQLAlchemyError:  # Postgres is just being started again
        return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 1 where something was doubled, missing or different."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=2.0, help="of killing")
    parser.add_argument("--every", type=float, default=2.0, help="seconds between two kills")
    parser.add_argument("--cameras", type=int, default=0, help="replays at once; as the minutes need, if 0")
    parser.add_argument("--video", default="demo:20")
    parser.add_argument("--models", type=Path, help="folder with YuNet's model; Haar without")
    options = parser.parse_args(arguments)
    detector = {"models": options.models} if options.models else {"detector_name": "haar"}
    with cluster() as place:
        place.fresh({**detector, "aggregator_windows": "2,10"})
        bills, killed, found = chaos(
            place, options.video, cameras=options.cameras or max(2, round(2 * options.minutes)), seed=options.seed,
            seconds=60 * options.minutes, every=options.every, patience=120 + 60 * options.minutes,
        )  # fmt: skip
    show(bills, killed, found)
    return 1 if found or any(bill.doubled or bill.missing for bill in bills) else 0


def show(bills: Sequence[Account], killed: dict[str, int], found: Sequence[str]) -> None:
    """Prints the bill."""
    console = Console()
    table = Table("sent", "stored", "doubled", "missing", "dead-lettered", "kills")
    total = [sum(getattr(bill, name) for bill in bills) for name in ("sent", "stored", "doubled", "missing", "dead")]
    table.add_row(*(f"{number:,}" for number in total), f"{sum(killed.values())}")
    console.print(table)
    console.print("killed: " + ", ".join(f"{name} {times}" for name, times in sorted(killed.items())))
    for line in found:
        console.print(f"[red]different:[/] {line}")


if __name__ == "__main__":
    from_shell(main)
