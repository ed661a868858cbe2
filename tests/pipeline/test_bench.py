"""`affectstream bench` measures this machine, and keeps what it measured."""

import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.result import Table, middle, read
from pipeline.commands.bench import report
from tests.ingest.making import record
from tests.pipeline.conftest import Command

WAYS = ("decode and detect only", "decode only")


def film(folder: Path) -> Path:
    return record(folder / "film.mp4", range(0, 1000, 40))


def figures(table: Table) -> dict[Any, list[float | None]]:
    return {row[0]: [middle(cell) for cell in row[1:]] for row in table.rows}


def test_the_whole_job_is_measured_beside_its_parts(affectstream: Command, tmp_path: Path) -> None:
    done = affectstream("bench", "e2e", film(tmp_path), "--rounds", 1, "--json", "made.json")
    assert done.code == 0, done.err
    made = read(tmp_path / "made.json")
    assert made.bench == "e2e"
    tables = {table.title.removeprefix("film.mp4: "): table for table in made.tables}
    speed = figures(tables["speed"])
    ours, searched, decoded = (speed[name][0] or 0 for name in ("affectstream", *WAYS))
    assert ours > 0
    assert searched > 0
    assert decoded > 0
    ratios = figures(tables["affectstream as a ratio, within each round"])
    assert ratios["frames/s, to decode and detect only"] == [ours / searched]
    stages = figures(tables["where the time goes, last round"])
    assert stages["detect"][2] == 25
    assert set(stages) >= {"ingest", "detect", "aggregate"}
    start = figures(tables["from the shell's prompt"])
    assert (start["affectstream --help, whole"][0] or 0) > 0
    assert "detector haar" in tables["speed"].note
    assert "decode only" in done.out


def test_every_stage_is_measured_by_itself(affectstream: Command, tmp_path: Path) -> None:
    done = affectstream(
        "bench", "stages", film(tmp_path), "--rounds", 1, "--frames", 5, "--batch", 2, "--batch", 3, "--json", "m.json"
    )
    assert done.code == 0, done.err
    stages, batches = (figures(table) for table in read(tmp_path / "m.json").tables)
    assert len(stages) == 7
    assert all((cost or 0) > 0 for cost, _ in stages.values())
    assert list(batches) == ["2", "3"]
    assert all((speed or 0) > 0 for _, speed in batches.values())


def test_bad_input_to_a_benchmark_is_one_line(affectstream: Command, tmp_path: Path) -> None:
    (tmp_path / "no.mp4").write_bytes(b"no recording")
    for arguments in ("e2e missing.mp4", "stages no.mp4", f"stages {film(tmp_path)} --json no/made.json"):
        done = affectstream("bench", *arguments.split())
        assert done.code == 2
        assert len(done.err.strip().splitlines()) == 1


@pytest.mark.parametrize("url", ["postgresql://me:secret@host", "postgresql://me@host/db?password=secret"])
def test_no_password_of_a_database_is_kept_with_the_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["affectstream", "bench", "storage", "--postgres", url, "--json", "a/made.json"])
    report("storage", list, tmp_path / "made.json")
    assert read(tmp_path / "made.json").command == (
        "affectstream bench storage --postgres postgresql://… --json made.json"
    )
