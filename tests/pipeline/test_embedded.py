"""When a stage fails, one frame is lost with a reason, or all ends with an error; nothing hangs."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from classifier import open_classifier
from contracts.errors import SourceError, StageError, StorageError
from contracts.messages import F32, U8, Faces, Frame, Picture, RunEnded, RunStarted
from contracts.rows import Rows
from contracts.settings import Settings
from contracts.stages import Classifier, CropSpec, Detector
from detector import open_detector
from ingest import open_source
from ingest.demo import DemoSource
from pipeline.embedded import Embedded
from storage import open_store
from storage.store import Store
from tests.pipeline.conftest import select

pytestmark = [pytest.mark.xdist_group("tensorflow"), pytest.mark.timeout(120)]

SETTINGS = Settings.model_validate({"detector": {"name": "haar", "workers": 2}})


class Touchy:
    """A real detector that fails where it is told to."""

    name = "touchy"

    def __init__(self, inner: Detector, fail: Callable[[Picture], None]) -> None:
        self._inner, self._fail = inner, fail

    def detect(self, pictures: Sequence[Picture]) -> list[Faces]:
        for picture in pictures:
            self._fail(picture)
        return self._inner.detect(pictures)

    def close(self) -> None:
        self._inner.close()


class Squeamish:
    """A real classifier that refuses a batch with more than so many crops."""

    def __init__(self, inner: Classifier, most: int) -> None:
        self._inner, self._most = inner, most

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def crop(self) -> CropSpec:
        return self._inner.crop

    def classify(self, crops: U8) -> F32:
        if len(crops) > self._most:
            raise StageError(f"{len(crops)} crops are too many")
        return self._inner.classify(crops)

    def close(self) -> None:
        self._inner.close()


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return open_classifier(SETTINGS.classifier, SETTINGS.models)


def run(
    folder: Path, classifier: Classifier, fail: Callable[[Picture], None], store: Store | None = None
) -> tuple[Embedded, Path]:
    database = folder / "db"
    settings = SETTINGS.model_copy(update={"storage": SETTINGS.storage.model_copy(update={"url": str(database)})})
    store = store or open_store(settings.storage)
    detectors = [
        Touchy(open_detector(SETTINGS.detector, SETTINGS.models, classifier.crop, note=print), fail) for _ in range(2)
    ]
    source = open_source("demo:4", camera_id="demo", settings=settings.ingest)
    embedded = Embedded([source], detectors, classifier, store, settings)
    try:
        embedded.run()
    finally:
        store.close()
    return embedded, database


def every(times: int, error: Exception) -> Callable[[Picture], None]:
    lock, seen = threading.Lock(), iter(range(10**6))

    def fail(_: Picture) -> None:
        with lock:
            if next(seen) % times == times - 1:
                raise error

    return fail


def test_a_run_that_goes_on_says_how_far_it_has_come(
    tmp_path: Path, classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A camera's may go on for days, and be killed."""
    monkeypatch.setattr("pipeline.sink.COUNTED_EVERY", 0.0)
    counted: list[tuple[str, int, int]] = []
    settings = SETTINGS.model_copy(update={"storage": SETTINGS.storage.model_copy(update={"batch_rows": 5})})
    store = open_store(settings.storage.model_copy(update={"url": str(tmp_path / "db")}))
    source = open_source("demo:4", camera_id="demo", settings=settings.ingest)
    detector = open_detector(SETTINGS.detector, SETTINGS.models, classifier.crop, note=print)
    embedded = Embedded([source], [detector], classifier, store, settings)
    with closing(store):
        query = "SELECT status, frames, faces FROM run"
        embedded.run(lambda: counted.extend(select(tmp_path / "db", query)))
    running = [(frames, faces) for status, frames, faces in counted if status == "running"]
    assert running == sorted(running)
    assert 0 < running[-1][0] <= 100
    assert running[-1][1] > 0
    assert select(tmp_path / "db", query) == [("finished", 100, embedded.runs[0].faces)]


def test_a_frame_that_cannot_be_searched_is_a_dead_letter_and_the_rest_goes_on(
    tmp_path: Path, classifier: Classifier
) -> None:
    _, database = run(tmp_path, classifier, every(10, StageError("too ugly")))
    assert select(database, "SELECT count(*), stage, reason FROM dead_letter GROUP BY 2, 3") == [
        (10, "detect", "too ugly")
    ]
    assert select(database, "SELECT frames, status FROM run") == [(100, "finished")]
    frames = "SELECT sum(frames) FROM window_stat WHERE window_seconds = 10 AND person_id = ''"
    assert select(database, frames) == [(100,)]


