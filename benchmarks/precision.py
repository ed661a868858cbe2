"""How far a model's answers depend on what computes them: runtimes and precisions against float32 on the default one.

python -m benchmarks.precision --data fer2013.npz [--split public] [--model default] [--json precision.json]
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
from classifier.datasets import load
from classifier.engine import Engine
from classifier.evaluation import VOTED
from classifier.folders import find_model
from contracts.loading import load_settings
from contracts.messages import F32
from contracts.settings import Precision

COLUMNS = (
    Column("head"), Column("runtime"), Column("precision"),
    Column("difference", "mean", 6, better="lower"), Column("difference", "largest", 6, better="lower"),
    Column("other answer", "%", 2, better="lower"), Column("accuracy", digits=4, better="higher"),
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="public")
    parser.add_argument("--model", default="default")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    where = machine()
    folder = find_model(options.model, load_settings(None, os.environ, {}).models)
    card = read_card(folder)
    examples = load(options.data).of(options.split)
    pictures = faces(card, examples)

    rows: list[list[Cell]] = []
    ways: list[tuple[str, Precision]] = [(name, "float32") for name in (*card.exports, "tensorflow")]
    ways += [(name, "bfloat16") for name, _ in ways]
    for head in card.heads:
        exact: F32 | None = None
        for name, precision in ways:
            scores = Engine(folder, head=head, runtime_name=name, precision=precision).classify(pictures)
            exact = scores if exact is None else exact
            gap, other = np.abs(scores - exact), scores.argmax(axis=1) != exact.argmax(axis=1)
            right = (
                metrics.accuracy_plus(scores, examples.votes)
                if head == VOTED
                else metrics.accuracy(scores, examples.labels)
            )
            rows.append([head, name, precision, float(gap.mean()), float(gap.max()), 100 * float(other.mean()), right])
    note = f"{card.name}, {len(pictures):,} pictures, probabilities against those of {' in '.join(ways[0])}"
    table = Table(title="what computes the answers", columns=COLUMNS, rows=rows, note=note)
    conclude("precision", shell_command("precision", arguments), where, [table], options.json)


if __name__ == "__main__":
    from_shell(main)
