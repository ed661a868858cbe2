"""Recordings made on the spot: real faces, as many as are wanted, before a textured backdrop that moves a little.

All is laid out in shares of the picture's height, so that the same scene can be had in every size.
"""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import islice
from math import cos, pi, sin
from pathlib import Path
from typing import Final

import av
import cv2
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream
from numpy.typing import NDArray

from classifier.card import read_card
from classifier.folders import find_model
from contracts.errors import InputError
from contracts.messages import F32, Frame, Picture
from contracts.settings import Settings
from detector import open_detector
from ingest import open_source

Size = tuple[int, int]  # width, height in pixels

RATE: Final = 25  # frames/s
PERIOD: Final = 2 * RATE  # frames, after which all is where it was: a recording repeats them without a seam
BITS: Final = 0.08  # of the stream, per pixel, about: 1.8 Mbit/s at 720p, 4.1 at 1080p, 17 at 4K, as cameras are set
COLUMNS, ROWS = 8, 4  # places for faces
FACE: Final = 0.13  # a face's height in picture heights: 35 of the 270 pixels in which the detector looks for it
AROUND: Final = 1.7  # what is cut out is so many times as wide and as high as the face
DRIFT: Final = 0.02  # how far the backdrop moves, in picture heights
GRAIN: Final = 4.0  # a sensor's noise, in grey levels: without any, H.264 would be spoilt by the scene
CUTS: Final = 8  # faces that take turns
LOOKED_AT: Final = (1500, 25)  # frames of a recording that faces are taken from: the first so many, each so many-th


class Recordings:
    """The recordings of a benchmark, each made when it is first asked for."""

    def __init__(self, folder: Path, faces: Sequence[Picture]) -> None:
        """`folder` is where they lie; `faces` is what `faces_of` gives."""
        self._folder = folder
        self._faces = faces

    def get(self, size: Size, faces: int, seconds: float) -> Path:
        """A recording with so many faces, as long as that in whole periods of two seconds, but at least one."""
        name = f"{size[0]}x{size[1]}-{faces}"
        period, times = self._folder / f"{name}.mp4", max(round(seconds * RATE / PERIOD), 1)
        if not period.exists():
            encode(period, scene(size, [self._faces[n % len(self._faces)] for n in range(faces)]), size)
        path = self._folder / f"{name}-{times}.mp4"
        if not path.exists():
            repeat(period, path, times)
        return path


