"""Photographs become faces as the pipeline cuts them; what gives no face is named, and nothing is overwritten."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from classifier import datasets
from classifier.card import read_card
from classifier.folders import bundled
from contracts.messages import Picture
from contracts.settings import DetectorSettings, ModelsSettings
from detector import open_detector
from tests.detector.conftest import installed
from tests.pipeline.test_training_commands import run

FRAMING = read_card(bundled()["default"]).crop


@pytest.fixture(scope="module")
def astronaut() -> Picture:
    return installed("skimage", "data/astronaut.png")


@pytest.fixture
def album(tmp_path: Path, astronaut: Picture) -> Path:
    """Five photographs with a face, one with two, one with none, one too small for any, and one that is damaged."""
    small = cv2.resize(astronaut, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    both = np.zeros((512, 768, 3), np.uint8)
    both[:, :512] = astronaut
    both[:256, 512:] = small
    pictures = {
        "train/joy/one.jpg": astronaut, "train/joy/one.png": small, "train/anger/two.JPG": astronaut,
        "train/joy/one.jpg.png": small, "test/joy/deep/er/three.webp": astronaut, "train/anger/both.png": both,
        "train/anger/wall.png": np.full((200, 300, 3), 90, np.uint8),
        "train/joy/dot.png": np.zeros((4, 4, 3), np.uint8),
    }  # fmt: skip
    for name, picture in pictures.items():
        (tmp_path / "album" / name).parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(tmp_path / "album" / name), picture)
    (tmp_path / "album/train/anger/half.jpg").write_bytes(b"\xff\xd8 cut off")
    (tmp_path / "album/train/notes.txt").write_text("not a picture")
    return tmp_path / "album"


def test_the_faces_of_photographs_are_written_where_the_photographs_are(
    album: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    faces = tmp_path / "faces"
    code, out, err = run(capsys, "data", "cut", str(album), str(faces), "--detector", "haar")
    assert code == 0, err
    assert f"{faces}: 6 faces of 9 photographs, 48x48; 1 show several people, of whom the largest was taken" in out
    assert sorted(err.splitlines()) == [
        "affectstream: train/anger/half.jpg cannot be read", "affectstream: train/anger/wall.png has no face",
        "affectstream: train/joy/dot.png is too small or too large to be searched",
    ]  # fmt: skip
    assert sorted(str(path.relative_to(faces)) for path in faces.rglob("*.*")) == [
        "test/joy/deep/er/three.png", "train/anger/both.png", "train/anger/two.png", "train/joy/one.jpg.png",
        "train/joy/one.jpg.png.png", "train/joy/one.png.png",
    ]  # fmt: skip
    two = cv2.imread(str(album / "train/anger/both.png"))
    assert two is not None
    detector = open_detector(DetectorSettings(name="haar"), ModelsSettings(), FRAMING, note=pytest.fail)
    (found,) = detector.detect([np.asarray(two, np.uint8)])
    (large,) = np.flatnonzero(found.boxes[:, 0] < 400)  # the other face lies right of it, and is half its size
    written = cv2.imread(str(faces / "train/anger/both.png"), cv2.IMREAD_UNCHANGED)
    assert written is not None
    assert np.array_equal(written, found.crops[large, :, :, 0])
    examples = datasets.load(faces)
    assert len(examples) == 6


def test_what_cannot_be_cut_is_said_in_one_line_and_nothing_is_overwritten(
    album: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    full, lone = tmp_path / "full", tmp_path / "lone"
    for path in (full, lone, tmp_path / "bare"):
        path.mkdir()
    (full / "mine.txt").write_text("mine")
    (lone / "wall.png").write_bytes((album / "train/anger/wall.png").read_bytes())
    for source, target, said in (
        (album, full, "full holds something already"),
        (tmp_path / "nowhere", tmp_path / "new", "no folder"),
        (tmp_path / "bare", tmp_path / "new", "bare has no pictures"),
        (album, full / "mine.txt", "mine.txt cannot be written to"),
    ):
        code, out, err = run(capsys, "data", "cut", str(source), str(target), "--detector", "haar")
        assert (code, out, len(err.splitlines())) == (2, "", 1)
        assert said in err
    code, out, err = run(capsys, "data", "cut", str(lone), str(tmp_path / "new"), "--detector", "haar")
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].endswith("no face was found in 1 photographs")
    assert [path.name for path in full.iterdir()] == ["mine.txt"]


def test_of_many_photographs_without_a_face_a_few_are_named(
    tmp_path: Path, astronaut: Picture, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "album").mkdir()
    cv2.imwrite(str(tmp_path / "album" / "face.png"), astronaut)
    for number in range(8):
        cv2.imwrite(str(tmp_path / "album" / f"wall{number}.png"), np.full((99, 99, 3), number, np.uint8))
    code, _, err = run(capsys, "data", "cut", str(tmp_path / "album"), str(tmp_path / "faces"), "--detector", "haar")
    assert code == 0
    assert len(err.splitlines()) == 6
    assert err.splitlines()[-1] == "affectstream: … and 3 more: each has no face"
