"""What a second look at a face is worth is measured on faces that training holds out, for one model and for several."""

from pathlib import Path

import pytest

from benchmarks.looks import main
from benchmarks.result import read
from classifier.finishing import untrained
from classifier.folders import bundled
from tests.classifier.making import stripes, write_npz

pytestmark = pytest.mark.xdist_group("tensorflow")


def test_one_look_another_and_both_are_told_apart(tmp_path: Path) -> None:
    data = write_npz(tmp_path / "stripes.npz", stripes(2000, 3))
    untrained("dcnn", tmp_path / "dcnn")
    untrained("fern", tmp_path / "fern")
    models = ["--model", str(tmp_path / "dcnn"), "--model", str(tmp_path / "fern")]
    main(["--data", str(data), *models, "--json", str(tmp_path / "looks.json")])
    (table,) = read(tmp_path / "looks.json").tables
    assert [row[:2] for row in table.rows] == [
        ["dcnn", "the picture"], ["dcnn", "its mirror image"], ["dcnn", "both"],
        ["fern", "the picture"], ["fern", "its mirror image"], ["fern", "both"],
        ["the mean of all", "the picture"], ["the mean of all", "both"],
    ]  # fmt: skip
    one, other, both = (row[3] for row in table.rows[:3])
    assert one != other
    assert both not in (one, other)
    for row in table.rows:
        assert isinstance(row[3], float)
        assert 0 < row[3] < 3


def test_each_model_gets_faces_of_its_own_size(tmp_path: Path) -> None:
    untrained("mini_xception", tmp_path / "mini")
    data = write_npz(tmp_path / "stripes.npz", stripes(2000, 3))
    models = ["--model", str(bundled()["default"]), "--model", str(tmp_path / "mini")]
    main(["--data", str(data), *models, "--json", str(tmp_path / "looks.json")])
    (table,) = read(tmp_path / "looks.json").tables
    assert [row[0] for row in table.rows] == ["default"] * 3 + ["mini"] * 3 + ["the mean of all"] * 2
