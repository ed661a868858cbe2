"""Labels with less chance in them: what ten voters say of a picture tells which label it is likely to have.

Two people who label the same face agree on two thirds of FER2013. A network that learns one person's answers learns
that person's chance by heart; what is likely for all pictures that were voted on alike has hardly any chance left.
"""

from typing import Final

import numpy as np
from scipy.optimize import minimize

from classifier.datasets import I64
from contracts.messages import F32

DECAY: Final = 1e-4


def likely_labels(votes: F32, labels: I64, classes: int) -> F32:
    """votes f32[N, V], shares of 1 or all 0, and labels i64[N] below `classes` -> f32[N, classes]: P(label | votes).

    By a logistic regression on the shares and their square roots: a single vote tells more than its share. Where nobody
    voted it is what is likely for such pictures.
    """
    votes = votes.astype(np.float64)
    features = np.hstack([votes, np.sqrt(votes), np.ones((len(votes), 1))])
    places = np.arange(len(labels))

    def probabilities(weights: np.ndarray) -> np.ndarray:
        scores = features @ weights.reshape(-1, classes)
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        given = probabilities(weights)
        surprise = -np.log(np.maximum(given[places, labels], 1e-12)).mean() + DECAY / 2 * (weights**2).sum()
        given[places, labels] -= 1
        return float(surprise), (features.T @ given).ravel() / len(labels) + DECAY * weights

    found = minimize(loss, np.zeros(features.shape[1] * classes), jac=True, method="L-BFGS-B")
    return np.asarray(probabilities(found.x), np.float32)
