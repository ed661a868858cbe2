"""What each ingredient of our training gives: the default network learns with all of them, then without one at a time.

    python -m benchmarks.ablation --data fer2013.npz [--epochs 12] [--only NAME ...] [--json ablation.json]

Trainings are short, so that there can be many: they show what helps a network to learn, less what it ends at. All learn
from the same eight tenths of the training split and are measured on another tenth; test pictures are not looked at.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks.result import Cell, Column, Table, conclude, from_shell, machine, positive, shell_command
from classifier import architectures, evaluation, metrics
from classifier.checkpoints import Run
from classifier.datasets import Examples, load
from classifier.engine import Engine
from classifier.evaluation import VOTED
from classifier.quiet import choose_backend, native_stderr_held_back
from classifier.recipe import Recipe, changed
from contracts.emotions import EMOTIONS
from contracts.errors import InputError

ALL: Final = "all of it"
COLUMNS: Final = (
    Column("learnt with"), Column("accuracy", digits=4, better="higher"),
    Column("cross entropy", digits=4, better="lower"), Column("voters: accuracy", digits=4, better="higher"),
    Column("voters: cross entropy", digits=4, better="lower"), Column("seconds", digits=0, better="lower"),
)  # fmt: skip


def _with(**fields: Any) -> Callable[[Recipe], Recipe]:
    return lambda recipe: msgspec.structs.replace(recipe, **fields)


def _undistorted(**fields: Any) -> Callable[[Recipe], Recipe]:
    return lambda recipe: msgspec.structs.replace(
        recipe, distortion=msgspec.structs.replace(recipe.distortion, **fields)
    )


def _optimised(**fields: Any) -> Callable[[Recipe], Recipe]:
    return lambda recipe: msgspec.structs.replace(
        recipe, phases=tuple(msgspec.structs.replace(phase, **fields) for phase in recipe.phases)
    )


WAYS: Final[dict[str, Callable[[Recipe], Recipe]]] = {
    ALL: lambda recipe: recipe,
    "no mirrored pairs": _with(mirrored=False),
    "no pairs, 3x3 where it halves": _with(mirrored=False, options={"halving": 3}),
    "no head for voters": _with(votes=0.0),
    "no averaged weights": _optimised(average=0.0),
    "no weight decay": _optimised(weight_decay=0.0),
    "no label smoothing": _with(label_smoothing=0.0),
    "no erasing": _undistorted(erasing=0.0),
    "no softening, no noise": _undistorted(softening=0.0, noise=0.0),
    "no turning, moving, zooming": _undistorted(rotation=0.0, shift=0.0, zoom=0.0),
    "no change of light": _undistorted(brightness=0.0, contrast=0.0),
    "mixup too": _with(mixup=0.2),
}


def learnt(recipe: Recipe, examples: Examples, report: Callable[[Any], None] = lambda at: None) -> list[Cell]:
    """Trains on the training split alone; accuracy and cross entropy of both heads on a tenth of it, and seconds."""
    choose_backend()
    with native_stderr_held_back():
        from classifier import training

    examples = examples.of("train")
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "model"
        card = training.train(examples, Run(recipe=recipe, data="-", command="-"), folder, report).card
        seconds = time.monotonic() - started
        tested = examples.divided(training.DIVISION).of("public")
        size = (card.crop.height, card.crop.width)
        pictures = np.concatenate([images[..., None] for images in evaluation.read(tested.pictures, size)])
        said = {head: Engine(folder, head=head).classify(pictures) for head in card.heads}
    labelled = said.pop(examples.head)
    cells: list[Cell] = [metrics.accuracy(labelled, tested.labels)]
    cells.append(metrics.calibrated_cross_entropy(labelled, np.eye(len(EMOTIONS), dtype=np.float32)[tested.labels]))
    if VOTED in said:
        cells.append(metrics.accuracy_plus(said[VOTED], tested.votes))
        cells.append(metrics.calibrated_cross_entropy(said[VOTED], tested.votes))
    else:
        cells += [None, None]
    return [*cells, seconds]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="FER2013")
    parser.add_argument("--epochs", type=positive, default=12)
    parser.add_argument("--only", action="append", help=f"one of: {', '.join(WAYS)}; may be given several times")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    names = options.only or list(WAYS)
    if unknown := [name for name in names if name not in WAYS]:
        raise InputError(f"no ingredient {unknown[0]!r}: there are {', '.join(WAYS)}")
    where, examples = machine(), load(options.data)
    ours = changed(architectures.preset("fern", "ours"), epochs=options.epochs)
    rows: list[list[Cell]] = []
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), console=Console(stderr=True),
        transient=True,
    )  # fmt: skip
    with bar:
        task = bar.add_task("", total=None)

        def report(at: Any) -> None:
            bar.update(task, completed=len(rows) * at.steps + at.step, total=len(names) * at.steps)

        for name in names:
            bar.update(task, description=name)
            rows.append([name, *learnt(WAYS[name](ours), examples, report)])
    note = f"{options.epochs} epochs each; a tenth of {options.data.name}'s training split"
    table = Table(title="what each ingredient gives", columns=COLUMNS, rows=rows, note=note)
    conclude("ablation", shell_command("ablation", arguments), where, [table], options.json)


if __name__ == "__main__":
    from_shell(main)
