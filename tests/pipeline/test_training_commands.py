"""`data report`, `train` and `evaluate` as a user meets them."""

import json
from pathlib import Path

import msgspec
import pytest

from classifier.checkpoints import Run
from pipeline.cli import app, main
from tests.classifier.making import QUICK, write_csv

pytestmark = pytest.mark.xdist_group("tensorflow")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """The exit code, stdout and stderr of a command."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    labels = [number % 7 for number in range(210)]
    return write_csv(folder / "faces.csv", labels, ["Training"] * 168 + ["PublicTest"] * 42)


def test_a_report_tells_what_the_data_holds(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "data", "report", str(data))
    assert code == 0
    assert "faces.csv: 210 pictures" in out
    assert "public in train: 0 exact duplicates" in out
    code, out, _ = run(capsys, "data", "report", str(data), "--json")
    assert json.loads(out)["classes"]["train"]["happy"] == 24


def test_a_model_is_trained_and_measured(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "model"
    said = (
        "--architecture",
        "cnn2",
        "--preset",
        "paper",
        "--epochs",
        "1",
        "--classes",
        "happy,sad",
        "--batch-size",
        "8",
    )
    code, out, err = run(capsys, "train", "--data", str(data), "--output", str(folder), *said)
    assert code == 0, err
    assert "accuracy on 12 test pictures: fer2013 " in out
    assert "epoch   1/1  loss " in err
    card = json.loads((folder / "model.json").read_text())
    assert card["training"][
        "command"
    ] == f"affectstream train --data faces.csv --output model {' '.join(said)}".replace(
        " --epochs 1 --classes happy,sad", " --classes happy,sad --epochs 1"
    )
    code, out, err = run(
        capsys, "evaluate", "--model", str(folder), "--data", str(data), "--json", "--report", str(tmp_path / "report")
    )
    assert code == 0, err
    measured = json.loads(out)
    assert list(measured) == [
        "images", "accuracy", "accuracy_without_twins", "accuracy_plus", "macro_f1", "ece", "per_class", "confusion",
        "robustness",
    ]  # fmt: skip
    assert measured["images"] == 12
    assert measured["accuracy_plus"] is None
    assert json.loads((tmp_path / "report" / "evaluation.json").read_text()) == measured
    assert (tmp_path / "report" / "confusion.png").stat().st_size > 1000

    full = tmp_path / "full"
    full.mkdir()
    (full / "evaluation.json").symlink_to("/dev/full")
    code, out, err = run(
        capsys, "evaluate", "--model", str(folder), "--data", str(data), "--json", "--report", str(full)
    )
    assert code == 1
    assert json.loads(out) == measured  # what took minutes is not lost with the report
    assert err.splitlines()[-1] == "affectstream: what was to be written: No space left on device"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("train",), "--data and --output are needed"),
        (("train", "--resume", "nowhere"), "no training in nowhere: run.json is missing"),
        (("train", "--finish", "nowhere"), "no training in nowhere: run.json is missing"),
        (("train", "--resume", "old"), "old/run.json is not what this version of affectstream writes: "),
        (("train", "--resume", "half"), "half/run.json is damaged: "),
        (("train", "--resume", "moved"), "/gone/faces is not there any more: say with --data where it lies now"),
        (("train", "--resume", "a", "--finish", "a"), "one of both"),
        (("train", "--resume", "a", "--batch-size", "8"), "--resume keeps to what the training was told: without --ba"),
        (("train", "--finish", "a", "--from-scratch"), "--finish keeps to what the training was told: without --from"),
        (("train", "--data", "no.csv", "--output", "m"), "no data set at no.csv"),
        (("evaluate", "--data", "no.csv"), "no data set at no.csv"),
        (("evaluate", "--data", "no.csv", "--classes", "happy,glad"), "no emotion 'glad': there are angry"),
        (("train", "--data", "x.csv", "--output", "m", "--architecture", "lenet"), "no architecture 'lenet'"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    arguments: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    moved = Run(recipe=QUICK, data="/gone/faces", command="-")
    for name, text in {
        "old": '{"recipe": {"architecture": "fern", "cutmix": 1.0}}', "half": '{"recipe": {"arch',
        "moved": msgspec.json.encode(moved).decode(),
    }.items():  # fmt: skip
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(text)
    code, out, err = run(capsys, *arguments)
    assert code == 2
    assert not out
    assert said in err
    assert len(err.splitlines()) == 1


def test_a_training_that_ctrl_c_stops_says_a_command_that_may_be_pasted(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from classifier import training

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    folder = tmp_path / "my runs"
    (folder / "checkpoint").mkdir(parents=True)
    (folder / "checkpoint" / "state.json").write_text("{}")
    monkeypatch.setattr(training, "train", stopped)
    app(["train", "--data", str(data), "--output", str(folder)], standalone_mode=False)
    assert f"affectstream train --resume '{folder}' (or ends, with --finish '{folder}')" in capsys.readouterr().err
