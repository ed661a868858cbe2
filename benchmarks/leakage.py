"""How accuracies over 0.9 on FER2013 come about: one method, measured on honest splits and on leaking ones.

    python -m benchmarks.leakage --data fer2013.npz [--architecture cnn4 --preset paper --epochs 25] [--json FILE]

The nearest neighbour remembers every picture and learns nothing: where it is good, the split has leaked. Leaking splits
are made of FER2013's training split alone, so that whatever learns from them can be measured on PublicTest as well.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import cv2
import msgspec
import numpy as np

from benchmarks.result import Cell, Column, Table, conclude, from_shell, machine, positive
from classifier.datasets import SPLITS, Examples, load
from classifier.datasets.pictures import InMemory
from classifier.quiet import choose_backend
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


WAYS: Final[dict[str, Callable[[Examples], Examples]]] = {
    "official splits": official,
    "random split": at_random,
    "rare classes repeated, then a random split": repeated,
    f"{COPIES} distorted copies of each, then a random split": distorted,
}


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


def learnt(examples: Examples, public: Examples, architecture: str, preset: str, epochs: int) -> tuple[float, float]:
    """A network trained on it: accuracy on the split's own test pictures, and on PublicTest.

    `train` is given PublicTest to test on: it would leave out the twins of the split's own test pictures, and with them
    the leak.
    """
    choose_backend()
    from classifier import architectures, evaluation, training
    from classifier.checkpoints import Run
    from classifier.engine import Engine
    from classifier.recipe import changed

    def accuracy(engine: Engine, tested: Examples) -> float:
        size = (engine.crop.height, engine.crop.width)
        pictures = np.concatenate([images[..., None] for images in evaluation.read(tested.pictures, size)])
        answers = engine.classify(np.repeat(pictures, engine.crop.channels, axis=-1)).argmax(axis=1)
        return float((answers == tested.labels).mean())

    recipe = changed(architectures.preset(architecture, preset), epochs=epochs)
    with tempfile.TemporaryDirectory() as folder:
        run = Run(recipe=recipe, data="leaking", command="-")
        training.train(_joined(examples.of("train"), public), run, Path(folder) / "model", lambda at: None)
        engine = Engine(Path(folder) / "model", head=examples.head, batch_size=128)
        return accuracy(engine, examples.of("public")), accuracy(engine, public)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="FER2013")
    parser.add_argument("--architecture", help="also train this network on each split")
    parser.add_argument("--preset", default="paper")
    parser.add_argument("--epochs", type=positive, default=25, help="on the official splits; others get as many steps")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    where, examples = machine(), load(options.data)
    public = examples.of("public")
    if not len(public):
        raise InputError(f"{options.data} has no PublicTest")
    columns = [Column("split"), Column("training pictures", digits=0), Column("nearest neighbour", digits=3)]
    if options.architecture:
        columns += [Column(f"{options.architecture}, as reported", digits=3), Column("on PublicTest", digits=3)]
    rows: list[list[Cell]] = []
    for name, made in WAYS.items():
        leaking = made(examples)
        count = int((leaking.split == SPLITS["train"]).sum())
        row: list[Cell] = [name, count, neighbour(leaking)]
        if options.architecture:
            epochs = max(round(options.epochs * len(examples.of("train")) / count), 1)
            row += learnt(leaking, public, options.architecture, options.preset, epochs)
        rows.append(row)
        print(*row, flush=True)
    table = Table(title="accuracy of one method on several splits", columns=tuple(columns), rows=rows)
    conclude("leakage", "python -m benchmarks.leakage", where, [table], options.json)


if __name__ == "__main__":
    from_shell(main)
