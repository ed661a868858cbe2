"""Training, stopping and going on, measuring, and what the model that comes with the package is worth."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import msgspec
import numpy as np
import pytest

from classifier import batches as batching
from classifier import datasets, evaluation, lessons, training
from classifier.architectures import architecture
from classifier.card import WEIGHTS_FILE, file_sha256, read_card
from classifier.checkpoints import Run, read_run
from classifier.datasets import Examples
from classifier.finishing import Finished, untrained
from classifier.folders import bundled
from classifier.learnt import learnt_by
from classifier.recipe import Distillation, Phase, Recipe, Watching
from contracts.emotions import EMOTIONS
from contracts.errors import InputError
from tests.classifier.making import QUICK, stripes, with_phases, write_tree

pytestmark = [pytest.mark.xdist_group("tensorflow"), pytest.mark.usefixtures("each_epoch_is_kept")]


class Stopped(Exception):  # noqa: N818
    """Somebody pressed Ctrl-C."""


def train(
    folder: Path,
    recipe: Recipe,
    examples: Examples,
    *,
    stop: int = 0,
    resume: bool = False,
    end: bool = False,
    teachers: Sequence[Path] = (),
    start: Path | None = None,
) -> tuple[Finished, list[training.Progress]]:
    """Trains, and stops after so many steps."""
    seen: list[training.Progress] = []

    def report(at: training.Progress) -> None:
        seen.append(at)
        if at.step == stop:
            raise Stopped

    taught, started = tuple(map(str, teachers)), str(start) if start else None
    run = Run(recipe=recipe, data="stripes", command="-", teachers=taught, start=started)
    return training.train(examples, run, folder, report, resume=resume, end=end), seen


def weights(folder: Path) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    return list(keras.models.load_model(folder / WEIGHTS_FILE, compile=False).get_weights())


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Finished, list[training.Progress]]:
    folder = tmp_path_factory.mktemp("learnt") / "small"
    return folder, *train(folder, QUICK, stripes(1000, 1))


def test_a_small_data_set_is_learnt(learnt: tuple[Path, Finished, list[training.Progress]]) -> None:
    folder, finished, seen = learnt
    assert finished.card.accuracy["fer2013"] > 0.95
    assert finished.card.accuracy["ferplus"] > 0.95
    assert [at.row["epoch"] for at in seen if at.row] == list(range(1, 9))
    assert seen[-1].step == seen[-1].steps
    assert read_card(folder) == finished.card
    assert finished.card.sha256 == file_sha256(folder / WEIGHTS_FILE)


def test_a_run_leaves_everything_in_its_folder(learnt: tuple[Path, Finished, list[training.Progress]]) -> None:
    folder = learnt[0]
    names = {file.name for file in folder.iterdir()}
    assert {"model.keras", "model.json", "run.json", "history.csv", "evaluation.json"} <= names
    assert {"history.png", "confusion.png", "classes.png", "calibration.png"} <= names
    assert "checkpoint" not in names
    assert read_run(folder).recipe == QUICK
    assert len((folder / "history.csv").read_text().splitlines()) == 9


def test_the_engine_measures_what_the_card_says(learnt: tuple[Path, Finished, list[training.Progress]]) -> None:
    folder, finished, _ = learnt
    measured, answers = evaluation.measure(folder, stripes(1000, 1), "public", robustness=True)
    assert measured.accuracy == pytest.approx(finished.card.accuracy["fer2013"], abs=0.006)
    assert measured.accuracy_plus == pytest.approx(finished.card.accuracy["ferplus"], abs=0.006)
    assert len(answers.labels) == measured.images == 200
    assert set(measured.robustness) >= {"dark", "bright", "low_contrast", "blur", "noise", "jpeg", "small_24"}
    assert list(json.loads(msgspec.json.encode(measured))) == [
        "images", "accuracy", "accuracy_without_twins", "accuracy_plus", "macro_f1", "ece", "per_class", "confusion",
        "robustness",
    ]  # fmt: skip


PHASES = (
    Phase(epochs=2, rate=1e-3, averaged=0.5),
    Phase(epochs=2, optimizer="sgd", rate=0.05, schedule="cosine", warmup_epochs=1, averaged=0.5),
)
HALTING = [
    (with_phases(msgspec.structs.replace(QUICK, mixup=0.2), *PHASES), (6, 10, 17)),
    (
        with_phases(
            msgspec.structs.replace(QUICK, watching=Watching(reduce_after=1, factor=0.5, stop_after=2, keep_best=True)),
            Phase(epochs=4, optimizer="nadam"),
        ),
        (11,),
    ),
    (
        with_phases(
            msgspec.structs.replace(QUICK, architecture="fern", mirrored=True),
            Phase(epochs=2, optimizer="sgd", rate=0.02),
        ),
        (7,),
    ),
]


@pytest.mark.parametrize(
    ("recipe", "stops"), HALTING, ids=["averaged, in two phases", "watched, the best kept", "mirrored"]
)
def test_a_training_that_was_stopped_ends_with_the_same_weights(
    tmp_path: Path, recipe: Recipe, stops: tuple[int, ...]
) -> None:
    data = stripes(230, 4)  # five steps an epoch
    train(tmp_path / "whole", recipe, data)
    with pytest.raises(Stopped):
        train(tmp_path / "halting", recipe, data, stop=stops[0])
    for stop in stops[1:]:
        with pytest.raises(Stopped):
            train(tmp_path / "halting", recipe, data, stop=stop, resume=True)
    train(tmp_path / "halting", recipe, data, resume=True)
    for ours, theirs in zip(weights(tmp_path / "whole"), weights(tmp_path / "halting"), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_a_training_that_is_ended_is_what_it_had_learnt_by_then(tmp_path: Path) -> None:
    data, phase = stripes(230, 4), Phase(epochs=5, optimizer="sgd", rate=0.05)  # five steps an epoch
    train(tmp_path / "short", with_phases(QUICK, msgspec.structs.replace(phase, epochs=2)), data)
    with pytest.raises(Stopped):
        train(tmp_path / "ended", with_phases(QUICK, phase, phase), data, stop=13)
    finished, seen = train(tmp_path / "ended", with_phases(QUICK, phase, phase), data, resume=True, end=True)
    assert not seen
    assert finished.card.training.epochs == 2
    assert finished.card.training.command == "-, ended after 2 epochs"
    for ours, theirs in zip(weights(tmp_path / "short"), weights(tmp_path / "ended"), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    with pytest.raises(InputError, match="its training is finished"):
        train(tmp_path / "ended", with_phases(QUICK, phase, phase), data, resume=True, end=True)


def test_an_ended_training_keeps_its_best_epoch_where_the_recipe_does(tmp_path: Path) -> None:
    # The rate rises a hundredfold: what is learnt at first is soon lost.
    rising = Phase(epochs=9, optimizer="sgd", rate=10.0, schedule="cosine", warmup_epochs=4)
    data, recipe = stripes(400, 4), with_phases(QUICK, rising)
    recipe = msgspec.structs.replace(recipe, watching=Watching(keep_best=True), held_out=0.3)
    with pytest.raises(Stopped):
        train(tmp_path / "ended", recipe, data, stop=27)
    rows = (tmp_path / "ended" / "history.csv").read_text().splitlines()
    place = rows[0].split(",").index("held_out_accuracy")
    accuracies = [float(row.split(",")[place]) for row in rows[1:]]
    best = accuracies.index(max(accuracies)) + 1
    assert best < len(accuracies)
    kept = keras.models.load_model(tmp_path / "ended" / "checkpoint" / f"epoch-{best:04}.keras", compile=False)
    expected = kept.get_weights()
    train(tmp_path / "ended", recipe, data, resume=True, end=True)
    for ours, theirs in zip(expected, weights(tmp_path / "ended"), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-6)  # files are in 16 bits


def test_weights_are_averaged_over_the_same_share_of_a_short_training_and_of_a_long_one() -> None:
    network = architecture("cnn2").build({"fer2013": 7})
    for epochs, steps in ((2, 50), (10, 100), (130, 215)):
        phase = Phase(epochs=epochs, averaged=0.1)
        optimizer = training.compiled(network, phase, QUICK, {"fer2013": 7}, steps=steps).optimizer
        assert 1 / (1 - optimizer.ema_momentum) == pytest.approx(0.1 * epochs * steps)
    never = training.compiled(network, Phase(epochs=2), QUICK, {"fer2013": 7}, steps=50).optimizer
    assert not never.use_ema


def test_averaged_weights_have_statistics_of_their_own(tmp_path: Path) -> None:
    # At a high rate the weights on the way are far from their mean, and so is what they make of the pictures.
    recipe = with_phases(
        msgspec.structs.replace(QUICK, architecture="fern", mirrored=True),
        Phase(epochs=3, optimizer="sgd", rate=0.2, averaged=0.9),
    )
    train(tmp_path / "model", recipe, stripes(600, 1))
    network = keras.models.load_model(tmp_path / "model" / WEIGHTS_FILE, compile=False)
    first = next(layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization))
    faces, _ = lessons.shares(stripes(600, 1).divided(lessons.DIVISION), recipe)
    seen = batching.batches(faces, recipe, {"fer2013": 7}, size=(48, 48), channels=1, first=3, last=9)
    reading = keras.Model(network.input, first.input)
    values = np.concatenate([np.asarray(reading(pictures)) for pictures, *_ in seen])
    np.testing.assert_allclose(first.moving_mean, values.mean(axis=(0, 1, 2)), atol=0.02)
    # In 16 bits, where those are faster, small ones are rounded.
    np.testing.assert_allclose(first.moving_variance, values.var(axis=(0, 1, 2)), rtol=0.1, atol=0.02)


def test_an_unfinished_training_is_not_overwritten_and_a_finished_one_not_resumed(
    tmp_path: Path, learnt: tuple[Path, Finished, list[training.Progress]]
) -> None:
    recipe = with_phases(QUICK, Phase(epochs=2))
    with pytest.raises(Stopped):
        train(tmp_path / "a", recipe, stripes(230, 4), stop=6)
    with pytest.raises(InputError, match="holds an unfinished training: go on with --resume"):
        train(tmp_path / "a", recipe, stripes(230, 4))
    with pytest.raises(InputError, match="its training is finished"):
        train(learnt[0], recipe, stripes(230, 4), resume=True)
    with pytest.raises(InputError, match="holds a finished model"):
        train(learnt[0], recipe, stripes(230, 4))
    with pytest.raises(InputError, match="usable training images, fewer than one batch"):
        train(tmp_path / "b", recipe, stripes(30, 4))


def test_a_student_learns_from_its_teacher_alone(
    tmp_path: Path, learnt: tuple[Path, Finished, list[training.Progress]]
) -> None:
    data = stripes(1000, 5)
    random = np.random.default_rng(0).permutation(data.labels)
    misled = msgspec.structs.replace(data, labels=np.where(data.split == 0, random, data.labels))
    recipe = msgspec.structs.replace(QUICK, votes=0.0, distillation=Distillation(weight=1.0))
    finished, _ = train(tmp_path / "student", recipe, misled, teachers=[learnt[0]])
    assert finished.card.accuracy["fer2013"] > 0.95


def test_a_teacher_of_other_crops_or_classes_is_refused(
    tmp_path: Path, learnt: tuple[Path, Finished, list[training.Progress]]
) -> None:
    recipe = msgspec.structs.replace(QUICK, distillation=Distillation())
    with pytest.raises(InputError, match="takes crops of 48x48, the student of 32x32"):
        train(tmp_path / "a", recipe, stripes(300, 1), teachers=[bundled()["default"]])
    few = msgspec.structs.replace(recipe, classes=("happy", "sad"))
    with pytest.raises(InputError, match="knows other classes than happy, sad"):
        train(tmp_path / "b", few, stripes(600, 1), teachers=[learnt[0]])


def test_a_training_may_begin_where_another_ended(
    tmp_path: Path, learnt: tuple[Path, Finished, list[training.Progress]]
) -> None:
    still = with_phases(QUICK, Phase(epochs=1, optimizer="sgd", rate=1e-9))
    fresh, _ = train(tmp_path / "fresh", still, stripes(1000, 1))
    going_on, _ = train(tmp_path / "on", still, stripes(1000, 1), start=learnt[0])
    assert fresh.card.accuracy["fer2013"] < 0.6
    assert going_on.card.accuracy["fer2013"] > 0.95
    half = msgspec.structs.replace(QUICK, blend=0.5)
    train(tmp_path / "half", half, stripes(1000, 2), start=learnt[0])
    train(tmp_path / "whole", QUICK, stripes(1000, 2), start=learnt[0])
    for begun, blended, ended in zip(*map(weights, (learnt[0], tmp_path / "half", tmp_path / "whole")), strict=True):
        np.testing.assert_allclose(blended, (begun + ended) / 2, atol=2e-3)
    with pytest.raises(InputError, match="is a fern, to be trained is a cnn2"):
        train(tmp_path / "a", still, stripes(600, 1), start=bundled()["default"])
    untrained("fern", tmp_path / "older", halving=3)
    newer = msgspec.structs.replace(still, architecture="fern", votes=0.0)
    nameless = msgspec.structs.replace(stripes(600, 1), head="labels")
    with pytest.raises(InputError, match="older is a fern of other layers than are built now"):
        train(tmp_path / "c", newer, nameless, start=tmp_path / "older")
    few = msgspec.structs.replace(still, classes=("happy", "sad"))
    with pytest.raises(InputError, match="answers other things"):
        train(tmp_path / "b", few, stripes(600, 1), start=learnt[0])
    assert keras.config.dtype_policy().name == "float32", "what is made after a training computes as before"


def test_the_same_pictures_are_held_out_whatever_is_left_to_chance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Or a training that begins where one with another seed ended would be measured by pictures that it knows.
    tree = datasets.load(write_tree(tmp_path / "tree", {"anger": 60, "happy": 60}))
    learnt_from = []
    batches = batching.batches

    def watched(examples: Examples, *arguments: Any, **names: Any) -> Any:
        learnt_from.append(examples.pictures.read(np.arange(len(examples)), (8, 8)))
        return batches(examples, *arguments, **names)

    monkeypatch.setattr(training, "batches", watched)
    for seed in (1, 2):
        recipe = with_phases(msgspec.structs.replace(QUICK, seed=seed, classes=("angry", "happy")), Phase(epochs=1))
        train(tmp_path / f"seed{seed}", recipe, tree)
    first, second = learnt_from
    assert len(first) < 96  # some are held out, some are tested on
    assert np.array_equal(first, second)


def test_pictures_that_only_watch_have_no_copy_among_those_that_are_learnt_from() -> None:
    data = stripes(500, 3)
    first = lessons.lessons_of(data, QUICK, "data")
    twice = lessons.lessons_of(data.where(np.sort(np.tile(np.arange(500), 2))), QUICK, "data")
    assert len(twice.held_out) > len(first.held_out)
    assert not twice.training.twins_in(twice.held_out).any()


def test_balanced_pictures_are_held_out_whatever_the_seed_as_well() -> None:
    # Or a training that begins where one with another seed ended would be measured by pictures that it knows.
    data = stripes(700, 3)
    data = msgspec.structs.replace(data, labels=np.where(data.labels == 1, 0, data.labels))
    recipes = [msgspec.structs.replace(QUICK, balanced=True, seed=seed) for seed in (1, 2)]
    first, second = (lessons.lessons_of(data, recipe, "data") for recipe in recipes)
    assert len(second.held_out)
    assert not second.held_out.twins_in(first.training).any()


def test_a_model_of_few_classes_says_so_and_is_measured_on_those(tmp_path: Path) -> None:
    recipe = msgspec.structs.replace(QUICK, classes=("happy", "sad", "neutral"), votes=0.0, batch_size=16)
    finished, _ = train(tmp_path / "three", recipe, stripes(800, 6))
    assert finished.card.heads["fer2013"].classes == ("happy", "sad", "neutral")
    assert "It knows 3 emotions" in finished.card.accuracy_note
    measured, _ = evaluation.measure(tmp_path / "three", stripes(800, 6))
    assert list(measured.per_class) == ["happy", "sad", "neutral"]
    assert measured.accuracy > 0.9
    assert measured.images == int(np.isin(stripes(800, 6).labels[640:], [3, 4, 6]).sum())


def test_a_model_is_measured_among_fewer_emotions_than_it_knows() -> None:
    model, faces = bundled()["default"], stripes(60, 6)
    among = ("happy", "sad", "neutral")
    measured, heard = evaluation.measure(model, faces, "all", among=among)
    _, everything = evaluation.measure(model, faces.of_classes(among), "all")
    assert list(measured.per_class) == list(among)
    assert measured.images == np.isin(faces.labels, [EMOTIONS.index(name) for name in among]).sum() < len(faces)
    some = everything.probabilities[:, [everything.classes.index(name) for name in among]]
    assert heard.probabilities == pytest.approx(some / some.sum(axis=1, keepdims=True), abs=1e-5)


def test_an_emotion_that_a_model_lacks_is_named(tmp_path: Path) -> None:
    recipe = msgspec.structs.replace(QUICK, classes=("happy", "sad"), votes=0.0, batch_size=16)
    train(tmp_path / "two", with_phases(recipe, Phase(epochs=1)), stripes(200, 6))
    with pytest.raises(InputError, match="does not know neutral: it knows happy, sad"):
        evaluation.measure(tmp_path / "two", stripes(20, 1), "all", among=("happy", "neutral"))


def test_a_tree_without_splits_is_divided_and_learnt_from(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", {"anger": 40, "happy": 40}, size=(60, 80))
    recipe = msgspec.structs.replace(with_phases(QUICK, Phase(epochs=1)), classes=("angry", "happy"), held_out=0.1)
    finished, _ = train(tmp_path / "model", recipe, datasets.load(tree))
    assert finished.measured.images == 8
    assert list(finished.card.heads) == ["labels"]


def test_the_default_model_reads_public_test_as_its_card_says(shared: Path) -> None:
    card = read_card(bundled()["default"])
    result, _ = evaluation.measure(bundled()["default"], datasets.load(shared / "data" / "fer2013.npz"), "public")
    assert result.images == 3589
    assert result.accuracy == pytest.approx(card.accuracy["fer2013"], abs=0.002)
    assert result.accuracy_plus == pytest.approx(card.accuracy["ferplus"], abs=0.002)
    assert result.accuracy >= 0.70
    assert (result.accuracy_plus or 0) >= 0.80


def test_who_measures_the_default_model_on_what_it_was_made_of_is_told(shared: Path) -> None:
    folder, data = bundled()["default"], datasets.load(shared / "data" / "fer2013.npz")
    assert learnt_by(folder, data.of("train")).sum() >= read_card(folder).training.images > 27_000
    assert not learnt_by(folder, data.of("public")).any()


def test_the_default_model_is_small_enough_to_live_in_the_repository() -> None:
    folder = bundled()["default"]
    assert sum(file.stat().st_size for file in folder.iterdir()) < 10_000_000


def test_a_split_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match="no image in the split 'private'"):
        evaluation.measure(bundled()["default"], stripes(20, 1), "private")
    with pytest.raises(InputError, match="no split 'holiday'"):
        evaluation.measure(bundled()["default"], stripes(20, 1), "holiday")
