"""What tests of trainings share."""

import pytest


@pytest.fixture
def each_epoch_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """However short."""
    from classifier import training

    monkeypatch.setattr(training, "KEPT_EVERY", 0.0)