def faces_of(address: str, settings: Settings) -> list[Picture]:
    """Faces of a recording, or of `demo`, cut out with some of what is around them.

    Raises InputError if none is found there.
    """
    crop = read_card(find_model(settings.classifier.model, settings.models)).crop
    detector = open_detector(settings.detector, settings.models, crop, note=lambda line: None)
    source = open_source(address, camera_id="faces", settings=settings.ingest)
    frames = (event.picture for event in source.events() if isinstance(event, Frame))
    found: list[Picture] = []
    for picture in islice(frames, 0, LOOKED_AT[0], LOOKED_AT[1]):
        found += [cut for box in detector.detect([picture])[0].boxes if (cut := _cut(picture, box)) is not None]
    detector.close()
    if not found:
        raise InputError(f"{address} shows no face that could be taken; give a recording with people in it")
    return [found[len(found) * n // CUTS] for n in range(min(CUTS, len(found)))]


def _cut(picture: Picture, box: F32) -> Picture | None:
    """None where it would reach over the picture's edge."""
    x, y, width, height = box
    left, top = round(x + width / 2 * (1 - AROUND)), round(y + height / 2 * (1 - AROUND))
    right, bottom = left + round(AROUND * width), top + round(AROUND * height)
    if left < 0 or top < 0 or right > picture.shape[1] or bottom > picture.shape[0]:
        return None
    return picture[top:bottom, left:right].copy()


def scene(size: Size, faces: Sequence[Picture]) -> Iterator[Picture]:
    """One period of the scene, u8[height, width, 3] each: every face sways in a place of its own.

    Raises InputError for more faces than there are places.
    """
    if len(faces) > COLUMNS * ROWS:
        raise InputError(f"there are places for {COLUMNS * ROWS} faces, not for {len(faces)}")
    (width, height), chance = size, np.random.default_rng(1)
    reach = round(DRIFT * height)
    backdrop, grain = _backdrop(width + 2 * reach, height + 2 * reach, chance), _grain(size, chance)
    places = [int((n + 0.5) * COLUMNS * ROWS / len(faces)) for n in range(len(faces))]
    masked = [_masked(face, round(AROUND * FACE * height)) for face in faces]
    for number in range(PERIOD):
        turn = 2 * pi * number / PERIOD
        left, top = round(reach * (1 + cos(turn))), round(reach * (1 + sin(turn)))
        picture = backdrop[top : top + height, left : left + width].copy()
        for order, (place, (face, mask)) in enumerate(zip(places, masked, strict=True)):
            x = width * (place % COLUMNS + 0.5) / COLUMNS + 0.08 * FACE * height * sin(turn + order)
            y = height * (place // COLUMNS + 0.5) / ROWS + 0.05 * FACE * height * cos(2 * turn + order)
            _paste(picture, face, mask, round(x), round(y))
        dx, dy = chance.integers(0, 64, 2)
        yield np.asarray(cv2.add(picture, grain[dy : dy + height, dx : dx + width], dtype=cv2.CV_8U), np.uint8)


def _backdrop(width: int, height: int, chance: np.random.Generator) -> Picture:
    """Clouds of three sizes, nearly grey."""
    clouds = np.full((height, width, 3), 110, np.float32)
    for across, strength in ((12, 45.0), (48, 20.0), (192, 12.0)):
        grey = chance.uniform(-1, 1, (across * 9 // 16, across, 1))
        coarse = (grey + 0.3 * chance.uniform(-1, 1, (*grey.shape[:2], 3))).astype(np.float32)
        clouds += strength * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(clouds, 0, 255).astype(np.uint8)


def _grain(size: Size, chance: np.random.Generator) -> NDArray[np.int16]:
    """Noise, a bit larger than the picture so that each picture can take another part of it."""
    grain = chance.normal(0, GRAIN, (size[1] + 64, size[0] + 64, 1)).astype(np.int16)
    return np.ascontiguousarray(np.broadcast_to(grain, (*grain.shape[:2], 3)))


def _masked(face: Picture, height: int) -> tuple[Picture, F32]:
    """The face at its size, and how much of each of its pixels is to be seen: an oval with a soft edge."""
    width = round(height * face.shape[1] / face.shape[0])
    scaled = cv2.resize(face, (width, height), interpolation=cv2.INTER_AREA if height < face.shape[0] else 2)
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    return np.asarray(scaled, np.uint8), np.clip(4 * (1 - np.hypot(x, y)), 0, 1).astype(np.float32)


def _paste(picture: Picture, face: Picture, mask: F32, x: int, y: int) -> None:
    """Lays the face over the picture, its middle at (x, y)."""
    height, width = mask.shape
    top, left = y - height // 2, x - width // 2
    region = picture[top : top + height, left : left + width]
    region[...] = cv2.blendLinear(face, np.ascontiguousarray(region), mask, 1 - mask)


def encode(path: Path, pictures: Iterable[Picture], size: Size) -> None:
    """Writes them as H.264, as a camera would: no picture depends on later ones, and two seconds between whole ones.

    Raises InputError where FFmpeg here has no encoder for it.
    """
    rate = round(BITS * size[0] * size[1] * RATE)
    try:
        codec = av.Codec("libx264", "w")
    except ValueError as error:
        raise InputError("PyAV's FFmpeg cannot write H.264 here (libx264); install PyAV from its wheels") from error
    with av.open(str(path), "w") as container:
        # With a ceiling for the rate, x264's threads would make another stream of the same pictures each time.
        stream = container.add_stream(codec.name, rate=RATE, options={"preset": "veryfast"})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = size
        stream.pix_fmt, stream.bit_rate = "yuv420p", rate
        context: VideoCodecContext = stream.codec_context
        context.gop_size, context.max_b_frames = PERIOD, 0
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode(None))


def repeat(source: Path, path: Path, times: int) -> None:
    """The recording's pictures so many times over as one recording. They are not encoded again.

    Raises InputError for a file that cannot be read, or does not say how long it is.
    """
    try:
        _repeat(source, path, times)
    except (OSError, ValueError) as error:  # FFmpeg's own are of both kinds
        raise InputError(f"{source} cannot be repeated: {error}") from error


def _repeat(source: Path, path: Path, times: int) -> None:
    with av.open(str(path), "w") as container:
        stream: VideoStream | None = None
        offset = Fraction(0)
        for _ in range(times):
            with av.open(str(source)) as once:
                first = once.streams.video[0]
                stream = stream or container.add_stream_from_template(first)
                if first.duration is None or first.time_base is None:
                    raise ValueError("it does not say how long it is")
                for packet in once.demux(first):
                    if packet.dts is None or packet.pts is None:  # the one that says that no more comes
                        continue
                    shift = int(offset / packet.time_base)
                    packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, stream
                    container.mux(packet)
                offset += first.duration * first.time_base
