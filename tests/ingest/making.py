"""Recordings made on the spot, servers of one trick, and how sources are read in the tests."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.video.stream import VideoStream

from contracts.messages import Frame, RunEnded, RunStarted
from contracts.settings import IngestSettings
from contracts.stages import Source
from ingest import open_source

Events = list[RunStarted | Frame | RunEnded]


def record(
    path: Path,
    times: Sequence[int],
    *,
    codec: str = "mpeg4",
    size: tuple[int, int] = (160, 96),
    created: str | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """A recording with a picture at each of these times, in milliseconds; noise, so that it has some weight."""
    noise = np.random.default_rng(0)
    with av.open(str(path), "w", options=options or {}) as container:
        if created:
            container.metadata["creation_time"] = created
        steady = {"qmin": "5", "qmax": "5"} if codec == "mpeg4" else {}  # else the first pictures take all the space
        stream = container.add_stream(codec, rate=25, options=steady)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, 1000)
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.codec_context.gop_size = 12
        for at in times:
            picture = cv2.blur(noise.integers(0, 255, (size[1], size[0], 3), np.uint8), (5, 5))
            frame = av.VideoFrame.from_ndarray(np.asarray(picture, np.uint8), format="bgr24")
            frame.pts, frame.time_base = at, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def read(source: Source | str | Path, **settings: Any) -> Events:
    """All that a recording gives."""
    if isinstance(source, str | Path):
        source = open_source(str(source), camera_id=None, settings=IngestSettings(**settings))
    return list(source.events())


def frames(events: Events) -> list[Frame]:
    """The frames among them."""
    return [event for event in events if isinstance(event, Frame)]


def ending(events: Events) -> RunEnded:
    """How it ended."""
    assert isinstance(events[-1], RunEnded)
    return events[-1]


@contextlib.contextmanager
def silent_server() -> Iterator[int]:
    """The port of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


class JpegCamera:
    """A camera that sends JPEGs over HTTP. `sizes` are shown in turn, one each picture; `limit` pictures, if any, are
    followed by silence, or by hanging up. `damage` is done to each."""

    def __init__(
        self, *, sizes: Sequence[tuple[int, int]] = ((160, 96),), limit: int = 0, hang_up: bool = False,
        damage: Callable[[bytes], bytes] = lambda jpeg: jpeg,
    ) -> None:  # fmt: skip
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                camera.visits += 1
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                with contextlib.suppress(OSError):
                    number = 0
                    while not limit or number < limit:
                        width, height = sizes[number * len(sizes) // (limit or 10**9)]
                        _, jpeg = cv2.imencode(".jpg", np.full((height, width, 3), 40 + number % 100, np.uint8))
                        sent = damage(jpeg.tobytes())
                        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(sent)}\r\n\r\n"
                        self.wfile.write(head.encode() + sent + b"\r\n")
                        number += 1
                        time.sleep(0.03)
                    if not hang_up:
                        camera.over.wait(20)

            def log_message(self, format: str, *args: object) -> None: ...

        self.visits = 0
        self.over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/video"

    def __enter__(self) -> "JpegCamera":
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
