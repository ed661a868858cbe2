"""Python's garbage collector stops all stages while it works; a run gives it little to do."""

import gc
from pathlib import Path

import pytest

from pipeline.embedded import Embedded
from tests.ingest.making import record
from tests.pipeline.conftest import Command


def test_what_is_loaded_is_not_searched_again_while_a_run_lasts_and_let_go_after_it(
    affectstream: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen: list[int] = []
    run = Embedded.run

    def watched(self: Embedded, *arguments: object) -> None:
        frozen.append(gc.get_freeze_count())
        run(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Embedded, "run", watched)
    film = record(tmp_path / "film.mp4", range(0, 200, 40))
    done = affectstream("run", film)
    assert done.code == 0, done.err
    assert frozen[0] > 10_000
    assert gc.get_freeze_count() == 0
