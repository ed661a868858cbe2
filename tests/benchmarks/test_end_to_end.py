"""The whole job is measured beside others, whatever these find, and `fer` is installed whole."""

import subprocess
import venv
from pathlib import Path
from typing import Any

import pytest

from benchmarks import end_to_end
from benchmarks.end_to_end import OURS, THEIRS
from benchmarks.rig import Pass
from contracts.settings import Settings


def test_where_the_other_finds_no_face_there_is_no_ratio_of_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Pass(frames=100, faces=3, seconds=1.0, stages={"detect": {"seconds": 1.0, "items": 100, "batches": 100}})
    for way in ("whole", "searched", "decoded"):
        monkeypatch.setattr(end_to_end, way, lambda video, settings: seen)
    monkeypatch.setattr(end_to_end, "fer", lambda video: Pass(frames=100, faces=0, seconds=10.0))
    speed, ratios, _ = end_to_end._video(
        Path("walk_by.mp4"), Settings(), rounds=2, with_fer=True, note=lambda line: None
    )
    assert [row[0] for row in speed.rows][::3] == [OURS, THEIRS]
    assert [row[0] for row in ratios.rows][-1] == f"frames/s, to {THEIRS}"


def test_an_environment_whose_making_was_interrupted_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed: list[bool] = []

    def create(folder: Path, **options: Any) -> None:
        python = folder / "bin" / "python"
        python.parent.mkdir(parents=True, exist_ok=True)
        python.touch()

    def run(command: list[Any], **options: Any) -> subprocess.CompletedProcess[str]:
        if "install" in command:
            installed.append(True)
            if len(installed) == 1:
                raise KeyboardInterrupt
        return subprocess.CompletedProcess(command, 0, '{"frames": 1, "faces": 2, "seconds": 3.0}\n')

    monkeypatch.setattr(end_to_end, "ENVIRONMENT", tmp_path / "fer")
    monkeypatch.setattr(venv, "create", create)
    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(KeyboardInterrupt):
        end_to_end.fer(Path("film.mp4"))
    assert [end_to_end.fer(Path("film.mp4")).faces for _ in range(2)] == [2, 2]
    assert len(installed) == 2
