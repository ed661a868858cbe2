"""The ablation trains with every ingredient and without each, and never looks at a test picture."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from benchmarks.ablation import ALL, WAYS, learnt, main
from classifier.architectures import preset
from classifier.datasets import SPLITS
from contracts.errors import InputError
from tests.classifier.making import QUICK, stripes

pytestmark = pytest.mark.xdist_group("tensorflow")


def test_each_way_is_another_recipe() -> None:
    ours = preset("fern", "ours")
    made = [msgspec.json.encode(way(ours)) for way in WAYS.values()]
    assert len(set(made)) == len(WAYS)
    assert WAYS[ALL](ours) == ours


def test_what_was_learnt_is_measured_on_training_pictures_held_out() -> None:
    data = stripes(1000, 1)
    spoilt = msgspec.structs.replace(data, labels=np.where(data.split == SPLITS["train"], data.labels, 0))
    recipe = msgspec.structs.replace(QUICK, held_out=0.05)
    # The labels of the test pictures, all wrong, do no harm.
    accuracy, surprise, voted, voted_surprise, seconds = learnt(recipe, spoilt)
    assert isinstance(accuracy, float)
    assert accuracy > 0.9
    assert isinstance(voted, float)
    assert voted > 0.9
    for value, most in ((surprise, 0.7), (voted_surprise, 0.7), (seconds, 600.0)):
        assert isinstance(value, float)
        assert 0 <= value < most
    assert learnt(msgspec.structs.replace(recipe, votes=0.0), spoilt)[2:4] == [None, None]


def test_an_ingredient_that_there_is_not_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no ingredient 'salt': there are all of it, no mirrored pairs"):
        main(["--data", str(tmp_path / "none.npz"), "--only", "salt"])
