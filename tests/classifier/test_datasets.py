"""Data sets in every format that people have them in, and one clear line for whatever is wrong with one."""

from pathlib import Path

import numpy as np
import pytest

from classifier import datasets
from classifier.datasets.fer2013 import PLUS_FILE
from classifier.datasets.pictures import OnDisk
from classifier.datasets.report import examine
from contracts.emotions import EMOTIONS
from contracts.errors import InputError
from tests.classifier.making import stripes, write_csv, write_tree


def _save(path: Path, **arrays: object) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


GOOD = {"images": np.zeros((3, 48, 48), np.uint8), "labels": np.zeros(3), "split": np.zeros(3)}


def test_the_csv_of_the_competition_is_read_with_its_splits(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "fer2013.csv", [0, 3, 6, 4], ["Training", "Training", "PublicTest", "PrivateTest"])
    examples = datasets.load(path)
    assert examples.labels.tolist() == [0, 3, 6, 4]
    assert examples.split.tolist() == [0, 0, 1, 2]
    assert examples.head == "fer2013"
    assert not examples.voted


def test_the_votes_of_ferplus_beside_the_csv_are_used(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "fer2013.csv", [0, 3], ["Training", "PublicTest"])
    (tmp_path / PLUS_FILE).write_text(
        "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF\n"
        "Training,a.png,2,0,0,0,6,0,0,2,0,0\nPublicTest,b.png,0,10,0,0,0,0,0,0,0,0\n"
    )
    votes = datasets.load(path).votes
    np.testing.assert_allclose(votes[0], [0.75, 0, 0, 0, 0, 0, 0.25])
    np.testing.assert_allclose(votes[1], np.eye(7)[3])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("7x,0 0,Training", "line 3: emotion is '7x', expected 0 to 6"),
        ("9,0 0,Training", "line 3: emotion is '9'"),
        ("1,0 0 0,Training", r"line 3: 3 pixels, expected 2,304 \(48x48\)"),
        ("1," + " ".join(["x"] * 2304) + ",Training", "line 3: pixels holds something that is no number"),
        ("1," + " ".join(["256"] * 2304) + ",Training", "line 3: a pixel is 256"),
        ("1," + " ".join(["1"] * 2304) + ",Sunday", "line 3: Usage is 'Sunday'"),
        ("1", "line 3: 0 pixels"),
    ],
)
def test_a_damaged_line_of_a_csv_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = write_csv(tmp_path / "a.csv", [1], ["Training"])
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(InputError, match=said) as caught:
        datasets.load(path)
    assert "\n" not in str(caught.value)


def test_a_tree_is_read_however_its_folders_are_called(tmp_path: Path) -> None:
    tree = write_tree(
        tmp_path / "wrapped" / "again",
        {"train/anger": 2, "train/Happiness": 1, "test/sad": 1, "test/03_surprised": 2, "train/contempt": 4},
    )
    (tree / "train" / "anger" / "notes.txt").write_text("no picture")
    examples = datasets.load(tmp_path)
    names = [EMOTIONS[label] for label in examples.labels]
    assert sorted(zip(examples.split.tolist(), names, strict=True)) == [
        (0, "angry"), (0, "angry"), (0, "happy"), (1, "sad"), (1, "surprise"), (1, "surprise"),
    ]  # fmt: skip
    assert examples.notes == ("4 pictures of contempt are left out: it is none of the seven emotions",)
    assert isinstance(examples.pictures, OnDisk)


def test_beside_a_validation_folder_the_test_folder_is_private(tmp_path: Path) -> None:
    tree = write_tree(tmp_path, {"train/sad": 1, "validation/sad": 1, "test/sad": 1})
    assert sorted(datasets.load(tree).split.tolist()) == [0, 1, 2]


def test_pictures_of_another_size_are_brought_to_the_networks(tmp_path: Path) -> None:
    tree = write_tree(tmp_path, {"sad": 2, "happy": 1}, size=(490, 640))
    assert datasets.load(tree).pictures.read(np.array([2, 0]), (48, 48)).shape == (2, 48, 48)


