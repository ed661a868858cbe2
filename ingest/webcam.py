"""Webcams of this machine, by number."""

import re
from collections.abc import Generator
from functools import partial
from threading import Event

import cv2
import numpy as np

from contracts.errors import InputError, SourceError
from contracts.messages import Picture
from contracts.settings import IngestSettings
from contracts.stages import Source
from ingest.live import LiveSource, Shot


def source(address: str, camera_id: str | None, settings: IngestSettings) -> Source:
    """The webcam `0`, `webcam:0`, `/dev/video0`; `webcam` alone is the first."""
    number = re.fullmatch(r"(?:webcam|webcam:|/dev/video)?(\d{0,3})", address, re.IGNORECASE)
    if not number:
        raise InputError(f"{address}: not a webcam; give its number, such as 0 or webcam:0")
    index = int(number[1] or 0)
    return LiveSource(f"webcam:{index}", camera_id or f"webcam{index}", settings, partial(_shots, index))


def _shots(index: int, stop: Event) -> Generator[Shot, None, None]:
    """Opens the webcam and yields its pictures; see `ingest.live.Connect`."""
    noise = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # one line from us is enough
    try:
        camera = cv2.VideoCapture(index)
    finally:
        cv2.utils.logging.setLogLevel(noise)
    try:
        if not camera.isOpened():
            raise SourceError("no such webcam, or another program is using it; plug it in, or give another number")
        camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # where the driver obeys, it keeps no stale pictures either
        while not stop.is_set():
            good, picture = camera.read()
            if not good:
                raise SourceError("the webcam stopped sending pictures; check that it is plugged in")
            yield partial(_as_it_is, np.asarray(picture, np.uint8))
    finally:
        camera.release()


def _as_it_is(picture: Picture) -> tuple[Picture, bytes]:
    return picture, b""
