"""What setting tilted heads upright gives back is measured on faces that training holds out, found again by YuNet."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.result import read
from benchmarks.tilt import main, side_of, tilted
from classifier.finishing import untrained
from contracts.errors import InputError
from contracts.messages import U8, Picture
from contracts.stages import CropSpec
from detector.crops import cut
from tests.classifier.making import stripes, write_npz
from tests.detector.conftest import installed

pytestmark = pytest.mark.xdist_group("tensorflow")


def faces(picture: Picture, many: int) -> U8:
    """u8[many, 48, 48]: one face, cut a little otherwise each time."""
    moved = np.random.default_rng(0).uniform(-6, 6, (many, 2))
    boxes = np.concatenate([np.array([170, 55]) + moved, np.full((many, 2), 118)], axis=1)
    return cut(picture, boxes.astype(np.float32), CropSpec())[..., 0]


def test_a_face_is_tilted_to_the_same_side_each_time_and_not_all_to_one() -> None:
    for small in np.random.default_rng(1).integers(0, 256, (20, 48, 48), dtype=np.uint8):
        once = tilted(small, 90.0, 2)
        assert np.array_equal(once, tilted(small, 90.0, 2))
        clockwise = np.rot90(tilted(small, 0.0, 2), -1)
        assert (np.abs(once.astype(int) - clockwise).mean() < 1) == (side_of(small) == 1)
    assert {side_of(np.full((1, 1), value, np.uint8)) for value in (1, 2)} == {-1, 1}


def test_heads_are_measured_as_they_are_and_upright(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFFECTSTREAM_MODELS_FOLDER", str(shared / "models"))
    examples = stripes(1000, 3)
    portrait = faces(installed("skimage", "data/astronaut.png"), len(examples))
    data = tmp_path / "faces.npz"
    np.savez(data, images=portrait, labels=examples.labels, split=examples.split)
    untrained("fern", tmp_path / "fern")
    said = ["--data", str(data), "--model", str(tmp_path / "fern"), "--degrees", "0", "--degrees", "30"]
    main([*said, "--json", str(tmp_path / "tilt.json")])
    (table,) = read(tmp_path / "tilt.json").tables
    ways = ("as they are", "upright from 10 on")
    assert [row[0] for row in table.rows] == [f"{tilt} degrees, {way}" for tilt in (0, 30) for way in ways]
    assert all(isinstance(row[1], float) and row[1] > 10 for row in table.rows)
    upright, _, left, back = (row[2:6] for row in table.rows)
    assert upright[0] == pytest.approx(170, abs=30)
    assert upright[1] == pytest.approx(0, abs=5)
    assert left[1] == pytest.approx(30, abs=10)
    assert left[3] != back[3]


def test_faces_that_yunet_does_not_find_are_not_measured(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFFECTSTREAM_MODELS_FOLDER", str(shared / "models"))
    data = write_npz(tmp_path / "stripes.npz", stripes(1000, 3))
    with pytest.raises(InputError, match="YuNet finds none of these faces"):
        main(["--data", str(data), "--degrees", "20"])
