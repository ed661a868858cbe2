"""The whole job on a live camera: a real RTSP server on the loopback interface."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from classifier import open_classifier
from contracts.settings import Settings
from contracts.stages import Source
from detector import open_detectors
from ingest import open_source
from pipeline.embedded import Embedded
from storage import open_store
from tests.pipeline.conftest import Command, select
from tests.pipeline.test_trouble import one_line
from tests.services.rtsp import RtspServer, why_not

pytestmark = [
    pytest.mark.xdist_group("tensorflow"),
    pytest.mark.skipif(why_not() is not None, reason=f"no RTSP server: {why_not()}"),
]


@pytest.fixture
def camera() -> Iterator[RtspServer]:
    server = RtspServer(user="user", password="geheim")
    server.start()
    yield server
    server.stop()


def settings(folder: Path) -> Settings:
    return Settings.model_validate(
        {
            "detector": {"name": "haar"},
            "ingest": {"stall_seconds": 2, "reconnect_first": 0.2, "reconnect_max": 0.5},
            "storage": {"url": str(folder / "live.db")},
        }
    )


class Watching:
    """The embedded mode on one camera, in a thread of its own."""

    def __init__(self, source: Source, chosen: Settings) -> None:
        self.store = open_store(chosen.storage)
        classifier = open_classifier(chosen.classifier, chosen.models)
        detectors = open_detectors(chosen.detector, chosen.models, classifier.crop, note=print)
        self.embedded = Embedded([source], detectors, classifier, self.store, chosen)
        self._thread = threading.Thread(target=self.embedded.run)
        self._thread.start()

    def until(self, true: Callable[[], bool], seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.05)

    def end(self) -> None:
        self.embedded.stop()
        self._thread.join(20)
        assert not self._thread.is_alive()
        self.store.close()


def test_a_camera_that_dies_and_comes_back_is_two_runs(camera: RtspServer, tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    watching = Watching(open_source(camera.url, camera_id="door", settings=chosen.ingest), chosen)
    try:
        watching.until(lambda: bool(watching.embedded.runs) and watching.embedded.runs[0].frames > 20)
        camera.stop()
        watching.until(lambda: watching.embedded.runs[0].done)
        camera.start()
        watching.until(lambda: len(watching.embedded.runs) == 2 and watching.embedded.runs[1].frames > 20)
    finally:
        watching.end()
    runs = select(tmp_path / "live.db", "SELECT frames, status, source, error FROM run ORDER BY started_at")
    assert [run[1] for run in runs] == ["lost", "finished"]
    assert "geheim" not in str(runs)
    frames = "SELECT sum(frames) FROM window_stat WHERE person_id = '' AND window_seconds = 10"
    assert select(tmp_path / "live.db", frames) == [(sum(run[0] for run in runs),)]


def test_a_camera_faster_than_the_machine_is_skipped_through_not_queued(camera: RtspServer, tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    source = open_source(camera.url, camera_id="door", settings=chosen.ingest)
    watching = Watching(source, chosen)
    slow = threading.Event()
    detectors = watching.embedded._detectors
    for detector in detectors:
        detect = detector.detect
        detector.detect = lambda pictures, detect=detect: (slow.wait(0.3), detect(pictures))[1]  # type: ignore
    oldest = 0.0
    try:
        watching.until(lambda: bool(watching.embedded.runs) and watching.embedded.runs[0].frames > 10)
        for _ in range(20):
            time.sleep(0.05)
            oldest = max(oldest, time.time() - watching.embedded.runs[0].event_time / 1e9)
    finally:
        slow.set()
        watching.end()
    ((frames, dropped),) = select(tmp_path / "live.db", "SELECT frames, dropped FROM run")
    assert dropped > frames
    assert oldest < 2.0


@pytest.mark.parametrize(
    ("path", "user", "said"), [("/live", "user:falsch", "401"), ("/nowhere", "user:geheim", "404")]
)
def test_a_camera_that_refuses_is_told_in_one_line_without_the_password(
    affectstream: Command, camera: RtspServer, path: str, user: str, said: str
) -> None:
    done = affectstream("run", f"rtsp://{user}@127.0.0.1:{camera.port}{path}")
    assert said in one_line(done, 1)
    for secret in ("geheim", "falsch"):
        assert secret not in done.out + done.err
