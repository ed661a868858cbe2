"""Recordings: every decodable frame, at its own time, and a clear word where something is lost or wrong."""

import os
import shutil
import struct
import subprocess
import threading
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from contracts.errors import InputError
from contracts.messages import Frame, RunEnded, RunStarted
from contracts.settings import IngestSettings
from ingest import open_source
from ingest.runs import SECOND
from tests.ingest.making import ending, frames, read, record

EVEN = range(0, 4000, 40)


def ns(when: str) -> int:
    return round(datetime.fromisoformat(when).timestamp()) * SECOND


@pytest.mark.parametrize("name", ["people", "no_face", "single_face", "smile", "stage_dark", "walk_by", "face_leaves"])
def test_every_decodable_frame_of_a_real_recording_is_delivered(shared: Path, name: str) -> None:
    path = next((shared / "videos").glob(f"{name}.*"))
    if not shutil.which("ffprobe"):
        pytest.skip("ffprobe, which counts independently, is not installed")
    ask = ["ffprobe", "-v", "quiet", "-select_streams", "v:0", "-count_frames", "-of", "csv=p=0"]
    ask += ["-show_entries", "stream=nb_read_frames", str(path)]
    count = subprocess.run(ask, capture_output=True, check=True, timeout=60)
    number, previous = 0, 0
    for event in open_source(str(path), camera_id=None, settings=IngestSettings()).events():
        if isinstance(event, Frame):
            assert event.seq == number
            assert event.captured_at >= previous
            assert event.picture.flags.c_contiguous
            number, previous = number + 1, event.captured_at
    assert number == int(count.stdout.split()[0].strip(b","))
    assert isinstance(event, RunEnded)
    assert (event.error, event.interrupted) == (None, False)


@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "mpeg4"), ("mkv", "libx264"), ("avi", "mpeg4"), ("ts", "mpeg4")])
def test_any_container_gives_its_pictures(tmp_path: Path, suffix: str, codec: str) -> None:
    path = record(tmp_path / f"My film.{suffix}", EVEN, codec=codec)
    events = read(path)
    first = events[0]
    assert isinstance(first, RunStarted)
    assert (first.camera_id, first.width, first.height, first.live) == ("My-film", 160, 96, False)
    assert len(frames(events)) == 100
    assert ending(events).error is None
    assert {shot.picture.shape for shot in frames(events)} == {(96, 160, 3)}
    assert {shot.picture.dtype for shot in frames(events)} == {np.dtype(np.uint8)}
    assert len({event.run_id for event in events}) == 1


