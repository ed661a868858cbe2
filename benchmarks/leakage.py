"""How accuracies over 0.9 on FER2013 come about: one method, measured on honest splits and on leaking ones.

    python -m benchmarks.leakage --data fer2013.npz [--architecture cnn4 --preset paper --epochs 25] [--json FILE]

The nearest neighbour remembers every picture and learns nothing: where it is good, the split has leaked. Leaking splits
are made of FER2013's training split alone, so that whatever learns from them can be measured on PublicTest as well.
A network takes hours for each: `--runs FOLDER` keeps what it learns, and goes on where it was stopped; `--split` takes
one of the splits alone, and `--share` a part of the pictures.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2
import msgspec
import numpy as np

from benchmarks.result import Cell, Column, Table, conclude, fraction, from_shell, machine, positive, shell_command
from benchmarks.trainings import ask, learn
from classifier.architectures import preset
from classifier.checkpoints import Run
from classifier.datasets import SPLITS, Examples, load
from classifier.datasets.pictures import InMemory, Mask
from classifier.recipe import changed
from contracts.emotions import EMOTIONS
from contracts.errors import InputError
from contracts.messages import F32, U8

QUERIES: Final = 3000
SIDE: Final = 24  # pixels that neighbours are sought in
TESTED: Final = 0.2  # share of a random split
COPIES: Final = 3  # distorted ones beside each picture
CHUNK: Final = 500


def official(examples: Examples) -> Examples:
    """FER2013's own splits, without twins between them."""
    training = examples.of("train")
    kept = ~training.twins_in(examples.of("public"))
    return _joined(training.where(kept), examples.of("public"))


def at_random(examples: Examples) -> Examples:
    """The training split, a fifth of it tested on; its duplicates on both sides."""
    return _split(examples.of("train"))


def repeated(examples: Examples) -> Examples:
    """Pictures of rare classes repeated until all classes are as large as the largest, and split afterwards."""
    training, chance = examples.of("train"), np.random.default_rng(1)
    counts = np.bincount(training.labels)
    more = [
        chance.choice(np.flatnonzero(training.labels == label), counts.max() - count)
        for label, count in enumerate(counts)
        if count
    ]
    return _split(training.where(np.concatenate([np.arange(len(training)), *more])))


def distorted(examples: Examples) -> Examples:
    """Copies of each picture, mirrored, turned and moved a little, put beside it, and split afterwards."""
    training, chance = examples.of("train"), np.random.default_rng(1)
    images = training.pictures.read(np.arange(len(training)), (48, 48))
    many = training.where(np.tile(np.arange(len(training)), COPIES + 1))
    copies = [np.stack([_moved(image, chance) for image in images]) for _ in range(COPIES)]
    return _split(msgspec.structs.replace(many, pictures=InMemory(np.concatenate([images, *copies]))))


class Way(NamedTuple):
    """How a data set is split."""

    title: str
    split: Callable[[Examples], Examples]


WAYS: Final = {
    "official": Way("official splits", official),
    "random": Way("random split", at_random),
    "repeated": Way("repeated, then split", repeated),
    "distorted": Way("distorted, then split", distorted),
}


NOTE: Final = (
    f"repeated: rare classes until all are as large; distorted: {COPIES} distorted copies of each picture added"
)


def _moved(image: U8, chance: np.random.Generator) -> U8:
    """As tutorials enlarge a data set: up to 10 degrees, up to a tenth of the side, half of them mirrored."""
    matrix = cv2.getRotationMatrix2D((23.5, 23.5), chance.uniform(-10, 10), chance.uniform(0.9, 1.1))
    matrix[0, 2] += chance.uniform(-4.8, 4.8)
    matrix[1, 2] += chance.uniform(-4.8, 4.8)
    moved = cv2.warpAffine(image, matrix, (48, 48), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved[:, ::-1] if chance.random() < 0.5 else moved, np.uint8)


def _split(examples: Examples) -> Examples:
    tested = np.random.default_rng(1).random(len(examples)) < TESTED
    return msgspec.structs.replace(examples, split=np.where(tested, SPLITS["public"], SPLITS["train"]))


def _joined(training: Examples, tested: Examples) -> Examples:
    images = [part.pictures.read(np.arange(len(part)), (48, 48)) for part in (training, tested)]
    return msgspec.structs.replace(
        training, pictures=InMemory(np.concatenate(images)), labels=np.concatenate([training.labels, tested.labels]),
        votes=np.concatenate([training.votes, tested.votes]), split=np.concatenate([training.split, tested.split]),
    )  # fmt: skip


def neighbour(examples: Examples) -> float:
    """Accuracy of the label of the most similar training picture (correlation of the pixels)."""
    training, tested = examples.of("train"), examples.of("public")
    known = _vectors(training)
    places = np.random.default_rng(1).permutation(len(tested))[:QUERIES]
    asked = _vectors(tested.where(places))
    nearest = [(asked[at : at + CHUNK] @ known.T).argmax(axis=1) for at in range(0, len(asked), CHUNK)]
    return float((training.labels[np.concatenate(nearest)] == tested.labels[places]).mean())


def _vectors(examples: Examples) -> F32:
    """f32[N, SIDE * SIDE] of mean 0 and length 1."""
    pixels = examples.pictures.read(np.arange(len(examples)), (SIDE, SIDE)).reshape(len(examples), -1)
    vectors = pixels.astype(np.float32) - pixels.mean(axis=1, dtype=np.float32)[:, None]
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6), np.float32)


