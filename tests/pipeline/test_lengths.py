"""Runs of a camera may have windows of different lengths: what is shown of one says what it is without."""

from pathlib import Path

from contracts.rows import Rows
from tests.pipeline.conftest import Command
from tests.storage.samples import SECOND, START, opened, run, window


def test_runs_with_windows_of_other_lengths_alone_are_spoken_of(affectstream: Command) -> None:
    def keep(run_id: str, length: int, seconds: int) -> None:
        with opened(f"sqlite:///{Path('affectstream.db').absolute()}") as store:
            store.finish_run(run(run_id=run_id, ended_at=START + seconds * SECOND, status="finished"))
            starts = [START + at * SECOND for at in range(0, seconds, length)]
            store.write(Rows(windows=[window(run_id=run_id, window_seconds=length, window_start=at) for at in starts]))

    keep("door-1", 60, 600)
    assert affectstream("history").err == ""
    keep("door-2", 30, 60)
    done = affectstream("history", "--camera", "door")
    assert "1 min windows" in done.out
    assert "some runs of that time have no windows of 60 s; --window 30 shows them" in done.err
    assert affectstream("history", "--window", 60).err == ""
