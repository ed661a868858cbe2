"""The benchmark of training runs each of its ways, with the recipe that it is asked for."""

import pytest

from benchmarks import training
from benchmarks.result import Spread
from classifier.device import precision


def test_each_way_of_learning_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "PICTURES", 256)
    table = training.measure("cnn2", "paper", 1)
    ways = [row[0] for row in table.rows]
    assert ways[0] == "float32, as Keras composes it"
    assert ways[-1] == "distorting the pictures alone"
    assert len(set(ways)) == 3 + 2 * len({"float32", precision()})
    for row in table.rows:
        assert isinstance(row[1], Spread)
        assert row[1].median > 0
    assert table.rows[0][2] == Spread(1.0, 1.0, 1.0)
