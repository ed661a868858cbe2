"""With Keras on JAX a training learns what it learns on TensorFlow, and either goes on where the other was stopped."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

from classifier.checkpoints import read_run
from tests.classifier.making import QUICK, stripes
from tests.classifier.test_training import train

pytestmark = pytest.mark.xdist_group("tensorflow")

PROGRAM = """
import sys
from pathlib import Path
from classifier import training
from tests.classifier.making import QUICK, stripes
from tests.classifier.test_training import Stopped, train

training.KEPT_EVERY = 0.0
folder = Path(sys.argv[1])
finished, seen = train(folder / "whole", QUICK, stripes(1000, 1))
print("learnt", *finished.card.accuracy.values(), len([at for at in seen if at.row]))
try:
    train(folder / "halting", QUICK, stripes(1000, 1), stop=2 * seen[-1].steps // 8 + 1)
except Stopped:
    print("stopped")
"""


EPOCHS_AS_PROGRAMS = """
import sys
from pathlib import Path
import msgspec
from classifier import training
from classifier.recipe import Distillation, Phase
from tests.classifier.making import QUICK, stripes, with_phases
from tests.classifier.test_training import Stopped, train

training.KEPT_EVERY = 0.0
folder, faces = Path(sys.argv[1]), stripes(250, 1)
recipe = with_phases(QUICK, Phase(epochs=3, rate=3e-3, schedule="cosine", averaged=0.1, weight_decay=1e-3))
train(folder / "steps", recipe, faces)
training.in_one_program = lambda: True
_, seen = train(folder / "programs", recipe, faces)
taught = msgspec.structs.replace(recipe, distillation=Distillation())
try:  # of the steps of an epoch only the last is told
    train(folder / "taught", taught, faces, teachers=[folder / "steps"], stop=seen[1].step)
except Stopped:
    _, seen = train(folder / "taught", taught, faces, teachers=[folder / "steps"], resume=True)
    print(*[at.row["epoch"] for at in seen])
"""


def on_jax(program: str, folder: Path) -> str:
    """What a program prints."""
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)], env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def history(folder: Path) -> list[dict[str, float]]:
    with (folder / "history.csv").open() as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def test_an_epoch_that_is_one_program_learns_what_its_steps_learn(tmp_path: Path) -> None:
    assert on_jax(EPOCHS_AS_PROGRAMS, tmp_path).split() == ["3"]
    steps, programs, taught = (history(tmp_path / name) for name in ("steps", "programs", "taught"))
    for one, other in zip(steps, programs, strict=True):
        assert other == pytest.approx({**one, "seconds": other["seconds"]}, rel=0.05, abs=1e-3)
    assert steps[0]["loss"] > steps[-1]["loss"]
    assert len(taught) == 3
    assert taught[-1]["accuracy"] > taught[0]["accuracy"]


def test_a_training_on_jax_learns_and_is_ended_on_tensorflow(tmp_path: Path) -> None:
    learnt, stopped = on_jax(PROGRAM, tmp_path).splitlines()
    accuracies, epochs = list(map(float, learnt.split()[1:3])), int(learnt.split()[3])
    assert min(accuracies) > 0.95
    assert epochs == 8
    assert stopped == "stopped"
    assert "jax" in read_run(tmp_path / "halting").made_with
    finished, seen = train(tmp_path / "halting", QUICK, stripes(1000, 1), resume=True)
    assert [at.row["epoch"] for at in seen if at.row] == list(range(3, 9))
    assert finished.card.accuracy["fer2013"] > 0.95
