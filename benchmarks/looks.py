"""What a second look is worth: a model's answers to faces, to their mirror images, and their mean; of several too.

    python -m benchmarks.looks --data fer2013.npz [--model default ...] [--json looks.json]

The faces are those that `train --preset ours` holds out of the training split, so that no test picture is looked at.
The cross entropy is that of the labels, at the temperature that fits best.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.result import Cell, Column, Table, conclude, from_shell, machine, shell_command
from benchmarks.trainings import faces
from classifier import metrics
from classifier.card import read_card
from classifier.datasets import Examples, load
from classifier.engine import Engine
from classifier.evaluation import label_head
from classifier.folders import find_model
from classifier.quiet import choose_backend, native_stderr_held_back
from classifier.recipe import ours
from contracts.emotions import EMOTIONS
from contracts.loading import load_settings
from contracts.messages import F32

COLUMNS = (
    Column("model"), Column("looks at"), Column("accuracy", digits=4, better="higher"),
    Column("cross entropy", digits=4, better="lower"),
)  # fmt: skip


def answers(folder: Path, examples: Examples) -> tuple[F32, F32]:
    """What the head that learnt labels says of N faces and of their mirror images: f32[N, classes]."""
    card = read_card(folder)
    engine, straight = Engine(folder, head=label_head(card)), faces(card, examples)
    return engine.classify(straight), engine.classify(np.ascontiguousarray(straight[:, :, ::-1]))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", action="append", help="a model's folder or name; may be given several times")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    choose_backend()
    with native_stderr_held_back():
        from classifier.lessons import DIVISION, shares

    where = machine()
    folders = [find_model(m, load_settings(None, os.environ, {}).models) for m in options.model or ["default"]]
    _, held_out = shares(load(options.data).divided(DIVISION), ours("fern"))
    labels, hot = held_out.labels, np.eye(len(EMOTIONS), dtype=np.float32)[held_out.labels]

    def row(model: str, looks: str, *scores: F32) -> list[Cell]:
        mean = np.mean(scores, axis=0)
        return [model, looks, metrics.accuracy(mean, labels), metrics.calibrated_cross_entropy(mean, hot)]

    rows: list[list[Cell]] = []
    said = [answers(folder, held_out) for folder in folders]
    for folder, (straight, mirrored) in zip(folders, said, strict=True):
        rows += [
            row(folder.name, "the picture", straight), row(folder.name, "its mirror image", mirrored),
            row(folder.name, "both", straight, mirrored),
        ]  # fmt: skip
    if len(said) > 1:
        rows.append(row("the mean of all", "the picture", *[straight for straight, _ in said]))
        rows.append(row("the mean of all", "both", *[scores for both in said for scores in both]))
    note = f"{len(held_out):,} pictures of the training split that training holds out"
    table = Table(title="what a second look is worth", columns=COLUMNS, rows=rows, note=note)
    conclude("looks", shell_command("looks", arguments), where, [table], options.json)


if __name__ == "__main__":
    from_shell(main)
