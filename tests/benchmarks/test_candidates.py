"""Models are compared picture by picture, on faces that training holds out unless others are asked for."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from benchmarks.candidates import main, names, pictures, table
from benchmarks.result import read
from classifier.datasets.pictures import InMemory
from classifier.finishing import untrained
from contracts.errors import InputError
from tests.classifier.making import stripes, write_npz

pytestmark = pytest.mark.xdist_group("tensorflow")


def test_a_model_is_compared_with_the_first_on_the_same_pictures() -> None:
    tested = stripes(70, 1).of("public")
    sure = np.eye(7, dtype=np.float32)[tested.labels] * 0.9 + np.float32(0.1 / 7)
    half = np.where(np.arange(len(tested))[:, None] % 2, sure, np.roll(sure, 1, axis=1))
    for votes in (False, True):
        first, second = table({"half": half, "sure": sure}, tested, votes=votes, title="", note="").rows
        assert first[1:2] + second[1:2] == [0.5, 1.0]
        assert first[3:] == [None] * 4
        assert second[5:] == [len(tested) / 2, 0.0]


def test_voters_are_asked_where_they_have_a_single_majority() -> None:
    tested = stripes(70, 1).of("public")
    tied = tested.votes.copy()
    tied[0] = 0.5 * (np.eye(7)[0] + np.eye(7)[1])
    tested = msgspec.structs.replace(tested, votes=tied)
    right = np.eye(7, dtype=np.float32)[tested.labels] * 0.9 + np.float32(0.1 / 7)
    wrong = np.roll(right, 1, axis=1)
    _, row = table({"wrong": wrong, "right": right}, tested, votes=True, title="", note="").rows
    assert row[1] == 1.0
    assert row[5] == len(tested) - 1


def test_what_is_held_out_was_not_learnt_and_neither_has_a_twin_among_test_pictures() -> None:
    data = stripes(2000, 3)
    images = data.pictures.read(np.arange(len(data)), (48, 48))
    images[0] = images[-1]  # of the training split, of PublicTest
    data = msgspec.structs.replace(data, pictures=InMemory(images))
    held_out, learnt, public = (pictures(data, part) for part in ("held-out", "learnt", "public"))
    assert not held_out.twins_in(learnt).any()
    assert pictures(data, "train").twins_in(public).sum() == 1
    assert not held_out.twins_in(public).any()
    assert not learnt.twins_in(public).any()
    assert len(held_out) + len(learnt) == len(pictures(data, "train")) - 1
    with pytest.raises(InputError, match="private: the data has no such pictures"):
        pictures(data, "private")


def test_models_of_one_name_are_told_apart_by_their_paths() -> None:
    folders = [Path("a/default"), Path("b/default"), Path("c/other")]
    assert list(names(folders)) == ["a/default", "b/default", "other"]


def test_models_answer_as_they_are_and_after_harm(tmp_path: Path) -> None:
    data = write_npz(tmp_path / "stripes.npz", stripes(2000, 3))
    untrained("dcnn", tmp_path / "dcnn")
    untrained("mini_xception", tmp_path / "mini")
    told = ["--data", str(data), "--model", str(tmp_path / "dcnn"), "--model", str(tmp_path / "mini")]
    main([*told, "--harm", "noise", "--json", str(tmp_path / "candidates.json")])
    plain, noisy = read(tmp_path / "candidates.json").tables
    assert [row[0] for row in plain.rows] == [row[0] for row in noisy.rows] == ["dcnn", "mini"]
    assert noisy.title.endswith(", noise")
    assert plain.rows[0][2] != noisy.rows[0][2]
    assert "held-out" in plain.note


def test_a_model_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        main(["--data", str(tmp_path / "none.npz"), "--model", "nowhere"])
