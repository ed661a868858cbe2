"""What a student is asked to learn from its teachers."""

from typing import Any

import keras
import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from classifier.distillation import Student
from classifier.recipe import Distillation


def network(*heads: str, seed: int) -> Any:
    keras.utils.set_random_seed(seed)
    pictures = keras.Input((4, 4, 1))
    flat = keras.layers.Flatten()(pictures)
    return keras.Model(pictures, {head: keras.layers.Dense(7, name=head)(flat) for head in heads})


def answers(teacher: Any, pictures: Any, temperature: float = 1.0, head: str = "labels") -> Any:
    """What it says of the pictures and of their mirror images, on the average."""
    seen = (pictures, pictures[:, :, ::-1])
    return np.mean([softmax(np.asarray(teacher(one)[head]) / temperature, axis=1) for one in seen], axis=0)


def loss(student: Any, pictures: Any) -> float:
    targets = {head: np.zeros((len(pictures), 7), np.float32) for head in student.output}
    student.compile(loss={head: keras.losses.CategoricalCrossentropy(from_logits=True) for head in targets})
    return float(student.compute_loss(pictures, targets, student(pictures)))


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_each_picture_has_a_teacher_whose_answers_to_it_and_its_mirror_image_are_the_target(temperature: float) -> None:
    pictures = np.random.default_rng(1).normal(size=(5, 4, 4, 1)).astype(np.float32)
    pupil, teachers = network("labels", seed=1), [network("labels", seed=seed) for seed in (2, 3)]
    student = Student(pupil, teachers, Distillation(weight=1.0, temperature=temperature))
    halves = zip(teachers, (pictures[:2], pictures[2:]), strict=True)
    target = np.concatenate([answers(teacher, half, temperature) for teacher, half in halves])
    own = log_softmax(np.asarray(pupil(pictures)["labels"]) / temperature, axis=1)
    wanted = -(target * own).sum(axis=1).mean() * temperature**2
    assert loss(student, pictures) == pytest.approx(wanted, rel=1e-5)


def test_one_look_is_enough_where_teacher_or_student_answers_both_alike() -> None:
    asked: list[int] = []

    class Counting(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
        def call(self, pictures: Any) -> Any:
            asked.append(int(pictures.shape[0] or 0))
            return pictures

    def counted(*, alike: bool) -> Any:
        pictures = keras.Input((4, 4, 1))
        seen = Counting()(pictures)
        places = keras.layers.GlobalAveragePooling2D()(seen) if alike else keras.layers.Flatten()(seen)
        return keras.Model(pictures, {"labels": keras.layers.Dense(7, name="labels")(places)})

    pictures = np.random.default_rng(1).normal(size=(5, 4, 4, 1)).astype(np.float32)
    how = Distillation(weight=1.0, temperature=1.0)
    for alike, pupil_alike, looks in ((True, False, 1), (False, True, 1), (False, False, 2)):
        teacher, pupil = counted(alike=alike), counted(alike=pupil_alike)
        student = Student(pupil, [teacher], how)
        own = log_softmax(np.asarray(pupil(pictures)["labels"]), axis=1)
        one = softmax(np.asarray(teacher(pictures)["labels"]), axis=1)
        target = one if looks == 1 else answers(teacher, pictures)
        outputs = student(pictures)
        asked.clear()
        targets = {"labels": np.zeros((5, 7), np.float32)}
        student.compile(loss={"labels": keras.losses.CategoricalCrossentropy(from_logits=True)})
        assert float(student.compute_loss(pictures, targets, outputs)) == pytest.approx(
            -(target * own).sum(axis=1).mean(), rel=1e-5
        )
        assert asked == [5 * looks]


def test_a_teacher_teaches_the_heads_that_it_has_each_by_its_weight() -> None:
    pictures = np.random.default_rng(1).normal(size=(5, 4, 4, 1)).astype(np.float32)
    pupil = network("labels", "votes", seed=1)
    both, one = network("labels", "votes", seed=2), network("labels", seed=3)
    student = Student(pupil, [both, one], Distillation(weight=1.0, temperature=1.0), {"labels": 1.0, "votes": 2.0})
    own = {head: log_softmax(np.asarray(logits), axis=1) for head, logits in pupil(pictures).items()}
    labels = np.concatenate([answers(both, pictures[:2]), answers(one, pictures[2:])])
    votes = answers(both, pictures[:2], head="votes")
    wanted = -(labels * own["labels"]).sum(axis=1).mean() - 2 * (votes * own["votes"][:2]).sum(axis=1).mean()
    assert loss(student, pictures) == pytest.approx(wanted, rel=1e-5)


def test_teachers_do_not_learn() -> None:
    pictures = np.random.default_rng(1).normal(size=(8, 4, 4, 1)).astype(np.float32)
    teacher, pupil = network("labels", seed=2), network("labels", seed=1)
    student = Student(pupil, [teacher], Distillation())
    before, begun = teacher.get_weights(), pupil.get_weights()
    student.compile(optimizer="sgd", loss={"labels": keras.losses.CategoricalCrossentropy(from_logits=True)})
    student.fit(pictures, {"labels": np.eye(7, dtype=np.float32)[[0] * 8]}, verbose=0)
    assert all(np.array_equal(old, new) for old, new in zip(before, teacher.get_weights(), strict=True))
    assert not all(np.array_equal(old, new) for old, new in zip(begun, pupil.get_weights(), strict=True))
