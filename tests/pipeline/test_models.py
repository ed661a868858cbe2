"""`models list`, `export` and the choice of what runs Keras, as a user meets them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from classifier.folders import bundled
from tests.classifier.making import stripes, write_npz
from tests.pipeline.conftest import Command
from tests.services.disks import unwritable

pytestmark = pytest.mark.xdist_group("tensorflow")


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The models folder of the settings."""
    folder = tmp_path / "models"
    folder.mkdir()
    monkeypatch.setenv("AFFECTSTREAM_MODELS_FOLDER", str(folder))
    return folder


def copied(folder: Path) -> Path:
    return Path(shutil.copytree(bundled()["default"], folder))


def rows(text: str) -> dict[str, str]:
    """The lines of a table by the model that they are of."""
    return {line.split()[0]: line.strip() for line in text.splitlines()}


def test_a_damaged_model_is_a_row_of_the_list(models: Path, affectstream: Command) -> None:
    (copied(models / "broken") / "model.json").write_text("{")
    copied(models / "whole")
    done = affectstream("models", "list")
    assert done.code == 0
    shown = rows(done.out)
    assert "damaged: the model card " in shown["broken"]
    assert "parameters" in shown["default"]
    assert "parameters" in shown["whole"]


def test_the_list_shows_names_that_model_takes_and_whole_paths(
    models: Path, affectstream: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    folder = copied(models / ("mine[bold]:cat:" + "x" * 100))
    shown = rows(affectstream("models", "list").out)
    assert set(shown) == {"model", "yunet", "haar", "default", folder.name}
    assert shown[folder.name].endswith(str(folder))
    assert shown["default"].endswith(str(bundled()["default"]))


def test_a_report_is_headed_with_the_files_own_name(affectstream: Command, tmp_path: Path) -> None:
    data = write_npz(tmp_path / "mk[bold].npz", stripes(50, 1))
    assert affectstream("data", "report", data).out.startswith("mk[bold].npz: 50 pictures")


@pytest.mark.parametrize("command", ["export", "calibrate"])
def test_a_model_that_may_not_be_changed_is_told_in_one_line(
    command: str, tmp_path: Path, affectstream: Command
) -> None:
    folder = copied(tmp_path / "model")
    data = ["--data", write_npz(tmp_path / "faces.npz", stripes(50, 1))] if command == "calibrate" else []
    with unwritable(folder):
        done = affectstream(command, "--model", folder, *data)
    assert done.code == 2
    assert done.err == (
        f"affectstream: the model's folder {folder} is read-only: copy it to a folder of yours, and name that with "
        "--model\n"
    )


@pytest.mark.parametrize("backend", ["torch", "openvino", "numpy"])
def test_keras_runs_on_tensorflow_or_jax(
    backend: str, tmp_path: Path, affectstream: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", backend)
    monkeypatch.setenv("AFFECTSTREAM_CLASSIFIER_RUNTIME", "tensorflow")
    said = f"affectstream: KERAS_BACKEND is {backend}: affectstream runs on tensorflow and jax; set one, or unset it\n"
    for arguments in (("train", "--data", "faces.npz", "--output", "new"), ("run", "demo", "--db", "demo.db")):
        done = affectstream(*arguments)
        assert (done.code, done.err) == (2, said)
    assert not (tmp_path / "new").exists()


def test_an_export_says_that_it_needs_tensorflow(tmp_path: Path) -> None:
    folder: Any = copied(tmp_path / "model")
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "export", "--model", folder],
        env={**os.environ, "KERAS_BACKEND": "jax"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (
        2,
        "affectstream: a model is exported by TensorFlow: Keras runs on jax in this process: unset KERAS_BACKEND\n",
    )
