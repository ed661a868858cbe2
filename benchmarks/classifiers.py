"""Faces per second of every architecture, in the same engine and runtimes, beside a loop of `model.predict`.

    python -m benchmarks.classifiers [NAME ...] [--batch 64] [--seconds 2] [--rounds 3] [--json FILE]

The networks have the weights they start from: speed does not depend on what was learnt. All are measured in turn, in
one call, round by round, so that the ratios hold on a noisy machine; the medians of the rounds are shown.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.result import from_shell, positive
from classifier.architectures import ARCHITECTURES
from classifier.engine import Engine
from classifier.exporting import export_openvino
from classifier.finishing import untrained
from classifier.runtimes import keras_models
from contracts.settings import Precision

RUNTIMES = ("openvino", "tensorflow")
REFERENCES = ("fern, openvino", "fern, openvino bfloat16")
LOOPS = ("fern", "cnn4")  # whose faces are also given to model.predict one by one, as tutorials do


def speed(work: Callable[[], int], seconds: float) -> float:
    """Faces per second of something that returns how many it did."""
    work()
    faces, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        faces += work()
    return faces / elapsed


def engines(name: str, folder: Path, batch: int) -> dict[str, Callable[[], int]]:
    """Ways to run one architecture: {"fern, openvino": a function that classifies a batch}."""
    card = untrained(name, folder)
    export_openvino(folder)
    shape = (card.crop.height, card.crop.width, card.crop.channels)
    faces = np.random.default_rng(0).integers(0, 256, (batch, *shape), dtype=np.uint8)

    def by_engine(runtime: str, precision: Precision) -> Callable[[], int]:
        engine = Engine(folder, batch_size=batch, runtime_name=runtime, precision=precision)
        return lambda: len(engine.classify(faces))

    def by_predict() -> Callable[[], int]:
        model = keras_models.load(folder, card)

        def work() -> int:
            model.predict(faces[:1].astype(np.float32), verbose=0)
            return 1

        return work

    ways = {f"{name}, {runtime}": by_engine(runtime, "float32") for runtime in RUNTIMES}
    ways[f"{name}, openvino bfloat16"] = by_engine("openvino", "bfloat16")
    return ways | ({f"{name}, predict": by_predict()} if name in LOOPS else {})


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(ARCHITECTURES), metavar="NAME")
    parser.add_argument("--batch", type=positive, default=64)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=positive, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as root:
        ways: dict[str, Callable[[], int]] = {}
        for name in options.names:
            print(f"making {name} …", file=sys.stderr)
            ways |= engines(name, Path(root) / name, options.batch)
        rounds = [{way: speed(work, options.seconds) for way, work in ways.items()} for _ in range(options.rounds)]
    result = {
        "machine": f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores",
        "batch": options.batch, "rounds": rounds,
    }  # fmt: skip
    _show(result)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


def _show(result: dict[str, Any]) -> None:
    rounds: list[dict[str, float]] = result["rounds"]
    # Each precision has its own: a processor can be faster in bfloat16 with one network than with another.
    references = [way for way in REFERENCES if way in rounds[0]] or [next(iter(rounds[0]))]

    def ratio(way: str, other: str) -> str:
        return f"{statistics.median(each[way] / each[other] for each in rounds):.2f}"

    table = Table(
        "network", "faces/s", "range", *(f"{way} is … times as fast" for way in references),
        title=f"batches of {result['batch']}, {result['machine']}, medians of {len(rounds)}", title_justify="left",
    )  # fmt: skip
    for way in rounds[0]:
        values = [each[way] for each in rounds]
        table.add_row(
            way, f"{statistics.median(values):,.1f}", f"{min(values):,.0f} to {max(values):,.0f}",
            *(ratio(reference, way) for reference in references),
        )  # fmt: skip
    Console().print(table)


if __name__ == "__main__":
    from_shell(main)
