"""Live cameras: fresh pictures or none, back after every loss, and never a word of their passwords."""

import functools
import logging
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contracts.errors import SourceError
from contracts.messages import Frame, RunEnded, RunStarted
from contracts.settings import IngestSettings
from contracts.stages import Source
from ingest import open_source
from ingest.live import LiveSource, Shot
from pipeline.jpeg import to_picture
from tests.ingest.making import Events, JpegCamera, ending, frames, record, silent_server
from tests.services.processes import free_port
from tests.services.rtsp import RtspServer, why_not

LOG = "affectstream.ingest"
Camera = Callable[..., RtspServer]


def camera(url: str, **settings: Any) -> Source:
    quick = {"open_timeout": 2.0, "stall_seconds": 1.0, "reconnect_first": 0.1, "reconnect_max": 0.3} | settings
    return open_source(url, camera_id="cam", settings=IngestSettings(**quick))


def watch(source: Source, enough: Callable[[Events], bool], seconds: float = 15.0) -> Events:
    """What comes until it is enough; the source is closed then."""
    events: Events = []
    guard = threading.Timer(seconds, source.close)
    guard.start()
    try:
        for event in source.events():
            events.append(event)
            if enough(events):
                source.close()
    finally:
        guard.cancel()
    return events


def runs(events: Events) -> list[str]:
    return [event.run_id for event in events if isinstance(event, RunStarted)]


@pytest.fixture
def rtsp() -> Iterator[Camera]:
    """Makes RTSP cameras, switched on."""
    if reason := why_not():
        pytest.skip(reason)
    made: list[RtspServer] = []

    def make(**looks: Any) -> RtspServer:
        made.append(RtspServer(**looks))
        made[-1].start()
        return made[-1]

    yield make
    for server in made:
        server.stop()


def test_an_rtsp_camera_gives_numbered_frames_of_now(rtsp: Camera) -> None:
    before = time.time_ns()
    events = watch(camera(rtsp(width=320, height=240).url), lambda so_far: len(frames(so_far)) == 10)
    first, shots, end = events[0], frames(events), ending(events)
    assert isinstance(first, RunStarted)
    assert (first.width, first.height, first.live) == (320, 240, True)
    assert [shot.seq for shot in shots] == list(range(10))
    times = [shot.captured_at for shot in shots]
    assert before < first.started_at == times[0]
    assert times == sorted(times)
    assert times[-1] <= end.ended_at <= time.time_ns() + 10**9
    assert (end.frames, end.error, end.interrupted) == (10, None, False)


def test_a_recording_over_rtsp_loses_none_of_its_first_pictures(rtsp: Camera, shared: Path) -> None:
    server = rtsp(recording=shared / "videos" / "single_face.mp4")
    events = watch(camera(server.url), lambda so_far: isinstance(so_far[-1], RunEnded))
    assert ending(events).frames + ending(events).dropped >= 70
    assert ending(events).error == "the stream ended"


