"""What it means to learn from FER2013's labels or from FER+'s ten voters: confusion matrices, and answers in the world.

    python -m benchmarks.heads --data fer2013.npz [--video people.mp4 ...] [--model default] [--picture heads.png]

PublicTest is looked at, and nothing is chosen by it. The faces of the recordings have no labels: what is shown of them
is how often each head answers what.
"""

import argparse
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks.result import Cell, Column, Table, conclude, from_shell, machine, shell_command
from benchmarks.trainings import faces
from classifier import metrics
from classifier.card import read_card
from classifier.datasets import Examples, load
from classifier.engine import Engine
from classifier.evaluation import VOTED
from classifier.folders import find_model
from classifier.plots import draw_matrix
from contracts.emotions import COLOURS, EMOTIONS
from contracts.loading import load_settings
from contracts.messages import F32, U8, Frame
from contracts.settings import Settings
from detector import open_detector
from ingest import open_source

LABELLED = "fer2013"
EVERY = 5  # th frame of a recording: neighbours hardly differ


def agreement(examples: Examples, scores: dict[str, F32]) -> dict[str, np.ndarray]:
    """{what against what: i64[7, 7]}, over the pictures whose votes have a single majority."""
    clear, majority = metrics.majorities(examples.votes)
    labels = examples.labels[clear]
    hot = np.eye(len(EMOTIONS), dtype=np.float32)
    return {
        "FER2013's label, and ten people's majority": metrics.confusion(hot[majority], labels, len(EMOTIONS)),
        "FER2013's label, and head fer2013": metrics.confusion(scores[LABELLED][clear], labels, len(EMOTIONS)),
        "ten people's majority, and head ferplus": metrics.confusion(scores[VOTED][clear], majority, len(EMOTIONS)),
        "ten people's majority, and head fer2013": metrics.confusion(scores[LABELLED][clear], majority, len(EMOTIONS)),
    }


def crops_of(video: Path, settings: Settings, engine: Engine) -> U8:
    """The faces of every fifth frame, u8[N, H, W, C]."""
    detector = open_detector(settings.detector, settings.models, engine.crop, note=print)

    def found() -> Iterator[U8]:
        for event in open_source(str(video), camera_id="bench", settings=settings.ingest).events():
            if isinstance(event, Frame) and event.seq % EVERY == 0:
                yield detector.detect([event.picture])[0].crops

    return np.concatenate(list(found()))


def answered(scores: F32) -> list[float]:
    """How often each emotion is the most probable one; never, where there is no face."""
    times = np.bincount(scores.argmax(axis=1), minlength=len(EMOTIONS))
    shares: list[float] = (times / max(len(scores), 1)).tolist()
    return shares


def tables(matrices: dict[str, np.ndarray], seen: dict[str, F32]) -> list[Table]:
    """Each matrix as shares of its rows, and the answers in the recordings."""
    columns = (Column(""), *(Column(name, "%", 0) for name in EMOTIONS), Column("pictures", digits=0))
    made = []
    for title, matrix in matrices.items():
        rows: list[list[Cell]] = [
            [name, *(100.0 * matrix[i] / max(matrix[i].sum(), 1)).tolist(), float(matrix[i].sum())]
            for i, name in enumerate(EMOTIONS)
        ]
        same = np.trace(matrix) / max(matrix.sum(), 1)
        made.append(Table(title=title, columns=columns, rows=rows, note=f"the same on {same:.3f}"))
    if seen:
        rows = [
            [name, *(100.0 * share for share in answered(scores)), float(len(scores))] for name, scores in seen.items()
        ]
        made.append(Table(title="answers in recordings, whose faces have no labels", columns=columns, rows=rows))
    return made


def draw(matrices: dict[str, np.ndarray], seen: dict[str, F32], path: Path) -> None:
    """The matrices side by side, the answers in recordings below."""
    figure = Figure(figsize=(12, 8.6 if seen else 4.6), layout="constrained")
    grid = figure.add_gridspec(2 if seen else 1, 3, height_ratios=[4, 3] if seen else [1])
    for place, (title, matrix) in enumerate(list(matrices.items())[:3]):
        _matrix(figure.add_subplot(grid[0, place]), title, matrix)
    if seen:
        _bars(figure.add_subplot(grid[1, :]), seen)
    figure.savefig(path, dpi=100)


def _matrix(axes: Any, title: str, matrix: np.ndarray) -> None:
    draw_matrix(axes, matrix, EMOTIONS)
    rows, columns = title.split(", and ")
    axes.set(ylabel=rows, xlabel=columns, title=f"the same on {100 * np.trace(matrix) / matrix.sum():.0f} %")


def _bars(axes: Any, seen: dict[str, F32]) -> None:
    left = np.zeros(len(seen))
    shares = np.array([answered(scores) for scores in seen.values()])
    for place, name in enumerate(EMOTIONS):
        axes.barh(list(seen), shares[:, place], left=left, color=COLOURS[name], label=name, edgecolor="white")
        left += shares[:, place]
    axes.set(xlim=(0, 1), xlabel="share of the faces, by the most probable emotion")
    axes.invert_yaxis()
    axes.legend(ncols=7, loc="upper center", bbox_to_anchor=(0.45, 1.16), frameon=False, fontsize=9)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="FER2013 with FER+'s votes")
    parser.add_argument("--video", type=Path, action="append", default=[], help="a recording; repeatable")
    parser.add_argument("--model", default="default")
    parser.add_argument("--picture", type=Path, help="a PNG file to draw")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    where, settings = machine(), load_settings(None, os.environ, {})
    folder = find_model(options.model, settings.models)
    engines = {head: Engine(folder, head=head) for head in (LABELLED, VOTED)}
    public = load(options.data).of("public")
    pictures = faces(read_card(folder), public)
    matrices = agreement(public, {head: engine.classify(pictures) for head, engine in engines.items()})
    seen: dict[str, F32] = {}
    for video in options.video:
        crops = crops_of(video, settings, engines[VOTED])
        seen |= {f"{video.name}, head {head}": engine.classify(crops) for head, engine in engines.items()}
    conclude("heads", shell_command("heads", arguments), where, tables(matrices, seen), options.json)
    if options.picture:
        draw(matrices, seen, options.picture)


if __name__ == "__main__":
    from_shell(main)
