"""With Keras on JAX a training learns what it learns on TensorFlow, and either goes on where the other was stopped."""

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


def test_a_training_on_jax_learns_and_is_ended_on_tensorflow(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    learnt, stopped = done.stdout.splitlines()
    accuracies, epochs = list(map(float, learnt.split()[1:3])), int(learnt.split()[3])
    assert min(accuracies) > 0.95
    assert epochs == 8
    assert stopped == "stopped"
    assert "jax" in read_run(tmp_path / "halting").made_with
    finished, seen = train(tmp_path / "halting", QUICK, stripes(1000, 1), resume=True)
    assert [at.row["epoch"] for at in seen if at.row] == list(range(3, 9))
    assert finished.card.accuracy["fer2013"] > 0.95
