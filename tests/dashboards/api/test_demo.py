"""What a run has said is what the API tells of it."""

import json
from pathlib import Path

import pytest

from pipeline.cli import main
from tests.dashboards.api.serving import configured, serving
from tests.dashboards.api.test_paging import every

pytestmark = pytest.mark.xdist_group("tensorflow")


def test_a_run_is_told_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AFFECTSTREAM_DETECTOR_NAME", "haar")
    capfd.readouterr()
    with pytest.raises(SystemExit):
        main(["run", "demo:3", "--json", "--db", "demo.db"])
    said = json.loads(capfd.readouterr().out)
    with serving(configured(f"sqlite:///{tmp_path / 'demo.db'}"), hub=None) as looking:
        (run,) = looking.get("/runs")["items"]
        assert {name: run[name] for name in ("frames", "faces", "dropped", "detector", "model")} == {
            name: said[name] for name in ("frames", "faces", "dropped", "detector", "model")
        }
        assert len(every(looking, "/people", limit=1)) == said["people"]
        assert len(every(looking, "/windows", limit=1)) == said["windows"]
        (whole,) = looking.get("/windows", window_seconds=10)["items"]
        assert whole["mean"] == pytest.approx(said["mean"], abs=1e-4)
        assert whole["stress_ratio"] == pytest.approx(said["stress_ratio"], abs=1e-4)
