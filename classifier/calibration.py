"""How sure a model may sound: temperatures for its heads, from labelled faces that it has not learnt from.

A network is surer, or less sure, of its answers than it is right. One number for each head mends most of that (Guo et
al., "On Calibration of Modern Neural Networks", 2017), and no answer changes for it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from classifier import metrics
from classifier.card import ModelCard, read_card, write_card
from classifier.datasets import Examples
from classifier.engine import Engine
from classifier.evaluation import VOTED, choose_split, read
from classifier.folders import check_writable, writing
from classifier.learnt import learnt_by
from contracts.emotions import EMOTIONS
from contracts.errors import InputError
from contracts.messages import F32

ENOUGH: Final = 200  # pictures to choose a temperature by


class Fit(msgspec.Struct, frozen=True, kw_only=True):
    """A head's temperature, and its cross entropy on the pictures that it was chosen by: before, and now."""

    temperature: tuple[float, float]
    cross_entropy: tuple[float, float]


def calibrate(folder: Path, examples: Examples, split: str | None = None) -> tuple[ModelCard, dict[str, Fit]]:
    """Gives a model the temperatures that fit the pictures best, and writes its card.

    The head of the votes is fitted to votes, any other to labels; one that finds no such target stays as it is.
    Pictures that the model's folder says it has learnt from are left out: it is too sure of those.
    Raises InputError for a split of fewer than `ENOUGH` others of emotions that the model knows, ModelError for a
    folder that cannot be written.
    """
    card = read_card(folder)
    check_writable(folder)
    split = choose_split(examples, split)
    new = examples.of(split)
    new = new.where(~learnt_by(folder, new))
    fits: dict[str, Fit] = {}
    for name, head in card.heads.items():
        chosen = new.of_classes(tuple(one for one in EMOTIONS if one in head.classes))
        if name == VOTED:
            chosen = chosen.where(np.flatnonzero(chosen.votes.sum(axis=1)))
            if not len(chosen):
                continue
        if len(chosen) < ENOUGH:
            raise InputError(
                f"a temperature takes {ENOUGH} pictures that the model has not learnt from, the split {split!r} has "
                f"{len(chosen)}"
            )
        scores, wanted = _scores(Engine(folder, head=name), chosen), wanted_of(name, head.classes, chosen)
        best = round(metrics.temperature(scores, wanted), 4)
        before, now = (metrics.cross_entropy(scores, wanted, t) for t in (head.temperature, best))
        fits[name] = Fit(temperature=(head.temperature, best), cross_entropy=(before, now))
    heads = {
        name: msgspec.structs.replace(head, temperature=fits[name].temperature[1]) if name in fits else head
        for name, head in card.heads.items()
    }
    card = msgspec.structs.replace(card, heads=heads)
    with writing(folder):
        write_card(folder, card)
    return card, fits


def wanted_of(head: str, classes: Sequence[str], examples: Examples) -> F32:
    """f32[N, classes]: what a head should say of the examples, their votes or their labels."""
    wanted = examples.votes if head == VOTED else np.eye(len(EMOTIONS), dtype=np.float32)[examples.labels]
    return wanted[:, [EMOTIONS.index(name) for name in classes]]


def _scores(engine: Engine, examples: Examples) -> F32:
    """f32[N, classes of the engine's head]"""
    size = (engine.crop.height, engine.crop.width)
    crops = (np.repeat(images[..., None], engine.crop.channels, axis=-1) for images in read(examples.pictures, size))
    return np.concatenate([engine.scores(some) for some in crops])
