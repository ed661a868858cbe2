"""What leaks from a split is seen: labels that say nothing about the pictures can be told only where copies are."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from benchmarks.leakage import (
    Right,
    a_share,
    at_random,
    by_class,
    copied,
    distorted,
    learnt,
    neighbour,
    official,
    repeated,
)
from classifier import training
from classifier.checkpoints import Run
from classifier.datasets import SPLITS, Examples
from classifier.datasets.pictures import InMemory
from classifier.recipe import Phase
from contracts.emotions import EMOTIONS
from contracts.errors import InputError
from tests.classifier.making import QUICK, stripes, with_phases

pytestmark = pytest.mark.xdist_group("tensorflow")

COUNTS = (30, 30, 30, 30, 30, 30, 400)


@pytest.fixture(scope="module")
def meaningless() -> Examples:
    """Noise, mostly of one class, with labels that nothing in it shows."""
    chance = np.random.default_rng(1)
    labels = np.repeat(np.arange(7), COUNTS)
    split = np.where(chance.random(len(labels)) < 0.2, SPLITS["public"], SPLITS["train"])
    coarse = chance.integers(0, 256, (len(labels), 12, 12), dtype=np.uint8)
    return Examples(
        pictures=InMemory(coarse.repeat(4, axis=1).repeat(4, axis=2)), labels=labels,
        votes=np.zeros((len(labels), 7), np.float32), split=split,
    )  # fmt: skip


def test_remembering_helps_where_copies_are_on_both_sides_alone(meaningless: Examples) -> None:
    by_chance = sum((count / sum(COUNTS)) ** 2 for count in COUNTS)
    for honest in (official, at_random):
        assert neighbour(honest(meaningless)) == pytest.approx(by_chance, abs=0.15)
    assert neighbour(repeated(meaningless)) > 0.8
    assert neighbour(distorted(meaningless)) > by_chance + 0.1


def test_rare_classes_become_as_large_as_the_largest(meaningless: Examples) -> None:
    counts = np.bincount(repeated(meaningless).labels)
    assert counts.min() == counts.max()


def test_the_official_splits_lose_their_twins(meaningless: Examples) -> None:
    twice = meaningless.where(np.arange(len(meaningless)).repeat(2))
    twice.split[1::2] = SPLITS["train"]
    honest = official(twice)
    assert not honest.of("train").twins_in(honest.of("public")).any()
    assert (honest.split == SPLITS["public"]).sum() == (twice.split == SPLITS["public"]).sum()


def test_test_pictures_with_a_copy_in_the_training_split_are_counted(meaningless: Examples) -> None:
    assert not copied(official(meaningless)).any()
    assert not copied(at_random(meaningless)).any()
    assert 0.7 < copied(repeated(meaningless)).mean() < 0.95  # all but the largest of seven classes


def test_copies_and_others_are_told_apart_class_by_class(meaningless: Examples) -> None:
    split, public = repeated(meaningless), meaningless.of("public")
    known = copied(split)
    right = Right(known, np.zeros(len(public), bool))  # as one that remembers and understands nothing
    table = by_class("remembered", split.of("public"), public, known, right)
    assert [row[0] for row in table.rows] == [*EMOTIONS, "all"]
    assert table.rows[-1][1] == known.mean()
    for _, copies, of_copies, of_others, of_public in table.rows:
        assert isinstance(copies, float)
        assert (of_copies, of_others) == (1.0 if copies > 0 else None, 0.0 if copies < 1 else None)
        assert of_public == 0.0


def test_a_network_learns_from_the_copies_too(
    meaningless: Examples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A training leaves out the twins of what it is tested on, which is why it must not know the leaking test pictures.
    given: list[Examples] = []

    def train(examples: Examples, *rest: object, resume: bool) -> None:
        assert not resume
        given.append(examples)
        raise InterruptedError

    monkeypatch.setattr(training, "train", train)
    chance = np.random.default_rng(2)
    public = meaningless.where(np.arange(7))
    public = msgspec.structs.replace(
        public, pictures=InMemory(chance.integers(0, 256, (7, 48, 48), dtype=np.uint8)),
        split=np.full(7, SPLITS["public"]),
    )  # fmt: skip
    leaking = repeated(meaningless)
    run = Run(recipe=QUICK, data="leaking", command="-")
    with pytest.raises(InterruptedError):
        learnt(leaking, public, run, tmp_path / "model")
    (learns,) = given
    assert learns.of("train").twins_in(leaking.of("public")).any()
    assert not learns.of("train").twins_in(learns.of("public")).any()
    assert len(learns.of("public")) == 7


def test_a_network_that_was_learnt_is_measured_again_without_learning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, folder = stripes(400, 1), tmp_path / "random"
    run = Run(recipe=with_phases(QUICK, Phase(epochs=1)), data="stripes", command="-")
    first = learnt(at_random(data), data.of("public"), run, folder)
    monkeypatch.setattr(training, "train", None)
    otherwise = msgspec.structs.replace(run, command="the same in other words")
    again = learnt(at_random(data), data.of("public"), otherwise, folder)
    assert [part.tolist() for part in again] == [part.tolist() for part in first]
    with pytest.raises(InputError, match="holds a training of something else"):
        learnt(at_random(data), data.of("public"), msgspec.structs.replace(run, data="others"), folder)


def test_a_share_is_of_the_training_pictures_alone(meaningless: Examples) -> None:
    half = a_share(meaningless, 0.5)
    assert len(half.of("public")) == len(meaningless.of("public"))
    assert 0.4 < len(half.of("train")) / len(meaningless.of("train")) < 0.6
