"""The figures of classification, against values computed by hand and against what must hold between them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier import metrics
from classifier.robustness import HARMS, harmed
from contracts.messages import U8

LABELS = np.array([0, 0, 0, 1, 1, 2])
ANSWERS = np.array([0, 0, 1, 1, 2, 2])
SCORES = np.eye(3, dtype=np.float32)[ANSWERS] * 0.6 + 0.1


def test_confusion_precision_recall_and_f1_are_those_computed_by_hand() -> None:
    matrix = metrics.confusion(SCORES, LABELS, 3)
    assert matrix.tolist() == [[2, 1, 0], [0, 1, 1], [0, 0, 1]]
    rows = metrics.per_class(matrix, ["a", "b", "c"])
    assert rows["a"] == pytest.approx({"images": 3, "precision": 1, "recall": 2 / 3, "specificity": 1, "f1": 0.8})
    assert rows["b"] == pytest.approx({"images": 2, "precision": 0.5, "recall": 0.5, "specificity": 3 / 4, "f1": 0.5})
    assert rows["c"] == pytest.approx({"images": 1, "precision": 0.5, "recall": 1, "specificity": 4 / 5, "f1": 2 / 3})
    assert metrics.macro_f1(matrix) == pytest.approx((0.8 + 0.5 + 2 / 3) / 3)
    assert metrics.accuracy(SCORES, LABELS) == pytest.approx(4 / 6)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60))
def test_the_figures_agree_with_each_other(pairs: list[tuple[int, int]]) -> None:
    labels = np.array([label for label, _ in pairs])
    scores = np.eye(5, dtype=np.float32)[[answer for _, answer in pairs]]
    matrix = metrics.confusion(scores, labels, 5)
    rows = metrics.per_class(matrix, list("abcde")).values()
    assert matrix.sum() == len(pairs)
    weighted = sum(row["recall"] * row["images"] for row in rows) / len(pairs)
    assert weighted == pytest.approx(metrics.accuracy(scores, labels))  # recall weighted by support is accuracy
    for row in rows:
        if row["precision"] + row["recall"] > 0:
            harmonic = 2 * row["precision"] * row["recall"] / (row["precision"] + row["recall"])
            assert row["f1"] == pytest.approx(harmonic)


def test_calibration_error_is_the_gap_between_sure_and_right() -> None:
    # Ten answers with confidence 0.9 of which six are right, ten with 0.6 of which six are right: (0.3 + 0) / 2.
    probabilities = np.array([[0.9, 0.1]] * 10 + [[0.6, 0.4]] * 10, np.float32)
    labels = np.array(([0] * 6 + [1] * 4) * 2)
    assert metrics.calibration_error(probabilities, labels) == pytest.approx(0.15, abs=1e-6)


def test_votes_count_where_one_class_leads() -> None:
    votes = np.array([[0.6, 0.4, 0], [0.5, 0.5, 0], [0, 0, 0], [0, 0.1, 0.9]], np.float32)
    scores = np.eye(3, dtype=np.float32)[[0, 2, 2, 0]]
    assert metrics.accuracy_plus(scores, votes) == 0.5


def test_the_temperature_of_scores_that_are_twice_too_sure_is_two() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 1.5, (4000, 3))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert metrics.temperature((2 * logits).astype(np.float32), shares.astype(np.float32)) == pytest.approx(2, abs=0.01)


@pytest.mark.parametrize("name", HARMS)
def test_a_harm_keeps_the_shape_changes_the_picture_and_repeats_itself(name: str) -> None:
    images = np.random.default_rng(1).integers(0, 256, (4, 48, 48)).astype(np.uint8)
    once = harmed(images, name)
    assert once.shape == images.shape
    assert once.dtype == np.uint8
    assert (once != images).mean() > 0.5
    np.testing.assert_array_equal(once, harmed(images, name))


def test_boxes_beside_a_face_too_small_and_too_large_and_tilted_heads_are_what_they_are_called() -> None:
    y, x = np.mgrid[:48, :48] - 23.5
    bar = np.asarray(250 * np.exp(-(x**2) / 8 - y**2 / 50), np.uint8)  # upright, in the middle

    def shape(picture: U8) -> tuple[float, float, float]:
        """How far from the middle it is, how long, and by how many degrees it is tilted."""
        mass = picture / picture.sum()
        centre = np.array([(x * mass).sum(), (y * mass).sum()])
        apart = np.stack([x - centre[0], y - centre[1]])
        spread, axes = np.linalg.eigh(np.einsum("ihw,jhw,hw->ij", apart, apart, mass))
        return float(np.hypot(*centre)), float(spread[1] ** 0.5), float(np.degrees(np.arctan(axes[0, 1] / axes[1, 1])))

    _, length, _ = shape(bar)
    found = {name: shape(harmed(bar[None], name)[0]) for name in ("off_centre", "close", "wide", "tilted")}
    assert found["off_centre"] == pytest.approx((4.8, length, 0), abs=0.2)
    assert found["close"] == pytest.approx((0, 1.2 * length, 0), abs=0.2)
    assert found["wide"] == pytest.approx((0, length / 1.2, 0), abs=0.2)
    assert (found["tilted"][0], found["tilted"][1], abs(found["tilted"][2])) == pytest.approx((0, length, 15), abs=0.2)