def test_a_camera_that_dies_comes_back_as_a_new_run_and_may_look_different(
    rtsp: Camera, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, LOG)
    server = rtsp(width=320, height=240, user="viewer", password="s3cret")

    def enough(events: Events) -> bool:
        if len(events) == 6:
            server.stop()
            server.width, server.height = 160, 120
            threading.Timer(0.7, server.start).start()
        return len(runs(events)) == 2 and len(frames(events)) == 20

    events = watch(camera(server.url), enough)
    assert len(set(runs(events))) == 2
    ends = [event for event in events if isinstance(event, RunEnded)]
    assert ends[0].error
    assert ends[1].error is None
    for run_id in runs(events):
        mine = [shot for shot in frames(events) if shot.run_id == run_id]
        assert [shot.seq for shot in mine] == list(range(len(mine)))
        assert next(end.frames for end in ends if end.run_id == run_id) == len(mine)
    assert {shot.picture.shape[:2] for shot in frames(events)} == {(240, 320), (120, 160)}
    lines = [record.getMessage() for record in caplog.records]
    assert [line.split(":")[1].split()[0] for line in lines] == ["receiving", "lost", "receiving"]
    assert not any("s3cret" in line or "viewer" in line for line in lines)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("rtsp://viewer:s3cret-wrong@127.0.0.1:{port}/live", r"refused \(401\)"),
        ("rtsp://127.0.0.1:{port}/live?token=s3cret", r"refused \(401\)"),
        ("rtsp://viewer:s3cret@127.0.0.1:{port}/s3", r"no such stream \(404\)"),
    ],
)
def test_a_camera_that_refuses_is_told_at_once_and_no_password_with_it(
    rtsp: Camera, asked: str, words: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    server = rtsp(user="viewer", password="s3cret")
    refused_quietly(asked.format(port=server.port), words, 5.0, caplog, capfd)


def refused_quietly(
    url: str, words: str, seconds: float, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    began = time.monotonic()
    source = camera(url)
    with pytest.raises(SourceError, match=words) as refused:
        list(source.events())
    assert time.monotonic() - began < seconds
    message = str(refused.value)
    assert refused.value.exit_code == 1
    assert "\n" not in message
    told = capfd.readouterr()
    everything = [message, repr(source), caplog.text, told.out, told.err, *traceback.format_exception(refused.value)]
    assert not [text for text in everything if "s3cret" in text]
    assert refused.value.__context__ is None
    assert told.err == ""


@pytest.mark.parametrize("scheme", ["rtsp", "http", "rtmp", "tcp"])
def test_nobody_there_is_told_at_once(
    scheme: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    url = f"{scheme}://viewer:s3cret@127.0.0.1:{free_port()}/live?password=s3cret"
    refused_quietly(url, f"^{scheme}://.*nobody answers|failed", 5.0, caplog, capfd)


def test_a_host_that_does_not_exist_is_told(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    refused_quietly("rtsp://a:s3cret@no-such-host.invalid/x", "no host of this name", 8.0, caplog, capfd)


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_server_that_says_nothing_is_given_up_in_time(
    scheme: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with silent_server() as port:
        refused_quietly(f"{scheme}://a:s3cret@127.0.0.1:{port}/x", "no answer for 2 s", 6.0, caplog, capfd)


def test_a_webcam_that_is_not_there_is_told_without_noise(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    refused_quietly("webcam:97", "no such webcam", 3.0, caplog, capfd)


def test_a_camera_that_falls_silent_is_reconnected() -> None:
    with JpegCamera(limit=8) as server:
        began = time.monotonic()
        events = watch(camera(server.url, stall_seconds=0.6), lambda so_far: len(runs(so_far)) == 2)
        assert time.monotonic() - began < 5
    first = next(event for event in events if isinstance(event, RunEnded))
    assert first.error == "no picture for 0.6 s"
    assert 6 <= first.frames + first.dropped <= 8


def test_a_stream_that_ends_is_reconnected() -> None:
    with JpegCamera(limit=6, hang_up=True) as server:
        events = watch(camera(server.url), lambda so_far: len(runs(so_far)) == 3)
        assert server.visits == 3
    assert all(end.error for end in [event for event in events if isinstance(event, RunEnded)][:2])


def test_a_change_of_size_in_mid_stream_changes_nothing_else() -> None:
    with JpegCamera(sizes=[(160, 96), (320, 240)], limit=20) as server:
        events = watch(camera(server.url), lambda so_far: len(frames(so_far)) == 16)
    assert len(runs(events)) == 1
    assert {shot.picture.shape for shot in frames(events)} == {(96, 160, 3), (240, 320, 3)}


def test_jpeg_that_a_camera_sends_is_passed_on_as_it_came() -> None:
    sent: list[bytes] = []

    def noted(jpeg: bytes) -> bytes:
        sent.append(jpeg)
        return jpeg

    with JpegCamera(damage=noted) as server:
        events = watch(camera(server.url), lambda so_far: len(frames(so_far)) == 5)
    for shot in frames(events):
        assert shot.jpeg in sent
        assert np.array_equal(to_picture(shot.jpeg), shot.picture)


def _without_tables(jpeg: bytes) -> bytes:
    while (at := jpeg.find(b"\xff\xc4")) > 0:
        jpeg = jpeg[:at] + jpeg[at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big") :]
    return jpeg


@pytest.mark.parametrize("damage", [_without_tables, lambda jpeg: jpeg[:-2]], ids=["tables", "end"])
def test_jpeg_that_not_everybody_can_read_is_not_passed_on(damage: Callable[[bytes], bytes]) -> None:
    with JpegCamera(damage=damage) as server:
        events = watch(camera(server.url), lambda so_far: len(frames(so_far)) == 3)
    assert {shot.jpeg for shot in frames(events)} == {b""}
    assert all(shot.picture.shape == (96, 160, 3) for shot in frames(events))


def test_a_slow_consumer_gets_fresh_frames_and_the_skipped_are_counted() -> None:
    ages = []

    def slow(events: Events) -> bool:
        if isinstance(events[-1], Frame):
            ages.append((time.time_ns() - events[-1].captured_at) / 1e6)
            time.sleep(0.2)
        return len(frames(events)) == 8

    with JpegCamera() as server:
        events = watch(camera(server.url), slow)
    assert max(ages) < 500  # ms; a queue would have made them older with every frame, to 1.2 s
    assert ending(events).dropped > 10
    assert [shot.seq for shot in frames(events)] == list(range(8))


def test_it_gives_up_after_the_attempts_that_were_asked_for() -> None:
    with JpegCamera(limit=3, hang_up=True) as server:
        source = camera(server.url, attempts=2)
        events = source.events()
        while not isinstance(next(events), RunEnded):
            pass
    with pytest.raises(SourceError, match="2 times in a row"):
        list(events)


def test_waits_between_attempts_double_up_to_the_longest() -> None:
    settings = IngestSettings(reconnect_first=1, reconnect_max=10)
    source = LiveSource("x", "x", settings, lambda stop: iter(()))  # type: ignore[arg-type, return-value]
    waits = [[source._pause(failures) for _ in range(50)] for failures in (0, 1, 2, 3, 4, 1000)]
    for around, some in zip((1, 2, 4, 8), waits, strict=False):
        assert 0.75 * around <= min(some) < max(some) <= min(10, 1.25 * around)
    assert max(waits[-1]) == 10


@pytest.mark.parametrize("moment", ["opening", "stalled", "waiting", "before"])
def test_close_from_another_thread_ends_it_promptly(moment: str) -> None:
    long = {"open_timeout": 30, "stall_seconds": 30, "reconnect_first": 30, "reconnect_max": 60}
    with silent_server() as port, JpegCamera(limit=4, hang_up=moment == "waiting") as server:
        source = camera(f"rtsp://127.0.0.1:{port}/x" if moment == "opening" else server.url, **long)
        if moment == "before":
            source.close()
        threading.Timer(0.8, source.close).start()
        began = time.monotonic()
        events = list(source.events())
        assert time.monotonic() - began < 4
    assert (moment in {"stalled", "waiting"}) == bool(events)
    if events:
        assert ending(events).frames == len(frames(events)) >= 1


def test_a_film_on_a_web_server_plays_at_its_own_pace_and_then_again(tmp_path: Path) -> None:
    record(tmp_path / "film.mp4", range(0, 1000, 40), options={"movflags": "faststart"})

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/film.mp4"
        events = watch(camera(url), lambda so_far: len(runs(so_far)) == 2)
        server.shutdown()
    first = [shot for shot in frames(events) if shot.run_id == runs(events)[0]]
    assert len(first) >= 15  # played too fast, most would have been dropped
    assert 0.7e9 < first[-1].captured_at - first[0].captured_at < 3e9


def test_a_clock_that_is_set_back_begins_a_new_run(monkeypatch: pytest.MonkeyPatch) -> None:
    now, ahead = time.time_ns, [3600 * 10**9]
    monkeypatch.setattr("ingest.live.time.time_ns", lambda: now() + ahead[0])

    def pictures(stop: threading.Event) -> Generator[Shot, None, None]:
        while not stop.wait(0.02):
            yield lambda: (np.zeros((8, 8, 3), np.uint8), b"")

    source = LiveSource("cam", "cam", IngestSettings(reconnect_first=0.05, reconnect_max=0.1), pictures)

    def enough(events: Events) -> bool:
        if len(frames(events)) == 5:
            ahead[0] = 0
        return len(runs(events)) == 2 and len(frames(events)) >= 12

    events = watch(source, enough)
    first, second = ([shot for shot in frames(events) if shot.run_id == run_id] for run_id in runs(events))
    assert next(event for event in events if isinstance(event, RunEnded)).error == "the clock was set back"
    assert first[0].captured_at - second[-1].captured_at > 3000 * 10**9
    assert second[-1].captured_at - second[0].captured_at > 50_000_000


def test_whatever_a_driver_throws_ends_the_connection_in_one_clean_line() -> None:
    def broken(stop: threading.Event) -> Generator[Shot, None, None]:
        if not stop.is_set():
            raise ValueError("rtsp://a:s3cret@cam\nsecond line")
        yield lambda: (np.zeros((8, 8, 3), np.uint8), b"")

    source = LiveSource("cam", "cam", IngestSettings(), broken)
    with pytest.raises(SourceError, match=r"^cam: reading failed \(ValueError\)$"):
        list(source.events())
