"""The API does what its own description says, whatever it is asked."""

import subprocess
import sys
from pathlib import Path

import pytest

from storage.cameras import Cameras
from tests.dashboards.api.serving import TOKEN, configured, serving

ENDLESS = "/events"
NOT_HELD = (
    "positive_data_acceptance,"  # an `after` is a word that a page has told: no schema says so
    "object_level_authorization"  # there is one token, and who has it may do all
)


def test_answers_are_as_the_description_says(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboards.live.api.pictures.PATIENCE", 0.0)
    with serving(configured(url, live={"token": TOKEN})) as looking:
        looking.watch("door")
        looking.watch("demo", seconds=20, ended=False)
        Cameras(looking.store).join("worker", 3600)
        done = subprocess.run(
            [
                *(Path(sys.executable).parent / "schemathesis", "run", f"{looking.client.base_url}openapi.json"),
                *("--header", f"Authorization: Bearer {TOKEN}", "--exclude-path", ENDLESS),
                *("--checks", "all", "--exclude-checks", NOT_HELD),
                *("--max-examples", "15", "--seed", "1", "--no-shrink", "--request-timeout", "20", "--no-color"),
            ],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        told = done.stdout[-8000:] + done.stderr[-2000:]
        assert done.returncode == 0, told
        assert "Selected: 16/17" in told
        assert "Tested: 16" in told
        assert looking.get("/health")["status"] == "ok"
