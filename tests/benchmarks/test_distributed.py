"""`affectstream bench distributed`: every part and every step is measured, on real servers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import batching, books, distributed, transport
from benchmarks.batching import Batches
from benchmarks.costs import PARTS
from benchmarks.messages import EVERY, Messages, placed, started
from benchmarks.result import Table, middle
from contracts.errors import InputError
from contracts.settings import Settings
from tests.ingest.making import record
from tests.pipeline.distributed.cluster import Cluster, cluster
from tests.services import kafka, postgres, redis

pytestmark = [pytest.mark.xdist_group("kafka"), pytest.mark.timeout(300), pytest.mark.slow]
HAAR = Settings.model_validate({"detector": {"name": "haar"}})


@pytest.fixture(scope="module")
def messages() -> Messages:
    return Messages(Path("demo:2"), HAAR, 10)


@pytest.fixture(scope="module")
def place() -> Iterator[Cluster]:
    missing = kafka.why_not_real()
    if postgres.postgres_programs() is None or redis.redis_program() is None or missing:
        pytest.skip(missing or f"{redis.MISSING}; {postgres.MISSING}")
    with cluster() as servers:
        yield servers


@pytest.fixture(autouse=True)
def _haar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFFECTSTREAM_DETECTOR_NAME", "haar")


def positive(table: Table, places: slice) -> bool:
    return all((middle(cell) or 0) > 0 for row in table.rows for cell in row[places])


def test_frames_are_taken_from_all_over_the_recording_and_every_stage_has_its_message(messages: Messages) -> None:
    assert [frame.seq for frame in messages.jpegs] == list(range(0, 50, 5))
    for frame, faces, emotions in zip(messages.jpegs, messages.faces, messages.emotions, strict=True):
        assert frame.seq == faces.seq == emotions.seq
        assert len(faces.faces) == len(emotions.boxes) == len(emotions.probabilities)
    assert messages.many == sum(len(frame.boxes) for frame in messages.emotions) / 10 > 0


def test_a_recording_begins_again_where_more_frames_are_asked_for(messages: Messages) -> None:
    run = started("door", 1000)
    frame = placed(messages.jpegs, run)
    again = frame(23)
    assert (again.camera_id, again.run_id, again.seq) == ("door", run.run_id, 23)
    assert again.captured_at == 1000 + 23 * EVERY
    assert again.jpeg == messages.jpegs[3].jpeg


def test_a_recording_without_a_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="film"):
        Messages(record(tmp_path / "film.mp4", []), HAAR, 10)


def test_batches_are_counted_bucket_by_bucket() -> None:
    inf = float("inf")
    before = Batches({0: 1, 1: 1, 2: 2, 4: 2, inf: 2}, 3)
    since = Batches({0: 1, 1: 2, 2: 3, 4: 6, inf: 8}, 40).since(before)
    assert since.by_bucket() == {"0": 0, "1": 1, "2": 0, "3-4": 3, "over 4": 2}
    assert (since.number, since.faces) == (6, 37)


def test_each_step_of_the_way_is_measured(place: Cluster, messages: Messages) -> None:
    table = transport.measure(place, messages, rounds=1)
    steps = [str(row[0]).partition(":")[0] for row in table.rows]
    assert list(dict.fromkeys(steps)) == [
        "JPEG", "message of frame", "message of faces", "message of emotions", "Redis", "Kafka", "Postgres"
    ]  # fmt: skip
    assert positive(table, slice(1, None))


def test_the_batches_of_every_load_are_counted(place: Cluster, messages: Messages) -> None:
    overview, sizes = batching.measure(place, messages, seconds=0.4)
    assert len(overview.rows) == len(batching.THROUGH) + len(batching.DIRECTLY)
    counts = list(zip(*(row[1:] for row in sizes.rows), strict=True))
    for row, by_size in zip(overview.rows, counts, strict=True):
        _, offered, carried, number, mean = (middle(cell) or 0 for cell in row)
        assert offered > 0
        assert carried > 0
        assert number == sum(middle(cell) or 0 for cell in by_size)
        assert mean > 0


def test_the_books_are_measured_for_one_camera_and_for_many(place: Cluster) -> None:
    table = books.measure(place, (1, 3), messages=400)
    assert [row[0] for row in table.rows] == ["1", "3"]
    assert positive(table, slice(1, 3))
    assert positive(table, slice(4, None))


def test_the_workers_are_measured_beside_one_process(place: Cluster, tmp_path: Path) -> None:
    video = record(tmp_path / "film.mp4", range(0, 2000, 40))
    alone, together = distributed.embedded(video), distributed.distributed(place, video, 1)
    assert alone.frames == together.frames == 50
    assert alone.faces == together.faces
    assert set(together.parts) == set(PARTS)
    assert together.redis_bytes > 1000
    assert together.wal_bytes > 0
