"""How sure a model may sound is learnt from faces that it has not learnt from."""

import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from classifier.calibration import calibrate
from classifier.card import read_card, write_card
from classifier.datasets import Examples
from classifier.evaluation import measure
from classifier.learnt import learnt_by
from contracts.errors import InputError
from tests.classifier.making import QUICK, stripes, write_npz
from tests.classifier.test_training import train
from tests.pipeline.test_training_commands import run

pytestmark = pytest.mark.xdist_group("tensorflow")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Very sure of what it says."""
    folder = tmp_path_factory.mktemp("calibration") / "model"
    train(folder, QUICK, stripes(1000, 1))
    return with_temperatures(folder, 0.25)


def doubtful(count: int) -> Examples:
    """Faces of which three in ten are called something else: nobody is right about all of them."""
    sure, random = stripes(count, 2), np.random.default_rng(3)
    labels = np.where(random.random(count) < 0.3, random.integers(0, 7, count), sure.labels)
    return msgspec.structs.replace(sure, labels=labels, votes=np.eye(7, dtype=np.float32)[labels])


def with_temperatures(folder: Path, temperature: float) -> Path:
    card = read_card(folder)
    heads = {name: msgspec.structs.replace(head, temperature=temperature) for name, head in card.heads.items()}
    write_card(folder, msgspec.structs.replace(card, heads=heads))
    return folder


def test_it_is_not_fitted_to_what_it_has_learnt_from(model: Path, tmp_path: Path) -> None:
    own = stripes(1000, 1)
    known = own.split == 0
    with pytest.raises(InputError, match="pictures that the model has not learnt from, the split 'train' has"):
        calibrate(model, own, "train")
    both, alone = shutil.copytree(model, tmp_path / "both"), shutil.copytree(model, tmp_path / "alone")
    assert calibrate(both, own, "all")[1] == calibrate(alone, own.where(~learnt_by(model, own)), "all")[1]
    assert learnt_by(model, own).sum() > 0.8 * known.sum()


def test_a_model_that_is_too_sure_is_made_as_sure_as_it_is_right(model: Path) -> None:
    others = doubtful(1000)
    before, said = measure(model, others, "all")
    card, fits = calibrate(model, others, "all")
    assert read_card(model) == card
    assert set(fits) == {"fer2013", "ferplus"}
    for head, fit in fits.items():
        assert fit.temperature == (0.25, card.heads[head].temperature)
        assert card.heads[head].temperature > 0.25
        assert fit.cross_entropy[1] < fit.cross_entropy[0]
    after, says = measure(model, others, "all")
    assert after.ece < before.ece
    assert (said.probabilities.argmax(axis=1) == says.probabilities.argmax(axis=1)).all()
    again, _ = calibrate(model, others, "all")
    for head, now in again.heads.items():
        assert now.temperature == pytest.approx(card.heads[head].temperature, rel=1e-2)


def test_a_head_that_finds_no_target_stays_as_it_is(model: Path) -> None:
    unvoted = msgspec.structs.replace(doubtful(1000), votes=np.zeros((1000, 7), np.float32))
    before = read_card(model).heads["ferplus"]
    card, fits = calibrate(with_temperatures(model, before.temperature), unvoted, "all")
    assert set(fits) == {"fer2013"}
    assert card.heads["ferplus"] == before


def test_the_command_says_what_changed_and_too_few_pictures_in_one_line(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy: Any = shutil.copytree(model, tmp_path / "model")
    with pytest.raises(InputError, match=r"200 pictures .* not learnt from, the split 'public' has 20"):
        calibrate(copy, doubtful(100), "public")
    data = write_npz(tmp_path / "faces.npz", doubtful(1200))
    code, out, err = run(capsys, "calibrate", "--model", str(copy), "--data", str(data))
    assert code == 0, err
    assert f"{copy}, fer2013: temperature " in out
    assert err.splitlines() == [
        "affectstream: ferplus stays as it is, and is what is used where no head is named: it is fitted to FER+'s "
        "votes, of which faces.npz has none"
    ]
    code, _, err = run(capsys, "calibrate", "--model", str(copy), "--data", str(data), "--split", "private")
    assert code == 2
    assert err.count("\n") == 1
    assert "the split 'private' has 0" in err
