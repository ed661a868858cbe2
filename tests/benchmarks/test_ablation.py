"""The ablation trains with every ingredient and without each, and never looks at a test picture."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from benchmarks.ablation import ALL, TAUGHT, WAYS, Learnt, apart, learnt, main, table
from classifier.architectures import preset
from classifier.checkpoints import Run, read_run
from classifier.datasets import SPLITS
from classifier.recipe import Distillation
from contracts.errors import InputError
from tests.classifier.making import QUICK, stripes, write_npz

pytestmark = pytest.mark.xdist_group("tensorflow")


def test_each_way_is_another_recipe() -> None:
    ours = preset("fern", "ours")
    made = [msgspec.json.encode(way(ours)) for way in WAYS.values()]
    assert len(set(made)) == len(WAYS)
    assert WAYS[ALL](ours) == ours


def test_half_and_twice_are_of_what_the_recipe_has() -> None:
    ours = preset("fern", "ours")
    faster = WAYS["twice the rate"](ours)
    assert WAYS["half the rate"](faster) == ours
    assert WAYS["twice the rate"](faster).phases[0].rate == 4 * ours.phases[0].rate
    softer = WAYS["half as many soft and noisy pictures"](ours).distortion
    assert (softer.softening, softer.noisy) == (ours.distortion.softening / 2, ours.distortion.noisy / 2)
    assert WAYS["twice as many soft and noisy pictures"](WAYS["half as many soft and noisy pictures"](ours)) == ours


def test_a_share_is_learnt_from_and_the_rest_is_tested_on_without_a_test_picture() -> None:
    data = stripes(1000, 1)
    parts = apart(data, 0.25)
    assert len(parts) == (data.split == SPLITS["train"]).sum()
    assert not parts.twins_in(data.of("public")).any()
    assert 0.2 < len(parts.of("train")) / len(parts) < 0.3
    assert len(parts.of("train")) + len(parts.of("public")) == len(parts)


def test_what_was_learnt_is_asked_about_the_rest_in_both_heads(tmp_path: Path) -> None:
    parts = apart(stripes(1200, 1), 0.8)
    first = learnt(parts, Run(recipe=QUICK, data="-", command="-"), tmp_path / "first")
    unvoted = msgspec.structs.replace(QUICK, votes=0.0)
    second = learnt(parts, Run(recipe=unvoted, data="-", command="-"), tmp_path / "second")
    made = {"first": first, "second": second}
    labels, voters = (table(head, made, parts.of("public"), "") for head in (parts.head, "ferplus"))
    assert [row[0] for row in labels.rows] == ["first", "second"]
    assert [row[0] for row in voters.rows] == ["first"]
    for row in (*labels.rows, *voters.rows):
        assert isinstance(row[1], float)
        assert row[1] > 0.9
    assert labels.rows[0][3:5] == [None, None]


def test_faces_are_tested_on_after_harm_as_well(tmp_path: Path) -> None:
    parts = apart(stripes(1200, 1), 0.8)
    run = Run(recipe=QUICK, data="-", command="-")
    one = learnt(parts, run, tmp_path / "one", harms=["dark", "noise"])
    assert set(one.said) == {(head, harm) for head in ("fer2013", "ferplus") for harm in ("", "dark", "noise")}
    assert not np.array_equal(one.said["fer2013", ""], one.said["fer2013", "noise"])
    noisy, absent = (table("fer2013", {"one": one}, parts.of("public"), "", harm) for harm in ("noise", "jpeg"))
    assert noisy.title.endswith(", noise")
    assert [row[0] for row in noisy.rows] == ["one"]
    assert absent.rows == []


def test_the_difference_from_the_first_is_that_of_the_same_pictures() -> None:
    tested = stripes(70, 1).of("public")
    sure = np.eye(7, dtype=np.float32)[tested.labels] * 0.9 + 0.1 / 7
    wrong = np.roll(sure, 1, axis=1)
    half = np.where(np.arange(len(tested))[:, None] % 2, sure, wrong)
    made = {name: Learnt({("fer2013", ""): said}, 1.0) for name, said in (("sure", sure), ("half", half))}
    first, second = table("fer2013", made, tested, "").rows
    assert (first[1], second[1]) == (1.0, 0.5)
    assert isinstance(second[2], float)
    assert isinstance(first[2], float)
    assert second[3] == pytest.approx(second[2] - first[2])
    assert isinstance(second[4], float)
    assert second[4] > 0


def test_the_network_that_is_taught_learns_from_the_one_with_all_of_it(tmp_path: Path) -> None:
    data, runs = write_npz(tmp_path / "data.npz", stripes(1500, 1)), tmp_path / "runs"
    main(["--data", str(data), "--share", "0.6", "--epochs", "1", "--only", TAUGHT, "--runs", str(runs)])
    assert read_run(runs / "all-of-it").recipe.distillation is None
    taught = read_run(runs / "taught-by-all-of-it")
    assert taught.recipe.distillation == Distillation()
    assert [Path(name).name for name in taught.teachers] == ["all-of-it"]


def test_a_folder_of_trainings_is_the_same_however_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, runs = write_npz(tmp_path / "data.npz", stripes(1500, 1)), tmp_path / "runs"
    told = ["--data", str(data), "--share", "0.6", "--epochs", "1", "--only", TAUGHT, "--runs"]
    main([*told, str(runs)])
    learnt_once = (runs / "taught-by-all-of-it" / "model.keras").stat().st_mtime_ns
    monkeypatch.chdir(tmp_path)
    main([*told, "runs"])
    assert (runs / "taught-by-all-of-it" / "model.keras").stat().st_mtime_ns == learnt_once


def test_an_ingredient_that_there_is_not_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no ingredient 'salt': there are all of it; no mirrored pairs"):
        main(["--data", str(tmp_path / "none.npz"), "--only", "salt"])
    with pytest.raises(InputError, match="leaves nothing to test on"):
        main(["--data", str(tmp_path / "none.npz"), "--share", "1"])


def test_the_help_names_every_way(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    said = "".join(capsys.readouterr().out.split())  # lines are broken at blanks, and at hyphens
    assert all(way.replace(" ", "") in said for way in WAYS)
