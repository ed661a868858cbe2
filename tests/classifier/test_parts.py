"""Teachers that have left out a part of the pictures are asked about that part and no other."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from classifier import lessons
from classifier.batches import batches
from classifier.card import read_card
from classifier.datasets.pictures import InMemory
from classifier.parts import by_teacher, parts_of, slices, steps_of
from classifier.recipe import Distillation, Distortion, Phase, part
from contracts.errors import InputError
from tests.classifier.making import QUICK, stripes, with_phases
from tests.classifier.test_training import train

pytestmark = pytest.mark.xdist_group("tensorflow")


def test_a_picture_belongs_to_one_part_wherever_it_stands_and_its_duplicates_too() -> None:
    faces = stripes(300, 1)
    parts = parts_of(faces, 3)
    assert set(parts) == {1, 2, 3}
    order = np.random.default_rng(2).permutation(300)
    twice = faces.where(np.concatenate([order, order]))
    assert np.array_equal(parts_of(twice, 3), np.concatenate([parts[order], parts[order]]))


def test_what_is_no_part_is_refused() -> None:
    assert part("2/3") == (2, 3)
    for text in ("0/3", "4/3", "1/1", "half", "1/", "-1/3", "1.5/3"):
        with pytest.raises(InputError, match="is no part: 1/4 is the first of four"):
            part(text)


def test_each_part_is_asked_of_the_teacher_that_left_it_out() -> None:
    faces = stripes(300, 1)
    places, order = by_teacher(faces, ["3/3", "1/3", "2/3"])
    assert order == [1, 2, 0]
    assert np.array_equal(np.sort(np.concatenate(places)), np.arange(300))
    for which, at in enumerate(places, 1):
        assert (parts_of(faces, 3)[at] == which).all()
    assert by_teacher(faces, ["", ""])[1] == [0, 1]
    for without in (["1/2"], ["1/2", "1/2"], ["1/2", "2/3"], ["1/2", "2/2", ""]):
        with pytest.raises(InputError, match="a teacher is needed for each of 1/"):
            by_teacher(faces, without)


@pytest.mark.parametrize("mixup", [0.0, 1.0])
def test_every_slice_of_a_batch_is_of_its_part_also_where_pictures_are_mixed(mixup: float) -> None:
    parts = [np.arange(0, 40), np.arange(40, 70), np.arange(70, 120)]
    which = np.concatenate([np.full(len(places), number, np.uint8) for number, places in enumerate(parts)])
    pictures = InMemory(np.broadcast_to(which[:, None, None] * 100, (120, 48, 48)).copy())
    faces = stripes(120, 1).where(np.arange(120))
    faces = msgspec.structs.replace(faces, pictures=pictures)
    recipe = msgspec.structs.replace(QUICK, batch_size=10, distortion=Distortion(), mixup=mixup)
    seen = [
        np.asarray(images)[:, 0, 0, 0]
        for images, _, _ in batches(
            faces, recipe, {"fer2013": 7}, size=(48, 48), channels=1, first=0, last=1, parts=parts
        )
    ]
    assert len(seen) == steps_of(parts, 10) == 10
    for shades in seen:
        for number, cut in enumerate(slices(10, 3)):
            np.testing.assert_allclose(shades[cut], 100 * number, atol=1e-3)


def test_a_part_that_is_left_out_is_not_learnt_from_and_the_same_pictures_are_held_out() -> None:
    faces = stripes(600, 1).divided(lessons.DIVISION)
    whole, held_out = lessons.shares(faces, QUICK)
    learnt, held = zip(
        *(lessons.shares(faces, msgspec.structs.replace(QUICK, without=(n, 2))) for n in (1, 2)), strict=True
    )
    assert sum(map(len, learnt)) == len(whole)
    assert not learnt[0].twins_in(learnt[1]).any()
    for one in held:
        assert np.array_equal(one.pictures.prints[0], held_out.pictures.prints[0])


def test_a_student_does_not_hear_what_its_teachers_were_told(tmp_path: Path) -> None:
    # A quarter of the labels lie. Teachers of the other half cannot know which.
    data = stripes(1000, 5)
    lies = np.random.default_rng(1).random(1000) < 0.25
    lied = msgspec.structs.replace(data, labels=np.where(lies & (data.split == 0), (data.labels + 1) % 7, data.labels))
    recipe = with_phases(msgspec.structs.replace(QUICK, votes=0.0), Phase(epochs=12, rate=3e-3))
    for which in (1, 2):
        train(tmp_path / f"without{which}", msgspec.structs.replace(recipe, without=(which, 2)), lied)
    assert read_card(tmp_path / "without2").training.without == "2/2"
    taught = msgspec.structs.replace(recipe, distillation=Distillation(weight=1.0))
    finished, seen = train(tmp_path / "student", taught, lied, teachers=[tmp_path / "without2", tmp_path / "without1"])
    assert finished.card.accuracy["fer2013"] > 0.95
    rows = [at.row for at in seen if at.row]
    assert 0.7 < rows[-1]["accuracy"] < 0.85, "of what it was told, it knows what is true"
