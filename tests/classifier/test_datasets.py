"""Data sets in every format that people have them in, and one clear line for whatever is wrong with one."""

import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from classifier import datasets
from classifier.datasets import SPLITS, Examples
from classifier.datasets.pictures import OnDisk
from classifier.datasets.report import examine
from contracts.emotions import EMOTIONS
from contracts.errors import InputError
from tests.classifier.making import stripes, write_tree


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
    assert examples.notes == (
        "left out: 4 of contempt, which is none of the seven emotions",
        "left out: 1 whose names do not end as those of pictures do "
        "(.bmp, .jpeg, .jpg, .pgm, .png, .tif, .tiff, .webp)",
    )
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


def test_a_photograph_that_breaks_off_is_refused(tmp_path: Path) -> None:
    (tmp_path / "happy").mkdir()
    path = tmp_path / "happy" / "half.jpg"
    cv2.imwrite(str(path), np.random.default_rng(1).integers(0, 256, (60, 60), np.uint8))
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(InputError, match=r"half\.jpg cannot be read as an image"):
        examine(datasets.load(tmp_path))


def test_an_image_that_claims_to_be_huge_is_named(tmp_path: Path) -> None:
    tree = write_tree(tmp_path, {"happy": 1})
    path = tree / "happy" / "000.png"
    header = b"IHDR" + struct.pack(">II", 60000, 60000) + path.read_bytes()[24:29]
    path.write_bytes(path.read_bytes()[:12] + header + struct.pack(">I", zlib.crc32(header)) + path.read_bytes()[33:])
    with pytest.raises(InputError, match=r"000\.png cannot be read as an image"):
        examine(datasets.load(tree))


def test_an_image_may_have_any_name(tmp_path: Path) -> None:
    tree = write_tree(tmp_path, {"happy": 1})
    (tree / "happy" / "000.png").rename(tree / "happy" / os.fsdecode(b"\xff\xe9.png"))
    assert examine(datasets.load(tree)).images == 1


def test_what_cannot_be_read_is_not_called_damaged(tmp_path: Path) -> None:
    tree = write_tree(tmp_path, {"happy": 1})
    examples = datasets.load(tree)
    (tree / "happy" / "000.png").unlink()
    with pytest.raises(InputError, match=r"000\.png cannot be read: No such file or directory"):
        examine(examples)


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tree(tmp_path / "tree", {"happy": 1, "sad/closed": 1})
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)  # what leads here is closed to others
    for mode in (0o000, 0o444):
        Path("tree/sad/closed").chmod(mode)
        with _nobody(), pytest.raises(InputError, match=r"closed.* cannot be read: Permission denied"):
            datasets.load(Path("tree"))


@contextmanager
def _nobody() -> Iterator[None]:
    """Root may read whatever the permissions say."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_what_programs_keep_beside_pictures_is_not_learnt_from(tmp_path: Path) -> None:
    kept = ("happy/.thumbnails", "happy/deep/.ipynb_checkpoints/er", "sad/__MACOSX")
    tree = write_tree(tmp_path, {"happy": 2, "sad": 1, "happy/deep/er": 1, **dict.fromkeys(kept, 3)})
    (tree / "sad" / "._000.png").write_bytes(b"Mac OS X")
    examples = datasets.load(tree)
    assert len(examples) == 4
    assert not examples.notes


def test_a_picture_is_decoded_once_for_all_that_is_taken_of_it(tmp_path: Path) -> None:
    examples = datasets.load(write_tree(tmp_path, {"happy": 3}))
    fresh = datasets.load(tmp_path)
    digests, blank = examples.pictures.prints
    for path in (tmp_path / "happy").iterdir():
        path.write_bytes(b"damaged")
    for which in (np.array([2, 0]), np.array([True, False, True])):
        taken = examples.where(which)
        assert np.array_equal(taken.pictures.prints[0], digests[which])
        assert np.array_equal(taken.blank(), blank[which])
    assert len(fresh.where(np.array([2, 0]))) == 2  # without a look at them


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


def _splits(examples: Examples, *of: str) -> Examples:
    """The same in splits of these names, in turn."""
    split = np.resize([SPLITS[name] for name in of], len(examples))
    return msgspec.structs.replace(examples, split=split)


def test_private_pictures_stay_private_where_a_public_split_is_made() -> None:
    examples = _splits(stripes(700, 4), "train", "train", "train", "private")
    private, divided = examples.split == SPLITS["private"], examples.divided(seed=1)
    assert np.array_equal(divided.split == SPLITS["private"], private)
    for label in range(7):
        of_train = divided.split[~private & (examples.labels == label)]
        assert (of_train == SPLITS["public"]).sum() == round(len(of_train) / 10)


def test_a_public_split_without_a_picture_of_the_chosen_emotions_is_made_anew() -> None:
    examples = stripes(700, 4)
    split = np.resize([SPLITS["train"], SPLITS["train"], SPLITS["private"]], 700)
    split[examples.labels == EMOTIONS.index("sad")] = SPLITS["public"]
    examples = msgspec.structs.replace(examples, split=split).of_classes(("happy", "neutral"))
    divided = examples.divided(seed=1)
    assert (divided.split == SPLITS["public"]).any()
    assert np.array_equal(divided.split == SPLITS["private"], examples.split == SPLITS["private"])


def test_data_is_divided_as_it_ever_was() -> None:
    examples = msgspec.structs.replace(stripes(400, 4), groups=np.arange(400))
    assert examples.divided(seed=1) is examples  # it has a public split
    split = _splits(examples, "train").divided(seed=1).split
    assert [np.flatnonzero(split == number)[:6].tolist() for number in (1, 2)] == [
        [1, 8, 24, 29, 36, 59],
        [49, 56, 58, 74, 87, 89],
    ]


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


def test_what_is_no_data_set_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "text.npz"
    text.write_text("hello")
    for path, said in [(text, "cannot be read"), (tmp_path / "no.npz", "no data set at"), (tmp_path / "a.txt", ".npz")]:
        with pytest.raises(InputError, match=said):
            datasets.load(path)
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(InputError, match="is no FER2013 data set: it has no array images, labels, split"):
        datasets.load(tmp_path / "other.npz")
    (tmp_path / "b.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="it has no column emotion, pixels"):
        datasets.load(tmp_path / "b.csv")