def a_share(examples: Examples, share: float) -> Examples:
    """With only so much of the training split, drawn at random."""
    kept = np.random.default_rng(2).random(len(examples)) < share
    return examples.where(kept | (examples.split != SPLITS["train"]))


def copied(examples: Examples) -> Mask:
    """bool[N]: which of a split's test pictures have an exact copy in its training split."""
    return examples.of("public").twins_in(examples.of("train"))


class Right(NamedTuple):
    """What one network answers as labelled."""

    own: Mask  # of the split's own test pictures
    public: Mask  # of PublicTest


def learnt(examples: Examples, public: Examples, run: Run, folder: Path) -> Right:
    """Asks a network that is trained on it in the folder, or lies there.

    `train` is given PublicTest to test on: it would leave out the twins of the split's own test pictures, and with them
    the leak. Raises InputError where the folder holds a training of something else.
    """

    def right(tested: Examples) -> Mask:
        return np.asarray(ask(folder, examples.head, tested).argmax(axis=1) == tested.labels)

    def report(at: Any) -> None:
        if at.row is not None:
            held_out, seconds = at.row["held_out_accuracy"], at.row["seconds"]
            print(
                f"{folder.name}: epoch {at.epoch}/{at.epochs}  held-out accuracy {held_out:.3f}  {seconds:.0f} s",
                file=sys.stderr, flush=True,
            )  # fmt: skip

    learn(_joined(examples.of("train"), public), run, folder, report)
    return Right(right(examples.of("public")), right(public))


def mean(right: Mask) -> float | None:
    """The share of what is right; None of nothing."""
    return float(right.mean()) if len(right) else None


def by_class(title: str, tested: Examples, public: Examples, known: Mask, right: Right) -> Table:
    """The same network on test pictures that have a copy in the training split, on the others, and on PublicTest.

    Class by class, since what is repeated is of rare classes, and some are harder than others. known: of the tested.
    """
    columns = ("class", "tested that are copies", "of the copies", "of the others", "of PublicTest")
    everywhere = (np.ones(len(tested), bool), np.ones(len(public), bool))
    places = {name: (tested.labels == label, public.labels == label) for label, name in enumerate(EMOTIONS)}
    rows: list[list[Cell]] = [
        [name, *map(mean, (known[own], right.own[own & known], right.own[own & ~known], right.public[theirs]))]
        for name, (own, theirs) in (places | {"all": everywhere}).items()
    ]
    return Table(title=title, columns=tuple(Column(name, digits=3) for name in columns), rows=rows)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="FER2013")
    parser.add_argument("--architecture", help="also train this network on each split")
    parser.add_argument("--preset", default="paper")
    parser.add_argument("--epochs", type=positive, default=25, help="on the official splits; others get as many steps")
    parser.add_argument("--split", choices=WAYS, action="append", help="only this one, or these; all without")
    parser.add_argument("--share", type=fraction, default=1.0, help="of the training pictures, drawn at random")
    parser.add_argument("--runs", type=Path, help="folder that keeps the trainings, whole or stopped")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    where, examples, command = machine(), load(options.data), shell_command("leakage", arguments)
    public = examples.of("public")
    if not len(public):
        raise InputError(f"{options.data} has no PublicTest")
    examples = a_share(examples, options.share)
    with ExitStack() as stack:
        runs = options.runs or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        tables = measure(examples, public, runs, options, command)
    conclude("leakage", command, where, tables, options.json)


def measure(examples: Examples, public: Examples, runs: Path, options: argparse.Namespace, command: str) -> list[Table]:
    """A row for each split, and a table of classes for each network."""
    columns = [
        Column("split"), Column("training pictures", digits=0), Column("tested that are copies", digits=3),
        Column("nearest neighbour", digits=3),
    ]  # fmt: skip
    if options.architecture:
        names = (f"{options.architecture}, as reported", "of those no copies", "of PublicTest")
        columns += [Column(name, digits=3) for name in names]
    rows: list[list[Cell]] = []
    classes: list[Table] = []
    for name in options.split or WAYS:
        leaking = WAYS[name].split(examples)
        count = int((leaking.split == SPLITS["train"]).sum())
        known = copied(leaking)
        row: list[Cell] = [WAYS[name].title, count, mean(known), neighbour(leaking)]
        if options.architecture:
            epochs = max(round(options.epochs * len(examples.of("train")) / count), 1)
            run = Run(
                recipe=changed(preset(options.architecture, options.preset), epochs=epochs),
                data=f"{options.share:g} of {options.data.name}, {name}", command=command,
            )  # fmt: skip
            right = learnt(leaking, public, run, runs / name)
            row += map(mean, (right.own, right.own[~known], right.public))
            title = f"{options.architecture}, {WAYS[name].title}"
            classes.append(by_class(title, leaking.of("public"), public, known, right))
        rows.append(row)
        print(*row, flush=True)
    part = f", {options.share:.0%} of the training pictures" if options.share < 1 else ""
    title = f"accuracy of one method on several splits{part}"
    return [Table(title=title, columns=tuple(columns), rows=rows, note=NOTE), *classes]


if __name__ == "__main__":
    from_shell(main)
