"""Measuring a model on labelled faces."""

from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from classifier.datasets import I64, SPLITS, Examples
from classifier.engine import Engine
from contracts.errors import InputError
from contracts.messages import F32, U8


def logits(model: Any, images: U8, batch_size: int = 256) -> dict[str, F32]:
    """{head: f32[N, classes]} of a Keras model for u8[N, 48, 48]."""
    answer = model.predict(images[..., None], batch_size=batch_size, verbose=0)
    return {head: np.asarray(values, dtype=np.float32) for head, values in answer.items()}


def accuracy(scores: F32, labels: I64) -> float:
    """Share of the N examples whose highest score f32[N, classes] is that of their label."""
    return float((scores.argmax(axis=1) == labels).mean()) if len(labels) else float("nan")


def accuracy_plus(scores: F32, votes: F32) -> float:
    """Accuracy against the majority of the votes f32[N, 7], over the examples that have a single majority."""
    best = votes.max(axis=1)
    clear = (best > 0) & ((votes == best[:, None]).sum(axis=1) == 1)
    return accuracy(scores[clear], votes[clear].argmax(axis=1))


def cross_entropy(scores: F32, targets: F32, temperature: float = 1.0) -> float:
    """Mean cross entropy of softmax(scores / temperature) against target shares, over examples that have a target."""
    has = targets.sum(axis=1) > 0
    scaled = scores[has].astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    log_p = scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))
    return float(-(targets[has] * log_p).sum(axis=1).mean())


def temperature(scores: F32, targets: F32) -> float:
    """The temperature that makes softmax(scores / t) fit the targets best (Guo et al., 2017)."""
    best = minimize_scalar(lambda t: cross_entropy(scores, targets, t), bounds=(0.2, 5.0), method="bounded")
    return float(best.x)


def measure(folder: Path, examples: Examples, split: str) -> dict[str, float]:
    """Measures a model on one split, head by head, through the engine that the pipeline uses.

    Keys: images; accuracy, accuracy_without_twins (without test images that have an exact duplicate in the training
    split) and ece of the head fer2013; accuracy_plus of the head ferplus.
    """
    if split not in {*SPLITS, "all"}:
        raise InputError(f"no split {split!r}: there are {', '.join(SPLITS)} and all")
    chosen = examples.of(split)
    if not len(chosen):
        raise InputError(f"the data set has no image in the split {split!r}")
    labelled = Engine(folder, head="fer2013").classify(chosen.images[..., None])
    voted = Engine(folder, head="ferplus").classify(chosen.images[..., None])
    alone = ~chosen.twins_in(examples.of("train")) if split != "train" else np.ones(len(chosen), bool)
    return {
        "images": len(chosen),
        "accuracy": accuracy(labelled, chosen.labels),
        "accuracy_without_twins": accuracy(labelled[alone], chosen.labels[alone]),
        "accuracy_plus": accuracy_plus(voted, chosen.votes),
        "ece": calibration_error(labelled, chosen.labels),
    }


def calibration_error(probabilities: F32, labels: I64, bins: int = 15) -> float:
    """Expected calibration error: the mean gap between confidence and accuracy over bins of confidence."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    weights = np.bincount(place, minlength=bins)
    gaps = np.bincount(place, confidence, bins) - np.bincount(place, right, bins)
    return float(np.abs(gaps).sum() / weights.sum())