@pytest.mark.parametrize(
    ("folders", "said"),
    [
        ({"happy": 1, "bored": 1}, "bored names no emotion"),
        ({"train/happy": 1, "test/happy": 0}, "test has no image"),
        ({"train/happy": 1, "extra/happy": 1}, "extra is neither a split nor a class"),
        ({"happy": 0, "sad": 0}, "has no image"),
        ({}, "has no image"),
    ],
)
def test_a_tree_that_cannot_be_meant_is_refused(tmp_path: Path, folders: dict[str, int], said: str) -> None:
    with pytest.raises(InputError, match=said):
        datasets.load(write_tree(tmp_path, folders))


def test_a_damaged_image_is_named(tmp_path: Path) -> None:
    tree = write_tree(tmp_path, {"happy": 2})
    (tree / "happy" / "001.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"001\.png cannot be read as an image"):
        examine(datasets.load(tree))


def test_the_report_counts_what_is_wrong() -> None:
    examples = stripes(50, 2)
    images, labels, split = examples.pictures.images, examples.labels, examples.split  # type: ignore[attr-defined]
    labels[:] = np.arange(50) % 7
    split[:] = np.arange(50) >= 40
    images[7] = 13  # blank
    images[1], labels[1] = images[0], labels[0]  # a copy within train …
    images[3], labels[3] = images[2], (labels[2] + 1) % 7  # … one with another label …
    images[41], labels[41] = images[0], labels[0]  # … and twins in public
    images[42], labels[42] = images[2], labels[2]
    found = examine(examples)
    assert found.blank == {"train": 1, "public": 0}
    assert found.copies == {"train": 2, "public": 0}
    assert found.shared == {"public in train": 2}
    assert found.conflicts == {"train": 2, "public": 0, "public in train": 1}
    assert sum(found.classes["train"].values()) == 40


def test_the_report_finds_the_known_defects_of_fer2013(shared: Path) -> None:
    found = examine(datasets.load(shared / "data" / "fer2013.npz"))
    assert found.shared == {"public in train": 280}
    assert found.conflicts["public in train"] == 13
    assert sum(found.blank.values()) == 12  # the thirteenth is in PrivateTest


def test_a_division_keeps_people_and_duplicates_together(tmp_path: Path) -> None:
    root = tmp_path / "ck"
    for subject in range(1, 31):
        for emotion in ("anger", "happy"):
            folder = write_tree(tmp_path / f"{subject}{emotion}", {"x": 3}, seed=subject) / "x"
            (root / emotion).mkdir(parents=True, exist_ok=True)
            for number, file in enumerate(sorted(folder.iterdir())):
                file.rename(root / emotion / f"S{subject:03}_00{emotion == 'happy':d}_{number:08}.png")
    examples = datasets.load(root)
    assert examples.groups is not None
    divided = examples.divided(seed=1)
    sides = [set(examples.groups[divided.split == split].tolist()) for split in range(3)]
    assert not sides[0] & sides[1] and not sides[0] & sides[2] and not sides[1] & sides[2]  # noqa: PT018
    assert [len(side) for side in sides] == [24, 3, 3]


def test_balanced_data_has_as_many_of_each_class() -> None:
    balanced = stripes(200, 3).balanced(seed=1)
    counts = np.bincount(balanced.labels)
    assert len(set(counts.tolist())) == 1


def test_blanks_and_twins_are_found() -> None:
    examples = stripes(50, 2)
    examples.pictures.images[7] = 13  # type: ignore[attr-defined]
    assert np.flatnonzero(examples.blank()).tolist() == [7]
    other = examples.where(np.arange(50) < 5)
    assert np.flatnonzero(examples.twins_in(other)).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"images": np.zeros((3, 32, 32), np.uint8)}, "expected uint8"),
        ({"images": np.zeros((3, 48, 48), np.float32)}, "expected uint8"),
        ({"labels": np.zeros(2)}, "differ in length"),
        ({"labels": np.array([0, 1, 7])}, "labels must lie between 0 and 6"),
        ({"split": np.array([0, 1, 5])}, "the values of split must be"),
    ],
)
def test_arrays_of_the_wrong_shape_are_refused(tmp_path: Path, change: dict[str, object], said: str) -> None:
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
    (tmp_path / "b.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="it has no column emotion, pixels"):
        datasets.load(tmp_path / "b.csv")
