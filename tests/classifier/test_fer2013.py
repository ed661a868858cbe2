"""FER2013 as one file, and one clear line for whatever is wrong with it or with FER+'s votes beside it."""

from pathlib import Path

import numpy as np
import pytest

from classifier import datasets
from classifier.datasets.fer2013 import PLUS_FILE
from contracts.errors import InputError
from tests.classifier.making import write_csv


def _save(path: Path, **arrays: object) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


GOOD = {"images": np.zeros((3, 48, 48), np.uint8), "labels": np.zeros(3), "split": np.zeros(3)}
PLUS_HEADER = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF\n"
PLUS_ROWS = "Training,a.png,2,0,0,0,6,0,0,2,0,0\nPublicTest,b.png,0,10,0,0,0,0,0,0,0,0\n"


def test_the_csv_of_the_competition_is_read_with_its_splits(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "fer2013.csv", [0, 3, 6, 4], ["Training", "Training", "PublicTest", "PrivateTest"])
    examples = datasets.load(path)
    assert examples.labels.tolist() == [0, 3, 6, 4]
    assert examples.split.tolist() == [0, 0, 1, 2]
    assert examples.head == "fer2013"
    assert not examples.voted


def test_the_votes_of_ferplus_beside_the_csv_are_used(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "fer2013.csv", [0, 3], ["Training", "PublicTest"])
    for rows in (PLUS_ROWS, PLUS_ROWS.replace("a.png", '"a, again.png"')):
        (tmp_path / PLUS_FILE).write_text(PLUS_HEADER + rows)
        votes = datasets.load(path).votes
        np.testing.assert_allclose(votes[0], [0.75, 0, 0, 0, 0, 0, 0.25])
        np.testing.assert_allclose(votes[1], np.eye(7)[3])


def test_votes_stay_with_their_pictures_where_contempt_is_left_out(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "fer2013.csv", [0, 3], ["Training", "PublicTest"])
    header, first, second = path.read_text().splitlines()
    path.write_text("\n".join([header, "7" + first[1:], second]))
    (tmp_path / PLUS_FILE).write_text(PLUS_HEADER + PLUS_ROWS)
    np.testing.assert_allclose(datasets.load(path).votes, [np.eye(7)[3]])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PLUS_HEADER + PLUS_ROWS.splitlines()[0], "it has 1 rows, and not 2; move it away"),
        (PLUS_HEADER + PLUS_ROWS + PLUS_ROWS, "does not belong to fer2013.csv beside it: it has 4 rows"),
        (PLUS_HEADER, "it has 0 rows"),
        (PLUS_HEADER + PLUS_ROWS.replace("PublicTest", "PrivateTest"), "row 2 has another Usage; move it away"),
        ("", "is no file of FER\\+ votes: it has no column anger, contempt, "),
        (PLUS_HEADER.replace(",NF", "") + PLUS_ROWS, "it has no column nf"),
        (PLUS_HEADER + PLUS_ROWS.replace("10", ""), "line 3: happiness is '', expected a number of votes"),
        (PLUS_HEADER + PLUS_ROWS.replace("10", "many"), "line 3: happiness is 'many'"),
        (PLUS_HEADER + PLUS_ROWS.replace("10", "-1"), "line 3: happiness is '-1'"),
        (PLUS_HEADER + PLUS_ROWS.replace("10", "nan"), "line 3: happiness is 'nan'"),
    ],
)
def test_votes_that_do_not_belong_to_the_csv_are_refused(tmp_path: Path, text: str, said: str) -> None:
    path = write_csv(tmp_path / "fer2013.csv", [0, 3], ["Training", "PublicTest"])
    (tmp_path / PLUS_FILE).write_text(text)
    with pytest.raises(InputError, match=f"{PLUS_FILE}.*{said}") as caught:
        datasets.load(path)
    assert "\n" not in str(caught.value)


def test_a_csv_that_excel_has_saved_is_read(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "fer2013.csv", [0, 3], ["Training", "PublicTest"])
    path.write_text(path.read_text(), encoding="utf-8-sig")
    assert datasets.load(path).labels.tolist() == [0, 3]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("7x,0 0,Training", "line 3: emotion is '7x', expected 0 to 6"),
        ("9,0 0,Training", "line 3: emotion is '9'"),
        ("²,0 0,Training", "line 3: emotion is '²', expected 0 to 6"),
        ("1" * 5000 + ",0 0,Training", "line 3: emotion is '1{39}, expected 0 to 6"),
        ("1,0 0," + "x" * 5000, "line 3: Usage is 'x{39}, expected"),
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


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"images": np.zeros((3, 32, 32), np.uint8)}, "expected uint8"),
        ({"images": np.zeros((3, 48, 48), np.float32)}, "expected uint8"),
        ({"labels": np.zeros(2)}, "differ in length"),
        ({"labels": np.array([0, 1, 7])}, "labels must lie between 0 and 6"),
        ({"labels": np.array([0, 1, 2.9])}, "labels must lie between 0 and 6, as whole numbers"),
        ({"labels": np.array([0, 1, -0.5])}, "labels must lie"),
        ({"labels": np.array([0, 1, np.nan])}, "labels must lie"),
        ({"labels": np.array(["0", "1", "2"])}, "labels must lie"),
        ({"labels": np.array(0)}, "labels are int64\\[\\], expected a number for each image"),
        ({"labels": np.zeros((3, 1))}, r"labels are float64\[3, 1\]"),
        ({"split": np.array([0, 1, 5])}, "the values of split must be"),
        ({"split": np.array([0, 1, 0.5])}, "the values of split must be"),
        ({"split": np.zeros((3, 2))}, r"split are float64\[3, 2\]"),
        ({"plus_votes": np.zeros(3)}, r"plus_votes are \[3\], expected \[3, 10\]"),
        ({"plus_votes": np.zeros((3, 7))}, r"plus_votes are \[3, 7\]"),
        ({"plus_votes": np.zeros((2, 10))}, r"plus_votes are \[2, 10\]"),
        ({"plus_votes": np.full((3, 10), -1)}, "plus_votes must be numbers between 0 and 255"),
        ({"plus_votes": np.full((3, 10), np.nan)}, "plus_votes must be numbers"),
        ({"plus_votes": np.full((3, 10), "1")}, "plus_votes must be numbers"),
        ({"labels": np.array([None, 1, 2])}, "cannot be read as an .npz file: Object arrays cannot be loaded"),
    ],
)
def test_arrays_that_are_no_data_set_are_refused(tmp_path: Path, change: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        datasets.load(_save(tmp_path / "data.npz", **{**GOOD, **change}))


def test_a_damaged_npz_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    images = np.random.default_rng(1).integers(0, 99, (3, 48, 48), np.uint8)
    np.savez_compressed(path, images=images, labels=np.zeros(3), split=np.zeros(3))
    whole = path.read_bytes()
    np.save(tmp_path / "lone.npy", images)
    lone = (tmp_path / "lone.npy").read_bytes()
    for damaged in (b"", lone, whole[:900], whole[:200] + b"\xff" * 300 + whole[500:], b"\0" * 60 + whole[60:]):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"data\.npz cannot be read as an \.npz file: \S") as caught:
            datasets.load(path)
        assert "\n" not in str(caught.value)
