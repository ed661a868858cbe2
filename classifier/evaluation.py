"""Measuring a model on labelled faces, through the engine that the pipeline uses."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from classifier import metrics
from classifier.card import ModelCard, read_card
from classifier.datasets import I64, SPLITS, Examples, Mask
from classifier.datasets.pictures import Pictures
from classifier.engine import Engine
from classifier.learnt import learnt_by
from classifier.robustness import HARMS, harmed
from contracts.emotions import EMOTIONS
from contracts.errors import InputError
from contracts.messages import F32, U8

VOTED: Final = "ferplus"  # the head that learns FER+'s votes; any other learns labels
CHUNK: Final = 256
TINY: Final = float(np.finfo(np.float32).tiny)


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What a model is worth on some pictures. `confusion` has a row for each label, in the order of `per_class`."""

    images: int
    accuracy: float
    accuracy_without_twins: float | None  # without duplicates of what was learnt from; None where that leaves none
    accuracy_plus: float | None  # against the majority of FER+'s votes; None where there is no single one
    macro_f1: float
    ece: float  # expected calibration error
    per_class: dict[str, dict[str, float]]
    confusion: list[list[int]]
    robustness: dict[str, float]  # harm -> accuracy; empty where it was not asked for


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """What a model said about N pictures: what there is to draw."""

    classes: tuple[str, ...]
    labels: I64  # [N], indices into classes
    probabilities: F32  # [N, classes]
    pictures: Pictures
    size: tuple[int, int]  # that the model saw them in


def label_head(card: ModelCard) -> str:
    """The head that learnt from labels, where there is one."""
    return next((head for head in card.heads if head != VOTED), card.default_head)


def choose_split(examples: Examples, split: str | None) -> str:
    """The split to measure: `public` if it is not said and there is one, else `all`."""
    if split is None:
        return "public" if (examples.split == SPLITS["public"]).any() else "all"
    return split


def measure(
    folder: Path, examples: Examples, split: str | None = None, *, head: str | None = None,
    among: tuple[str, ...] | None = None, robustness: bool = False,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Measured, Answers]:  # fmt: skip
    """Measures a model. Examples of emotions that it does not know are left out.

    With `among`, so are all but those of these emotions, and one of them is every answer: so it is compared with a
    model that knows no more. Without a `head`, the labels are compared with the answers of the head that learnt labels,
    and FER+'s votes with those of the head that learnt votes, where the model has both. Twins are duplicates of
    what the model's folder says that it has learnt and, for test pictures, of the training split.
    `report` is told how many of how many pictures are done. Raises InputError for a split without a picture, and for a
    head or emotions that the model lacks.
    """
    card = read_card(folder)
    split = choose_split(examples, split)
    chosen = examples.of(split)
    if not len(chosen):
        raise InputError(f"the data set has no image in the split {split!r}")
    engine = Engine(folder, head=head or label_head(card))
    known = tuple(name for name in EMOTIONS if name in card.heads[head or label_head(card)].classes)
    if unknown := [name for name in among or () if name not in known]:
        raise InputError(f"the model {card.name} does not know {unknown[0]}: it knows {', '.join(known)}")
    classes = tuple(name for name in known if among is None or name in among)
    chosen = chosen.of_classes(classes)
    if not len(chosen):
        raise InputError(f"the data set has no image of {', '.join(classes)} in the split {split!r}")
    columns = [EMOTIONS.index(name) for name in classes]
    voter = Engine(folder, head=VOTED) if VOTED in card.heads and head is None else engine
    done, total = 0, len(chosen) * (1 + (voter is not engine) + (len(HARMS) if robustness else 0))

    def answers(by: Engine, harm: str | None = None) -> F32:
        nonlocal done
        parts = []
        for images in read(chosen.pictures, (by.crop.height, by.crop.width)):
            crops = np.repeat((harmed(images, harm) if harm else images)[..., None], by.crop.channels, axis=-1)
            parts.append(by.classify(crops)[:, columns])
            done += len(images)
            report(done, total)
        said = np.concatenate(parts)
        return said if classes == known else said / np.maximum(said.sum(axis=1, keepdims=True), TINY)

    twins = learnt_by(folder, chosen)
    if split in ("public", "private"):
        twins |= chosen.twins_in(examples.of("train"))
    probabilities = answers(engine)
    heard = Answers(
        classes=classes, labels=np.searchsorted(columns, chosen.labels), probabilities=probabilities,
        pictures=chosen.pictures, size=(engine.crop.height, engine.crop.width),
    )  # fmt: skip
    measured = summarise(
        heard, votes=chosen.votes[:, columns], voted=probabilities if voter is engine else answers(voter),
        twins=twins,
        robustness={harm: metrics.accuracy(answers(engine, harm), heard.labels) for harm in HARMS}
        if robustness else {},
    )  # fmt: skip
    report(total, total)
    return measured, heard


def summarise(
    answers: Answers, *, votes: F32, voted: F32, twins: Mask, robustness: dict[str, float] | None = None
) -> Measured:
    """The figures of some answers; `voted` f32[N, classes] are those that are compared with the votes."""
    labels, probabilities, alone = answers.labels, answers.probabilities, ~twins
    matrix = metrics.confusion(probabilities, labels, len(answers.classes))
    return Measured(
        images=len(labels),
        accuracy=metrics.accuracy(probabilities, labels),
        accuracy_without_twins=metrics.accuracy(probabilities[alone], labels[alone]) if alone.any() else None,
        accuracy_plus=metrics.accuracy_plus(voted, votes),
        macro_f1=metrics.macro_f1(matrix),
        ece=metrics.calibration_error(probabilities, labels),
        per_class=metrics.per_class(matrix, answers.classes),
        confusion=matrix.tolist(),
        robustness=robustness or {},
    )


def read(pictures: Pictures, size: tuple[int, int]) -> Iterator[U8]:
    """All pictures in their order, u8[n, *size], some at a time."""
    for start in range(0, len(pictures), CHUNK):
        yield pictures.read(np.arange(start, min(start + CHUNK, len(pictures))), size)


def logits(model: Any, pictures: Pictures) -> dict[str, F32]:
    """{head: f32[N, classes]} of a Keras model."""
    parts = [
        model.predict_on_batch(np.repeat(images[..., None], model.input_shape[-1], axis=-1))
        for images in read(pictures, model.input_shape[1:3])
    ]
    return {head: np.concatenate([np.asarray(part[head], np.float32) for part in parts]) for head in parts[0]}
