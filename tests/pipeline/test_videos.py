"""Whole runs over real recordings, with default settings and YuNet."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from pipeline.cli import main
from tests.pipeline.conftest import Command, assert_same_rows, contents, select

pytestmark = [pytest.mark.xdist_group("tensorflow"), pytest.mark.slow]

VIDEOS = (
    "people.mp4", "stage_dark.mp4", "single_face.mp4", "no_face.mp4", "face_leaves.mov", "smile.mp4", "walk_by.mp4",
)  # fmt: skip
START = ("--start", "2026-01-01T12:00:05Z")
"""Not each file's own time, which is when it was copied: windows must not depend on that."""


class Seen(msgspec.Struct, frozen=True):
    """All recordings, watched at once."""

    database: Path
    said: dict[str, Any]

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        return select(self.database, query)


@pytest.fixture(scope="module")
def seen(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """One run over all recordings."""
    folder = tmp_path_factory.mktemp("videos")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("AFFECTSTREAM_MODELS", str(shared / "models"))
        patch.delenv("AFFECTSTREAM_DETECTOR_NAME", raising=False)
        out = folder / "out.json"
        with out.open("w") as stream:
            patch.setattr("sys.stdout", stream)
            with pytest.raises(SystemExit) as left:
                main(["run", *(str(shared / "videos" / name) for name in VIDEOS), *START, "--json"])
        assert left.value.code == 0
        yield Seen(folder / "affectstream.db", json.loads(out.read_text()))


@pytest.fixture
def with_yunet(affectstream: Command, shared: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command line with default settings, where YuNet's model is."""
    monkeypatch.setenv("AFFECTSTREAM_MODELS", str(shared / "models"))
    monkeypatch.delenv("AFFECTSTREAM_DETECTOR_NAME")
    return affectstream


@pytest.mark.parametrize("name", VIDEOS)
def test_every_frame_of_a_file_is_accounted_for(seen: Seen, shared: Path, name: str) -> None:
    if shutil.which("ffprobe") is None:
        pytest.skip("ffprobe, which counts the frames, is not installed")
    probe = [
        "ffprobe", "-v", "error", "-count_frames", "-select_streams", "v:0", "-show_entries", "stream=nb_read_frames",
        "-of", "csv=p=0", str(shared / "videos" / name),
    ]  # fmt: skip
    expected = int(subprocess.run(probe, capture_output=True, text=True, check=True).stdout.strip().rstrip(","))
    camera = Path(name).stem
    assert seen.ask(f"SELECT frames, status FROM run WHERE camera_id = '{camera}'") == [(expected, "finished")]
    for seconds in (10, 60, 900):
        counted = seen.ask(
            f"SELECT sum(frames) FROM window_stat WHERE camera_id = '{camera}' AND person_id = '' "
            f"AND window_seconds = {seconds}"
        )
        assert counted == [(expected,)]


@pytest.mark.parametrize("camera", ["single_face", "smile"])
def test_one_face_is_one_person(seen: Seen, camera: str) -> None:
    assert len(seen.ask(f"SELECT person_id FROM person WHERE camera_id = '{camera}'")) == 1


def test_the_smile_is_happy(seen: Seen) -> None:
    assert {row[0] for row in seen.ask(
        "SELECT dominant FROM window_stat WHERE camera_id = 'smile' AND window_seconds = 900"
    )} == {"happy"}  # fmt: skip


def test_where_there_is_no_face_there_is_nobody(seen: Seen) -> None:
    for table in ("person", "observation", "stress_episode"):
        assert seen.ask(f"SELECT count(*) FROM {table} WHERE camera_id = 'no_face'") == [(0,)]
    windows = seen.ask("SELECT people, observations, mean_happy, dominant FROM window_stat WHERE camera_id = 'no_face'")
    assert len(windows) >= 3
    assert set(windows) == {(0, 0, None, None)}


def test_yunet_finds_at_least_five_faces_in_a_frame_of_people(seen: Seen) -> None:
    ((faces, frames),) = seen.ask("SELECT faces, frames FROM run WHERE camera_id = 'people'")
    assert faces / frames >= 5.0


def test_every_face_found_is_stored_once(seen: Seen) -> None:
    assert seen.ask("SELECT count(*), count(DISTINCT run_id || seq || '/' || face) FROM observation") == [
        (seen.said["faces"], seen.said["faces"])
    ]


@pytest.mark.parametrize("name", ["single_face.mp4", "people.mp4"])
def test_one_alone_gives_the_same_rows_as_among_others(
    seen: Seen, with_yunet: Command, shared: Path, tmp_path: Path, name: str
) -> None:
    assert with_yunet("run", shared / "videos" / name, *START, "--db", "alone.db").code == 0
    camera = Path(name).stem
    assert_same_rows(contents(tmp_path / "alone.db", camera), contents(seen.database, camera))


def test_memory_stays_bounded_over_a_long_video(
    with_yunet: Command, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """people.mp4 twenty times over in one run: less than 5 % more after the second pass."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg, which makes the long video, is not installed")
    video = shared / "videos" / "people.mp4"
    loop = ["ffmpeg", "-v", "error", "-stream_loop", "19", "-i", video, "-an", "-c", "copy", tmp_path / "long.mp4"]
    subprocess.run(list(map(str, loop)), check=True)
    process, resident = psutil.Process(), {}

    def watch(self: Any) -> None:
        frames = sum(run.frames for run in self._embedded.runs)
        resident[frames // 460] = process.memory_info().rss

    monkeypatch.setattr("pipeline.progress.Progress.update", watch)
    assert with_yunet("run", "long.mp4", "--json").object["frames"] == 20 * 460
    assert max(resident[n] for n in range(3, 20) if n in resident) < resident[2] * 1.05, resident
