"""Training, measuring, and what the model that comes with the package is worth."""

from pathlib import Path

import numpy as np
import pytest

from classifier import datasets, evaluation, training
from classifier.card import file_sha256, read_card
from classifier.datasets import Examples
from classifier.folders import bundled
from contracts.errors import InputError

pytestmark = pytest.mark.xdist_group("tensorflow")


def stripes(count: int, seed: int) -> Examples:
    """Seven patterns that a network can tell apart, with noise; the last fifth is PublicTest."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 7, count)
    y, x = np.mgrid[:48, :48]
    waves = [np.sin((x * np.cos(a) + y * np.sin(a)) / 3) for a in np.linspace(0, np.pi, 7, endpoint=False)]
    images = np.stack([waves[label] for label in labels]) * 60 + 128 + random.normal(0, 10, (count, 48, 48))
    votes = np.eye(7, dtype=np.float32)[labels]
    split = (np.arange(count) >= count * 4 // 5).astype(np.int64)
    return Examples(images=images.clip(0, 255).astype(np.uint8), labels=labels, votes=votes, split=split)


def test_a_small_data_set_is_learnt(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    seen: list[training.Progress] = []
    recipe = training.Recipe(epochs=10, batch_size=64, rate=0.05, average=0.9, mixup=0.0)
    card = training.train(
        stripes(1400, 1), recipe, folder, crop=datasets.FRAMING, data="stripes", command="-", report=seen.append
    )
    assert card.accuracy["fer2013"] > 0.95
    assert card.accuracy["ferplus"] > 0.95
    assert [at.epoch for at in seen] == list(range(1, 11))
    assert read_card(folder) == card
    assert card.sha256 == file_sha256(folder / "model.keras")
    assert evaluation.measure(folder, stripes(1400, 1), "public")["accuracy"] == pytest.approx(
        card.accuracy["fer2013"], abs=0.01
    )


def test_the_default_model_reads_public_test_as_its_card_says(shared: Path) -> None:
    card = read_card(bundled()["default"])
    result = evaluation.measure(bundled()["default"], datasets.load(shared / "data" / "fer2013.npz"), "public")
    assert result["images"] == 3589
    assert result["accuracy"] == pytest.approx(card.accuracy["fer2013"], abs=0.002)
    assert result["accuracy_plus"] == pytest.approx(card.accuracy["ferplus"], abs=0.002)
    assert result["accuracy"] >= 0.66


def test_the_default_model_is_small_enough_to_live_in_the_repository() -> None:
    folder = bundled()["default"]
    assert sum(file.stat().st_size for file in folder.iterdir()) < 10_000_000


def test_blanks_and_twins_are_found() -> None:
    examples = stripes(50, 2)
    examples.images[7] = 13
    assert np.flatnonzero(examples.blank()).tolist() == [7]
    other = examples.where(np.arange(50) < 5)
    assert np.flatnonzero(examples.twins_in(other)).tolist() == [0, 1, 2, 3, 4]


def _save(path: Path, **arrays: object) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


GOOD = {"images": np.zeros((3, 48, 48), np.uint8), "labels": np.zeros(3), "split": np.zeros(3)}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"images": np.zeros((3, 32, 32), np.uint8)}, "expected uint8"),
        ({"images": np.zeros((3, 48, 48), np.float32)}, "expected uint8"),
        ({"labels": np.zeros(2)}, "differ in length"),
        ({"labels": np.array([0, 1, 7])}, "labels must lie between 0 and 6"),
    ],
)
def test_a_data_set_of_the_wrong_shape_is_refused(tmp_path: Path, change: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        datasets.load(_save(tmp_path / "data.npz", **{**GOOD, **change}))


def test_what_is_no_data_set_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "text.npz"
    text.write_text("hello")
    for path, said in [(text, "cannot be read"), (tmp_path / "no.npz", "no data set at"), (tmp_path / "a.txt", ".npz")]:
        with pytest.raises(InputError, match=said):
            datasets.load(path)
    with pytest.raises(InputError, match="is no FER2013 data set"):
        datasets.load(_save(tmp_path / "other.npz", x=np.zeros(3)))
    with pytest.raises(InputError, match="no image in the split 'private'"):
        evaluation.measure(bundled()["default"], datasets.load(_save(tmp_path / "good.npz", **GOOD)), "private")
