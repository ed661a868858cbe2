"""What goes wrong in a training is said in one line, and costs nothing that was learnt."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from classifier import datasets, evaluation, training
from classifier.card import read_card
from classifier.checkpoints import Checkpoints, Run, read_run
from classifier.engine import Engine
from classifier.finishing import untrained
from classifier.folders import bundled
from classifier.learnt import contents, learnt_by
from classifier.recipe import Distillation, Phase
from contracts.errors import InputError, ModelError
from tests.classifier.making import QUICK, stripes, with_phases, write_tree
from tests.classifier.test_training import Stopped, train

pytestmark = [pytest.mark.xdist_group("tensorflow"), pytest.mark.usefixtures("each_epoch_is_kept")]
BRIEF = with_phases(QUICK, Phase(epochs=2))


def test_faces_of_ones_own_are_learnt_from_where_the_default_model_stands(tmp_path: Path) -> None:
    """Their labels are called otherwise, and nobody voted: they go on from what the pipeline takes."""
    still = with_phases(
        msgspec.structs.replace(QUICK, architecture="fern", batch_size=16), Phase(epochs=1, optimizer="sgd", rate=1e-9)
    )
    seven = {"anger": 16, "disgust": 16, "fear": 16, "happy": 16, "sad": 16, "surprise": 16, "neutral": 16}
    tree = datasets.load(write_tree(tmp_path / "seven", seven))
    finished, _ = train(tmp_path / "mine", still, tree, start=bundled()["default"])
    assert list(finished.card.heads) == ["labels"]
    assert not finished.card.limits[0].startswith("Trained on 48x48 grey photographs")
    assert "FER2013" not in finished.card.accuracy_note
    crops = stripes(20, 3).pictures.read(np.arange(20), (48, 48))[..., None]
    theirs = Engine(bundled()["default"], head="ferplus").classify(crops)
    ours = Engine(tmp_path / "mine").classify(crops)
    # Temperatures differ, and statistics have been taken anew; what is likelier than what has not changed much.
    assert (ours.argmax(axis=1) == theirs.argmax(axis=1)).mean() > 0.6
    taught = msgspec.structs.replace(still, distillation=Distillation())
    train(tmp_path / "taught", taught, tree, teachers=[bundled()["default"]])


def test_steps_that_are_too_large_end_it_and_what_was_learnt_before_is_kept(tmp_path: Path) -> None:
    wild = with_phases(QUICK, Phase(epochs=2), Phase(epochs=3, optimizer="sgd", rate=1e30))
    with pytest.raises(InputError, match=r"the loss of epoch \d is (nan|inf): .* lower --rate.*--finish"):
        train(tmp_path / "wild", wild, stripes(230, 4))
    finished, _ = train(tmp_path / "wild", wild, stripes(230, 4), resume=True, end=True)
    assert finished.card.training.epochs == 2


def test_where_nothing_was_kept_nobody_is_sent_to_finish_it(tmp_path: Path) -> None:
    wild = with_phases(QUICK, Phase(epochs=1, optimizer="sgd", rate=1e30))
    with pytest.raises(InputError, match=r"the loss of epoch 1 is (nan|inf): .* lower --rate$"):
        train(tmp_path / "wild", wild, stripes(230, 4))


def test_without_held_out_pictures_it_is_stopped_and_resumed_as_well(tmp_path: Path) -> None:
    alone = msgspec.structs.replace(BRIEF, held_out=0.0)
    with pytest.raises(Stopped):
        train(tmp_path / "a", alone, stripes(230, 4), stop=8)
    (tmp_path / "a" / "learnt.npy").unlink()
    finished, _ = train(tmp_path / "a", alone, stripes(230, 4), resume=True)
    assert finished.card.training.epochs == 2
    assert learnt_by(tmp_path / "a", stripes(230, 4)).sum() == finished.card.training.images
    assert (tmp_path / "a" / "history.png").is_file()


def test_a_card_has_no_figure_where_nothing_could_be_measured(tmp_path: Path) -> None:
    data = stripes(230, 4)
    votes = np.where((data.split == 1)[:, None], np.float32(1 / 7), data.votes)  # of the tested ones every vote ties
    finished, _ = train(tmp_path / "a", BRIEF, msgspec.structs.replace(data, votes=votes))
    assert list(finished.card.accuracy) == ["fer2013"]
    assert read_card(tmp_path / "a") == finished.card


def test_data_with_nothing_to_test_on_is_refused_before_anything_is_learnt(tmp_path: Path) -> None:
    tree = datasets.load(write_tree(tmp_path / "tree", {"anger": 2, "happy": 2}))
    with pytest.raises(InputError, match="stripes has no picture to test on"):
        train(tmp_path / "a", BRIEF, tree)
    assert not (tmp_path / "a").exists()


def test_a_training_goes_on_with_the_data_that_it_began_with_alone(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        train(tmp_path / "a", BRIEF, stripes(230, 4), stop=8)
    run = read_run(tmp_path / "a")
    assert run.contents == contents(stripes(230, 4))
    with pytest.raises(InputError, match="other pictures or labels than this training began with"):
        training.train(stripes(230, 5), run, tmp_path / "a", lambda at: None, resume=True)


def test_more_teachers_than_pictures_in_a_batch_are_refused(tmp_path: Path) -> None:
    untrained("cnn2", tmp_path / "one")
    one = msgspec.structs.replace(BRIEF, batch_size=1, distillation=Distillation())
    with pytest.raises(InputError, match="2 teachers cannot share batches of 1 pictures"):
        train(tmp_path / "a", one, stripes(230, 4), teachers=[tmp_path / "one"] * 2)


@pytest.mark.parametrize("damage", ["missing.npz", "half.npz", "half.keras"])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, damage: str) -> None:
    with pytest.raises(Stopped):
        train(tmp_path / "a", BRIEF, stripes(230, 4), stop=8)
    how, suffix = damage.split(".")
    (file,) = (tmp_path / "a" / "checkpoint").glob(f"*.{suffix}")
    if how == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(InputError, match=rf"the checkpoint .*\.{suffix} is damaged"):
        train(tmp_path / "a", BRIEF, stripes(230, 4), resume=True)


def test_what_a_stop_left_beside_the_checkpoint_does_not_spoil_the_end(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        train(tmp_path / "a", BRIEF, stripes(230, 4), stop=8)
    folder = tmp_path / "a" / "checkpoint"
    (folder / "state.json.new").write_text("{")
    (folder / "mine.txt").write_text("mine")
    train(tmp_path / "a", BRIEF, stripes(230, 4), resume=True, end=True)
    assert [file.name for file in folder.iterdir()] == ["mine.txt"]
    assert not Checkpoints(tmp_path / "a")


def test_a_picture_that_disappears_meanwhile_is_named(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", {"anger": 60, "happy": 60})
    examples = datasets.load(tree)
    recipe = msgspec.structs.replace(with_phases(QUICK, Phase(epochs=3)), classes=("angry", "happy"))

    def vanish(at: Any) -> None:
        if at.row is not None:
            for path in tree.rglob("*.png"):
                path.unlink()

    with pytest.raises(InputError, match=r"\.png cannot be read") as raised:
        training.train(examples, Run(recipe=recipe, data="tree", command="-"), tmp_path / "a", vanish)
    assert "\n" not in str(raised.value)


def test_where_nothing_can_be_written_it_is_said_before_anything_is_learnt(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "deeper"):
        with pytest.raises(InputError, match="cannot be written to"):
            train(folder, BRIEF, stripes(230, 4))


def test_who_measures_a_model_on_what_it_was_made_of_is_told_what_it_has_learnt(tmp_path: Path) -> None:
    tree = datasets.load(write_tree(tmp_path / "tree", {"anger": 40, "happy": 40}))
    recipe = msgspec.structs.replace(BRIEF, classes=("angry", "happy"), held_out=0.1)
    finished, _ = train(tmp_path / "a", recipe, tree)
    known = learnt_by(tmp_path / "a", tree)
    assert known.sum() == finished.card.training.images < len(tree)
    assert not learnt_by(bundled()["default"], tree).any()
    measured, heard = evaluation.measure(tmp_path / "a", tree)
    right = heard.probabilities.argmax(axis=1) == heard.labels
    assert measured.accuracy_without_twins == pytest.approx(right[~known].mean())
    everything, _ = evaluation.measure(tmp_path / "a", tree.where(known))
    assert everything.accuracy_without_twins is None
    tested = msgspec.structs.replace(tree, split=np.ones(len(tree), np.int64))  # a tree of `test/` alone
    assert evaluation.measure(tmp_path / "a", tested)[0].accuracy_without_twins == measured.accuracy_without_twins
    other = datasets.load(write_tree(tmp_path / "other", {"anger": 40, "happy": 40}, seed=1))
    train(tmp_path / "b", recipe, other, start=tmp_path / "a")
    assert np.array_equal(learnt_by(tmp_path / "b", tree), known), "what its weights knew when it began"
    assert learnt_by(tmp_path / "b", other).any()
    (tmp_path / "a" / "learnt.npy").write_bytes(b"cut off")
    with pytest.raises(ModelError, match=r"learnt\.npy is damaged"):
        learnt_by(tmp_path / "a", tree)