def test_of_a_batch_that_is_refused_only_the_guilty_frames_are_lost(tmp_path: Path, classifier: Classifier) -> None:
    _, database = run(tmp_path, Squeamish(classifier, 1), lambda _: None)
    letters = select(database, "SELECT DISTINCT stage, reason FROM dead_letter")
    assert letters == [("classify", "2 crops are too many")]
    ((dead, stored, faces),) = select(
        database,
        "SELECT (SELECT count(*) FROM dead_letter), (SELECT count(*) FROM observation), (SELECT faces FROM run)",
    )
    assert dead > 0
    assert stored == faces > 0


def test_faces_are_classified_in_company_while_more_of_them_are_on_their_way(
    tmp_path: Path, classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.embedded.COMPANY", 1.0)  # however slow the machine is
    embedded, database = run(tmp_path, classifier, lambda _: time.sleep(0.002))
    assert select(database, "SELECT frames, status FROM run") == [(100, "finished")]
    assert embedded.meter.figures()["classify"]["batches"] < 20


def test_a_fault_that_nobody_foresaw_ends_the_run_and_keeps_what_was_done(
    tmp_path: Path, classifier: Classifier
) -> None:
    with pytest.raises(ZeroDivisionError):
        run(tmp_path, classifier, every(60, ZeroDivisionError()))
    assert select(tmp_path / "db", "SELECT status, error FROM run") == [("failed", "ZeroDivisionError")]


def test_a_store_that_refuses_ends_the_run(tmp_path: Path, classifier: Classifier) -> None:
    class Refusing(Store):
        def write(self, rows: Rows) -> None:
            raise StorageError("the disk is full")

    store = Refusing(SETTINGS.storage.model_copy(update={"url": str(tmp_path / "db")}))
    with pytest.raises(StorageError, match="full"):
        run(tmp_path, classifier, lambda _: None, store)


def test_a_source_that_breaks_in_mid_run_closes_its_run(
    tmp_path: Path, classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ingest.demo_scene import Scene

    draw = Scene.draw

    def breaking(self: Scene, t: float) -> Picture:
        if t > 2:
            raise SourceError("the lens fell off")
        return np.asarray(draw(self, t))

    monkeypatch.setattr(Scene, "draw", breaking)
    embedded, database = run(tmp_path, classifier, lambda _: None)
    assert [str(error) for error in embedded.errors] == ["the lens fell off"]
    ((frames, status, error),) = select(database, "SELECT frames, status, error FROM run")
    assert (status, error) == ("failed", "the lens fell off")
    assert (
        frames
        == select(database, "SELECT sum(frames) FROM window_stat WHERE person_id = '' AND window_seconds = 10")[0][0]
        > 40
    )


def test_what_a_source_still_gives_while_it_closes_is_not_lost_to_an_interrupt(
    tmp_path: Path, classifier: Classifier
) -> None:
    class Lingering(DemoSource):
        """Asks for the end after 30 frames, and gives more of them for half a second after it was told to close."""

        def events(self) -> Iterator[RunStarted | Frame | RunEnded]:
            for event in super().events():
                yield event
                if isinstance(event, Frame) and event.seq == 30:
                    os.kill(os.getpid(), signal.SIGUSR1)

        def close(self) -> None:
            threading.Timer(0.5, super().close).start()

    settings = SETTINGS.storage.model_copy(update={"url": str(tmp_path / "db")})
    before = signal.signal(signal.SIGUSR1, signal.default_int_handler)
    try:
        with closing(open_store(settings)) as store:
            detector = open_detector(SETTINGS.detector, SETTINGS.models, classifier.crop, note=print)
            Embedded([Lingering(600, "demo", SETTINGS.ingest)], [detector], classifier, store, SETTINGS).run()
    finally:
        signal.signal(signal.SIGUSR1, before)
    ((frames, status),) = select(tmp_path / "db", "SELECT frames, status FROM run")
    assert status == "interrupted"
    stored = "SELECT sum(frames) FROM window_stat WHERE window_seconds = 10 AND person_id = ''"
    assert select(tmp_path / "db", stored) == [(frames,)]
    assert frames > 31
