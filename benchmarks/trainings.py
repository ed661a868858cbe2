"""Trainings that benchmarks make, for hours: what was stopped goes on, and what is finished is not learnt again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from classifier import evaluation
from classifier.card import CARD_FILE
from classifier.checkpoints import Checkpoints, Run, read_run
from classifier.datasets import Examples
from classifier.engine import Engine
from classifier.quiet import choose_backend, native_stderr_held_back
from classifier.robustness import harmed
from contracts.errors import InputError
from contracts.messages import F32


def learn(examples: Examples, run: Run, folder: Path, report: Callable[[Any], None]) -> None:
    """Trains a network in the folder, or the rest of it, or nothing where it lies there.

    Raises InputError where the folder holds a training of something else.
    """
    choose_backend()
    with native_stderr_held_back():
        from classifier import training

    begun, finished = Checkpoints(folder), (folder / CARD_FILE).exists()
    if begun or finished:
        was = msgspec.structs.replace(read_run(folder), made_with=run.made_with, command=run.command)
        if was != run:
            raise InputError(f"{folder} holds a training of something else: name another folder")
    if not finished:
        training.train(examples, run, folder, report, resume=bool(begun))


def ask(folder: Path, head: str, examples: Examples, harm: str = "") -> F32:
    """f32[N, 7]: what a model says of all pictures, as they are or after one of the `HARMS`."""
    engine = Engine(folder, head=head, batch_size=128)
    size = (engine.crop.height, engine.crop.width)
    pictures = np.concatenate(list(evaluation.read(examples.pictures, size)))
    if harm:
        pictures = harmed(pictures, harm)
    return engine.classify(np.repeat(pictures[..., None], engine.crop.channels, axis=-1))
