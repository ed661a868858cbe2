"""Labels are brought nearer to what their pictures' votes make likely, and say so to nobody who does not ask."""

from typing import Any

import msgspec
import numpy as np

from classifier.batches import batches
from classifier.datasets import Examples
from classifier.denoising import likely_labels
from classifier.recipe import Distortion
from tests.classifier.making import QUICK, stripes

CHANCES = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]])


def voted_on(count: int) -> tuple[Any, Any, Any]:
    """Votes of one accord and labels that go with them by chance; and which of the three it is."""
    random = np.random.default_rng(1)
    kind = random.integers(0, 3, count)
    labels = np.array([random.choice(3, p=CHANCES[one]) for one in kind])
    return np.eye(3, dtype=np.float32)[kind], labels, kind


def test_what_is_likely_is_what_happens_to_pictures_with_such_votes() -> None:
    votes, labels, kind = voted_on(6000)
    likely = likely_labels(votes, labels, 3)
    np.testing.assert_allclose(likely.sum(axis=1), 1, atol=1e-5)
    for one in range(3):
        np.testing.assert_allclose(likely[kind == one].mean(axis=0), CHANCES[one], atol=0.03)


def test_a_picture_that_nobody_voted_on_has_what_such_pictures_have() -> None:
    votes, labels, _ = voted_on(6000)
    votes[3000:] = 0
    labels[3000:] = np.where(np.arange(3000) % 4, 2, 0)  # three quarters the last
    np.testing.assert_allclose(likely_labels(votes, labels, 3)[4000], [0.25, 0, 0.75], atol=0.03)


def targets(examples: Examples, denoising: float) -> Any:
    recipe = msgspec.structs.replace(QUICK, distortion=Distortion(), denoising=denoising, batch_size=40)
    ((_, said, _),) = batches(examples, recipe, {"fer2013": 7}, size=(48, 48), channels=1, first=0, last=1)
    return np.asarray(said["fer2013"])


def test_a_label_that_the_votes_speak_against_loses_weight() -> None:
    faces = stripes(40, 1)
    misled = msgspec.structs.replace(faces, labels=np.where(np.arange(40) == 7, (faces.labels + 1) % 7, faces.labels))
    assert np.isin(targets(misled, 0.0), [0, 1]).all(), "as it is labelled"
    half = targets(misled, 0.5)
    np.testing.assert_allclose(half.sum(axis=1), 1, atol=1e-5)
    assert sorted(half.max(axis=1))[0] < 0.6 < sorted(half.max(axis=1))[1], "one label is doubted, all others stand"


def test_without_votes_labels_are_taken_as_they_are() -> None:
    nobody = msgspec.structs.replace(stripes(40, 1), votes=np.zeros((40, 7), np.float32))
    assert np.isin(targets(nobody, 0.5), [0, 1]).all()
