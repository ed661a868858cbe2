"""The figures of classification, computed from scores, labels and votes. Scores may be logits or probabilities."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from classifier.datasets import I64
from contracts.messages import F32


def accuracy(scores: F32, labels: I64) -> float:
    """Share of the N examples whose highest score f32[N, classes] is that of their label."""
    return float((scores.argmax(axis=1) == labels).mean()) if len(labels) else float("nan")


def accuracy_plus(scores: F32, votes: F32) -> float | None:
    """Accuracy against the majority of the votes f32[N, classes], over the examples that have a single majority.

    None where none has.
    """
    clear, majority = majorities(votes)
    return accuracy(scores[clear], majority) if clear.any() else None


def majorities(votes: F32) -> tuple[NDArray[np.bool_], I64]:
    """votes f32[N, classes] -> which examples have a single majority bool[N], and the class that it is of those."""
    best = votes.max(axis=1)
    clear = (best > 0) & ((votes == best[:, None]).sum(axis=1) == 1)
    return clear, votes[clear].argmax(axis=1)


def confusion(scores: F32, labels: I64, classes: int) -> I64:
    """i64[classes, classes]: how many of the label in the row were taken for the class in the column."""
    pairs = labels * classes + scores.argmax(axis=1)
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes).astype(np.int64)


def per_class(matrix: I64, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """{class: images, precision, recall (sensitivity), specificity, f1} of a confusion matrix.

    A share of nothing is 0: the precision of a class that was never answered, the recall of one that never occurred.
    """
    right = np.diag(matrix)
    labelled, answered, total = matrix.sum(axis=1), matrix.sum(axis=0), matrix.sum()
    precision = right / np.maximum(answered, 1)
    recall = right / np.maximum(labelled, 1)
    specificity = (total - labelled - answered + right) / np.maximum(total - labelled, 1)
    f1 = 2 * right / np.maximum(labelled + answered, 1)
    return {
        name: {
            "images": int(labelled[i]), "precision": float(precision[i]), "recall": float(recall[i]),
            "specificity": float(specificity[i]), "f1": float(f1[i]),
        }
        for i, name in enumerate(names)
    }  # fmt: skip


def macro_f1(matrix: I64) -> float:
    """The mean F1 of the classes that occur or were answered."""
    labelled, answered = matrix.sum(axis=1), matrix.sum(axis=0)
    involved = labelled + answered > 0
    return float((2 * np.diag(matrix)[involved] / (labelled + answered)[involved]).mean())


def calibration(
    probabilities: F32, labels: I64, bins: int = 15
) -> tuple[I64, NDArray[np.float64], NDArray[np.float64]]:
    """For each bin of confidence: the number of examples, their mean confidence and accuracy (0 if there are none)."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    counts = np.bincount(place, minlength=bins)
    full = np.maximum(counts, 1)
    return counts, np.bincount(place, confidence, bins) / full, np.bincount(place, right, bins) / full


def calibration_error(probabilities: F32, labels: I64, bins: int = 15) -> float:
    """Expected calibration error: the mean gap between confidence and accuracy over bins of confidence."""
    counts, confidence, right = calibration(probabilities, labels, bins)
    return float((counts * np.abs(confidence - right)).sum() / counts.sum())


def cross_entropies(scores: F32, targets: F32, temperature: float = 1.0) -> NDArray[np.float64]:
    """Cross entropy of softmax(scores / temperature) against target shares, for each example that has a target."""
    has = targets.sum(axis=1) > 0
    scaled = scores[has].astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    log_p = scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))
    return np.asarray(-(targets[has] * log_p).sum(axis=1))


def cross_entropy(scores: F32, targets: F32, temperature: float = 1.0) -> float:
    """The mean of the `cross_entropies`."""
    return float(cross_entropies(scores, targets, temperature).mean())


def calibrated_cross_entropies(probabilities: F32, targets: F32) -> NDArray[np.float64]:
    """The `cross_entropies` of probabilities, at the temperature that fits best."""
    logits = np.log(probabilities + 1e-9)
    return cross_entropies(logits, targets, temperature(logits, targets))


def calibrated_cross_entropy(probabilities: F32, targets: F32) -> float:
    """The mean of the `calibrated_cross_entropies`."""
    return float(calibrated_cross_entropies(probabilities, targets).mean())


def temperature(scores: F32, targets: F32) -> float:
    """The temperature that makes softmax(scores / t) fit the targets best (Guo et al., 2017); 1 without a target."""
    if not targets.any():
        return 1.0
    best = minimize_scalar(lambda t: cross_entropy(scores, targets, t), bounds=(0.2, 5.0), method="bounded")
    return float(best.x)