def test_event_time_follows_the_containers_presentation_times(tmp_path: Path) -> None:
    uneven = [0, 40, 45, 300, 1000, 1033, 2500]
    path = record(tmp_path / "vfr.mkv", uneven, created="2024-05-06T07:08:09Z")
    shots = frames(read(path))
    assert [(shot.captured_at - ns("2024-05-06T07:08:09+00:00")) // 1_000_000 for shot in shots] == uneven


@pytest.mark.parametrize(
    ("created", "start", "expected"),
    [
        ("2024-05-06T07:08:09Z", "recorded", "2024-05-06T07:08:09+00:00"),
        ("1904-01-01T00:00:00Z", "recorded", "2020-01-02T03:04:05+00:00"),  # a clock that was never set: mtime
        ("2999-01-01T00:00:00Z", "recorded", "2020-01-02T03:04:05+00:00"),
        (None, "recorded", "2020-01-02T03:04:05+00:00"),
        ("2024-05-06T07:08:09Z", "2025-03-01T09:30:00+01:00", "2025-03-01T08:30:00+00:00"),
    ],
)
def test_the_start_is_the_recordings_own_or_the_users(
    tmp_path: Path, created: str | None, start: str, expected: str
) -> None:
    path = record(tmp_path / "film.mkv", [0, 40], created=created)
    os.utime(path, ns=(ns("2020-01-02T03:04:05+00:00"),) * 2)
    events = read(path, start=start)
    assert isinstance(events[0], RunStarted)
    assert events[0].started_at == frames(events)[0].captured_at == ns(expected)


def test_start_now_is_now(tmp_path: Path) -> None:
    events = read(record(tmp_path / "film.mkv", [0, 40]), start="now")
    assert abs(frames(events)[0].captured_at - time.time_ns()) < 5 * SECOND


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_telephone_held_upright_gives_upright_pictures(tmp_path: Path, degrees: int) -> None:
    path = record(tmp_path / "phone.mp4", EVEN[:5])
    straight = frames(read(path))[0].picture
    turn = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}[degrees]
    a, b, c, d = (value << 16 for value in turn)
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40  # the track header's, of version 0
    data[matrix : matrix + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    turned = frames(read(path))[0].picture
    # The matrix says how far to turn clockwise.
    assert np.array_equal(turned, np.rot90(straight, -degrees // 90))


def test_realtime_takes_as_long_as_the_recording_and_max_does_not(tmp_path: Path) -> None:
    path = record(tmp_path / "film.mp4", range(0, 1000, 40))
    read(path)  # the libraries are loaded
    took = {}
    for pace in ("max", "realtime"):
        began = time.monotonic()
        assert len(frames(read(path, pace=pace))) == 25
        took[pace] = time.monotonic() - began
    assert took["max"] < 0.7
    assert 0.95 < took["realtime"] < 3


def test_close_from_another_thread_ends_it_with_a_run_ended(tmp_path: Path) -> None:
    path = record(tmp_path / "film.mp4", range(0, 60_000, 1000))
    source = open_source(str(path), camera_id=None, settings=IngestSettings(pace="realtime"))
    began = time.monotonic()
    threading.Timer(0.3, source.close).start()
    events = read(source)
    assert time.monotonic() - began < 3
    assert ending(events).frames == len(frames(events)) == 1
    assert (ending(events).interrupted, ending(events).error) == (True, None)


def test_a_recording_can_be_read_again_as_a_new_run(tmp_path: Path) -> None:
    source = open_source(str(record(tmp_path / "film.mp4", EVEN)), camera_id=None, settings=IngestSettings())
    one, two = read(source), read(source)
    assert len(one) == len(two)
    assert one[0].run_id != two[0].run_id
    assert source.frames_expected == 100


def cut(path: Path, share: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_the_good_part_of_a_cut_recording_is_delivered_and_the_loss_is_told(
    tmp_path: Path, suffix: str, codec: str
) -> None:
    options = {"movflags": "faststart"} if suffix == "mp4" else {}
    path = cut(record(tmp_path / f"film.{suffix}", EVEN, codec=codec, options=options), 0.6)
    events = read(path)
    number = len(frames(events))
    assert 45 <= number <= 65
    error = str(ending(events).error)
    assert "film." in error
    assert "is damaged after 2." in error
    assert f"{number} of about 100 frames were read" in error
    assert "\n" not in error


def test_as_many_frames_of_a_cut_recording_as_ffprobe_finds(shared: Path, tmp_path: Path) -> None:
    if not shutil.which("ffmpeg"):
        pytest.skip("ffmpeg, which moves the index to the front, is not installed")
    path = tmp_path / "people.mp4"
    real = str(shared / "videos" / "people.mp4")
    move = ["ffmpeg", "-v", "error", "-i", real, "-c", "copy", "-movflags", "+faststart", str(path)]
    subprocess.run(move, check=True, timeout=60)
    events = read(cut(path, 0.5))
    assert len(frames(events)) == 206
    assert "206 of about 460 frames were read" in str(ending(events).error)


@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "libx264"), ("mp4", "mpeg4")])
def test_damage_in_the_middle_is_skipped_and_told(tmp_path: Path, suffix: str, codec: str) -> None:
    path = record(tmp_path / f"film.{suffix}", EVEN, codec=codec)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4000] = np.random.default_rng(1).bytes(4000)
    path.write_bytes(data)
    events = read(path)
    assert 80 <= len(frames(events)) <= 100
    assert frames(events)[-1].captured_at - frames(events)[0].captured_at > 3.5 * SECOND
    assert "could not be decoded and w" in str(ending(events).error)


def make_unfinished(folder: Path) -> Path:
    return cut(record(folder / "film.mp4", EVEN), 0.5)


def make_text(folder: Path) -> Path:
    path = folder / "film.mp4"
    path.write_text("no film at all\n" * 100)
    return path


def make_empty(folder: Path) -> Path:
    path = folder / "film.mp4"
    path.touch()
    return path


def make_sound(folder: Path) -> Path:
    import av

    path = folder / "film.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
        sound.rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    return path


def make_frameless(folder: Path) -> Path:
    """The index promises pictures; where they should be, there are only zeros."""
    path = record(folder / "film.mp4", EVEN[:5])
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    end = data.index(b"moov") - 4
    data[start:end] = bytes(end - start)
    path.write_bytes(data)
    return path


def make_playlist(folder: Path) -> Path:
    path = folder / "film.mp4"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/secret.ts\n")
    return path


def make_endless_playlist(folder: Path) -> Path:
    path = folder / "film.m3u8"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nmissing.ts\n")  # its writer would add to it
    return path


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder / "film.mp4", "no such file"),
        (lambda folder: folder, "is a folder"),
        (make_empty, "is empty"),
        (make_text, "is not a video"),
        (make_sound, "has no video"),
        (make_unfinished, "cut off or was never finished"),
        (make_frameless, "has no frames"),
        (make_playlist, "is not a video|has no video"),
        (make_endless_playlist, "is not a video"),
    ],
    ids=["missing", "folder", "empty", "text", "sound", "unfinished", "frameless", "playlist", "endless"],
)
def test_what_is_no_recording_is_refused_in_one_line(
    tmp_path: Path, make: object, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert callable(make)
    path = make(tmp_path)
    with pytest.raises(InputError, match=words) as refused:
        read(path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert refused.value.exit_code == 2
    assert capfd.readouterr().err == ""
