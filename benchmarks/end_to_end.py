"""Frames and faces per second of the whole job in one process, where the time goes, and the `fer` package beside it.

    python -m benchmarks.end_to_end VIDEO [--rounds 3] [--json FILE] [--without-fer]

Both are measured in turn, in one call, so that the ratio holds on a noisy machine. `fer` 25.10.3 gets an environment of
its own under build/, made at the first call.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from classifier import open_classifier
from contracts.loading import load_settings
from contracts.settings import Settings
from detector import open_detectors
from ingest import open_source
from pipeline.embedded import Embedded
from storage import open_store

FER = ["fer==25.10.3", "opencv-contrib-python<5", "setuptools<80"]
ENVIRONMENT = Path(__file__).parents[1] / "build" / "fer"


def ours(video: Path, settings: Settings) -> dict[str, Any]:
    """One run over the video: frames, faces, seconds without loading, and seconds by stage."""
    with tempfile.TemporaryDirectory() as folder:
        storage = settings.storage.model_copy(update={"url": f"{folder}/bench.db"})
        store = open_store(storage)
        classifier = open_classifier(settings.classifier, settings.models)
        detectors = open_detectors(settings.detector, settings.models, classifier.crop, note=print)
        source = open_source(str(video), camera_id="bench", settings=settings.ingest)
        embedded = Embedded([source], detectors, classifier, store, settings)
        embedded.run()
        (run,) = embedded.runs
        store.close()
    return {
        "frames": run.frames, "faces": run.faces, "seconds": embedded.seconds, "stages": embedded.meter.figures(),
        "detector": run.run.detector, "model": run.run.model,
    }  # fmt: skip


def fer(video: Path) -> dict[str, Any]:
    """The same of the `fer` package."""
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        print(f"making an environment for {FER[0]} in {ENVIRONMENT} …", file=sys.stderr)
        venv.create(ENVIRONMENT, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *FER], check=True)
    script = Path(__file__).with_name("fer_baseline.py")
    done = subprocess.run([python, script, video], check=True, capture_output=True, text=True)
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--without-fer", action="store_true")
    options = parser.parse_args(arguments)
    settings = load_settings(None, os.environ, {})
    ours(options.video, settings)  # a first run, not counted: disk caches, allocations
    rounds = []
    for number in range(options.rounds):
        mine = ours(options.video, settings)
        theirs = None if options.without_fer else fer(options.video)
        rounds.append({"affectstream": mine, "fer": theirs})
        print(f"round {number + 1}: {mine['frames'] / mine['seconds']:.1f} frames/s", file=sys.stderr)
    result = {
        "video": options.video.name,
        "machine": f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores",
        "rounds": rounds,
    }
    _show(result)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


def _show(result: dict[str, Any]) -> None:
    console = Console()
    table = Table(
        "", "frames/s", "faces/s", "faces per frame", title=f"{result['video']}, medians", title_justify="left"
    )
    speed: dict[str, float] = {}
    for name in ("affectstream", "fer"):
        runs = [r[name] for r in result["rounds"] if r[name]]
        if runs:
            speed[name] = statistics.median(r["frames"] / r["seconds"] for r in runs)
            per_frame = runs[0]["faces"] / runs[0]["frames"]
            table.add_row(name, f"{speed[name]:.1f}", f"{speed[name] * per_frame:.1f}", f"{per_frame:.2f}")
    console.print(table)
    if "fer" in speed:
        ratios = [
            (r["affectstream"]["frames"] / r["affectstream"]["seconds"]) / (r["fer"]["frames"] / r["fer"]["seconds"])
            for r in result["rounds"]
        ]
        faces = result["rounds"][0]
        ratio = statistics.median(ratios)
        many = (faces["affectstream"]["faces"] / faces["affectstream"]["frames"]) / (
            faces["fer"]["faces"] / faces["fer"]["frames"]
        )
        console.print(f"ratio: {ratio:.2f} times the frames/s, {ratio * many:.1f} times the faces/s of fer")
    last = result["rounds"][-1]["affectstream"]
    busy = sum(stage["seconds"] for stage in last["stages"].values())
    stages = Table(
        "stage",
        "busy s",
        "share",
        "items",
        "items per call",
        "ms per item",
        title="where the time goes",
        title_justify="left",
    )
    for name, stage in last["stages"].items():
        items = max(stage["items"], 1)
        stages.add_row(
            name, f"{stage['seconds']:.2f}", f"{stage['seconds'] / busy:.0%}", f"{stage['items']:,}",
            f"{stage['items'] / max(stage['batches'], 1):.1f}", f"{stage['seconds'] / items * 1000:.3f}",
        )  # fmt: skip
    console.print(stages)


if __name__ == "__main__":
    main()
