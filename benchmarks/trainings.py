"""Trainings that benchmarks make, for hours: what was stopped goes on, and what is finished is not learnt again.

And what the networks say, asked and compared picture by picture.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from benchmarks.result import Cell, Column
from classifier import evaluation, metrics
from classifier.card import CARD_FILE, ModelCard, read_card
from classifier.checkpoints import Checkpoints, Run, read_run
from classifier.datasets import Examples
from classifier.engine import Engine
from classifier.quiet import choose_backend, native_stderr_held_back
from classifier.robustness import harmed
from contracts.emotions import EMOTIONS
from contracts.errors import InputError
from contracts.messages import F32, U8

FIGURES: Final = (
    Column("accuracy", digits=4, better="higher"), Column("cross entropy", digits=4, better="lower"),
    Column("more than the first", digits=4, better="lower"), Column("its standard error", digits=4),
)  # fmt: skip
"""Of the answers of one head. Cross entropies are at the temperature that fits best; more of it than the first network
has is the mean over pictures that both have answered."""


def learn(examples: Examples, run: Run, folder: Path, report: Callable[[Any], None]) -> None:
    """Trains a network in the folder, or the rest of it, or nothing where it lies there.

    Raises InputError where the folder holds a training of something else.
    """
    choose_backend()
    with native_stderr_held_back():
        from classifier import training

    begun, finished = Checkpoints(folder), (folder / CARD_FILE).exists()
    if begun or finished:
        was = msgspec.structs.replace(
            read_run(folder), made_with=run.made_with, contents=run.contents, command=run.command
        )
        if was != run:
            raise InputError(f"{folder} holds a training of something else: name another folder")
    if not finished:
        training.train(examples, run, folder, report, resume=bool(begun))


def ask(folder: Path, head: str, examples: Examples, harm: str = "") -> F32:
    """f32[N, 7]: what a model says of all pictures, as they are or after one of the `HARMS`."""
    return Engine(folder, head=head, batch_size=128).classify(faces(read_card(folder), examples, harm))


def faces(card: ModelCard, examples: Examples, harm: str = "") -> U8:
    """u8[N, H, W, channels]: all pictures as the model wants them, as they are or after one of the `HARMS`."""
    pictures = np.concatenate(list(evaluation.read(examples.pictures, (card.crop.height, card.crop.width))))
    if harm:
        pictures = harmed(pictures, harm)
    return np.repeat(pictures[..., None], card.crop.channels, axis=-1)


def figures(said: Mapping[str, F32], tested: Examples, *, votes: bool) -> dict[str, list[Cell]]:
    """The `FIGURES` of each network, by what it says f32[N, 7] of the pictures, against their votes or their labels."""
    targets = tested.votes if votes else np.eye(len(EMOTIONS), dtype=np.float32)[tested.labels]
    found: dict[str, list[Cell]] = {}
    first = None
    for name, scores in said.items():
        surprises = metrics.calibrated_cross_entropies(scores, targets)
        first = surprises if first is None else first
        more = surprises - first
        compared: list[Cell] = [float(more.mean()), float(more.std()) / math.sqrt(len(more))]
        right = float(met(scores, tested, votes=votes).mean())
        found[name] = [right, float(surprises.mean()), *(compared if found else [None, None])]
    return found


def met(scores: F32, tested: Examples, *, votes: bool) -> NDArray[np.bool_]:
    """Whether the answer is the label, or the majority of the votes for each picture that has a single one."""
    if not votes:
        return np.asarray(scores.argmax(axis=1) == tested.labels)
    clear, majority = metrics.majorities(tested.votes)
    return np.asarray(scores[clear].argmax(axis=1) == majority)
