"""`affectstream bench live` measures what a run costs with its page and without, looked at and not."""

from pathlib import Path

import pytest

from benchmarks.result import Table, middle, read
from tests.ingest.making import record
from tests.pipeline.conftest import Command, affectstream

__all__ = ["affectstream"]
pytestmark = [pytest.mark.timeout(300), pytest.mark.slow]


def column(table: Table, place: int) -> list[float | None]:
    return [middle(row[place]) for row in table.rows]


def test_a_run_is_measured_without_its_page_with_it_and_with_a_client(affectstream: Command, tmp_path: Path) -> None:
    film = record(tmp_path / "film.mp4", range(0, 4000, 40))
    given = ("--rounds", 1, "--seconds", 0.1, "--no-browser", "--json", "made.json")
    done = affectstream("bench", "live", film, *given)
    assert done.code == 0, done.err
    cost, start = read(tmp_path / "made.json").tables
    assert [row[0] for row in cost.rows] == ["without --live", "nobody looks", "a client looks"]
    speeds = [speed or 0 for speed in column(cost, 1)]
    assert min(speeds) > 0
    assert column(cost, 2) == [None, *(speed / speeds[0] for speed in speeds[1:])]
    without, *others = column(start, 1)
    assert without
    assert all(seconds for seconds in others)


def test_what_is_no_recording_and_a_page_with_a_token_are_one_line(
    affectstream: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "no.mp4").write_bytes(b"no recording")
    done = affectstream("bench", "live", "no.mp4")
    assert (done.code, len(done.err.strip().splitlines())) == (2, 1)
    monkeypatch.setenv("AFFECTSTREAM_LIVE_TOKEN", "a-token-for-the-tests")
    done = affectstream("bench", "live", "no.mp4")
    assert (done.code, len(done.err.strip().splitlines())) == (2, 1)
    assert "live.token" in done.err
