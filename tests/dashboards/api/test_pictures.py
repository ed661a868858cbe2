"""Pictures are shown while somebody looks, and kept nowhere."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np
import pytest
from websockets.sync.client import connect

from tests.dashboards.api.serving import SIZE, Looking, configured, serving
from tests.dashboards.api.test_resources import problem


@contextmanager
def filming(looking: Looking) -> Iterator[None]:
    """A camera that runs on and on."""
    done = threading.Event()

    def film() -> None:
        first = 0
        while not done.is_set():
            looking.watch("door", seconds=1, first=first)
            first += 1
            done.wait(0.05)

    thread = threading.Thread(target=film)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def decoded(jpeg: bytes) -> tuple[int, ...]:
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return tuple(picture.shape)


def test_the_latest_picture_and_pictures_without_end(url: str) -> None:
    with serving(configured(url)) as looking:
        looking.watch("door", seconds=1)
        with filming(looking):
            answer = looking.client.get("/cameras/door/picture.jpg")
            assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
            assert answer.headers["cache-control"] == "no-store"
            assert decoded(answer.content) == SIZE
            with looking.client.stream("GET", "/cameras/door/stream") as stream:
                assert stream.headers["content-type"].startswith("multipart/x-mixed-replace; boundary=")
                boundary = stream.headers["content-type"].partition("boundary=")[2].encode()
                received = b""
                for chunk in stream.iter_bytes():
                    received += chunk
                    if received.count(b"--" + boundary) > 2:
                        break
        part = received.split(b"--" + boundary)[1]
        head, _, jpeg = part.partition(b"\r\n\r\n")
        assert b"image/jpeg" in head
        assert decoded(jpeg) == SIZE


def test_where_no_picture_comes_that_is_said(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboards.live.api.pictures.PATIENCE", 0.2)
    with serving(configured(url)) as looking:
        assert "there is no camera" in problem(looking.client.get("/cameras/nowhere/picture.jpg"))
        looking.watch("door", seconds=1)
        answer = looking.client.get("/cameras/door/stream")
        assert (answer.status_code, "no picture" in problem(answer)) == (404, True)


@pytest.mark.parametrize("path", ["picture.jpg", "stream"])
def test_pictures_that_are_off_are_refused(url: str, path: str) -> None:
    with serving(configured(url, privacy={"pictures": False})) as looking:
        looking.watch("door", seconds=1)
        answer = looking.client.get(f"/cameras/door/{path}")
        assert (answer.status_code, "privacy.pictures" in problem(answer)) == (403, True)


def test_pictures_on_their_way_to_the_page_are_not_compressed_a_second_time(url: str) -> None:
    with serving(configured(url)) as looking, connect(looking.url.replace("http:", "ws:") + "live/pictures") as one:
        assert one.request is not None
        assert "permessage-deflate" in one.request.headers["Sec-WebSocket-Extensions"], "it was offered"
        assert one.protocol.extensions == []
