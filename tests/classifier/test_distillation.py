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


def answers(teacher: Any, pictures: Any, temperature: float = 1.0) -> Any:
    """What it says of the pictures and of their mirror images, on the average."""
    seen = (pictures, pictures[:, :, ::-1])
    return np.mean([softmax(np.asarray(teacher(one)["labels"]) / temperature, axis=1) for one in seen], axis=0)


def loss(student: Any, pictures: Any) -> float:
    targets = {head: np.zeros((len(pictures), 7), np.float32) for head in student.output}
    student.compile(loss={head: keras.losses.CategoricalCrossentropy(from_logits=True) for head in targets})
    return float(student.compute_loss(pictures, targets, student(pictures)))


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_the_mean_of_the_teachers_answers_to_a_picture_and_its_mirror_image_is_the_target(temperature: float) -> None:
    pictures = np.random.default_rng(1).normal(size=(5, 4, 4, 1)).astype(np.float32)
    pupil, teachers = network("labels", seed=1), [network("labels", seed=seed) for seed in (2, 3)]
    student = Student(pupil, teachers, Distillation(weight=1.0, temperature=temperature))
    target = np.mean([answers(teacher, pictures, temperature) for teacher in teachers], axis=0)
    own = log_softmax(np.asarray(pupil(pictures)["labels"]) / temperature, axis=1)
    wanted = -(target * own).sum(axis=1).mean() * temperature**2
    assert loss(student, pictures) == pytest.approx(wanted, rel=1e-5)


def test_a_teacher_that_answers_both_alike_is_asked_once() -> None:
    asked: list[int] = []

    class Counting(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
        def call(self, pictures: Any) -> Any:
            asked.append(int(pictures.shape[0] or 0))
            return pictures

    def teacher(*, alike: bool) -> Any:
        pictures = keras.Input((4, 4, 1))
        seen = Counting()(pictures)
        places = keras.layers.GlobalAveragePooling2D()(seen) if alike else keras.layers.Flatten()(seen)
        return keras.Model(pictures, {"labels": keras.layers.Dense(7, name="labels")(places)})

    pictures = np.random.default_rng(1).normal(size=(5, 4, 4, 1)).astype(np.float32)
    pupil, how = network("labels", seed=1), Distillation(weight=1.0, temperature=1.0)
    for alike, looks in ((True, 1), (False, 2)):
        one = teacher(alike=alike)
        student = Student(pupil, [one], how)
        asked.clear()
        own = log_softmax(np.asarray(pupil(pictures)["labels"]), axis=1)
        assert loss(student, pictures) == pytest.approx(-(answers(one, pictures) * own).sum(axis=1).mean(), rel=1e-5)
        assert asked[0] == 5 * looks


def test_a_teacher_teaches_the_heads_that_it_has() -> None:
    pictures = np.random.default_rng(1).normal(size=(5, 4, 4, 1)).astype(np.float32)
    pupil = network("labels", "votes", seed=1)
    both, one = network("labels", "votes", seed=2), network("labels", seed=3)
    how = Distillation(weight=1.0, temperature=1.0)
    of_both, of_one = (loss(Student(pupil, teachers, how), pictures) for teachers in ([both, one], [both]))
    labels = [answers(teacher, pictures) for teacher in (both, one)]
    own = log_softmax(np.asarray(pupil(pictures)["labels"]), axis=1)
    difference = -((np.mean(labels, axis=0) - labels[0]) * own).sum(axis=1).mean()
    assert of_both - of_one == pytest.approx(difference, abs=1e-5)


def test_teachers_do_not_learn() -> None:
    pictures = np.random.default_rng(1).normal(size=(8, 4, 4, 1)).astype(np.float32)
    teacher, pupil = network("labels", seed=2), network("labels", seed=1)
    student = Student(pupil, [teacher], Distillation())
    before, begun = teacher.get_weights(), pupil.get_weights()
    student.compile(optimizer="sgd", loss={"labels": keras.losses.CategoricalCrossentropy(from_logits=True)})
    student.fit(pictures, {"labels": np.eye(7, dtype=np.float32)[[0] * 8]}, verbose=0)
    assert all(np.array_equal(old, new) for old, new in zip(before, teacher.get_weights(), strict=True))
    assert not all(np.array_equal(old, new) for old, new in zip(begun, pupil.get_weights(), strict=True))
