"""Network cameras: RTSP, HTTP (MJPEG, HLS and what else FFmpeg reads), RTMP, UDP."""

import socket
import time
from collections.abc import Generator
from functools import partial
from threading import Event
from urllib.parse import urlsplit

import av
import av.error
from av.container import InputContainer
from av.video.stream import VideoStream

from contracts.addresses import clean_camera_id, redact
from contracts.errors import InputError, SourceError
from contracts.messages import Picture
from contracts.settings import IngestSettings
from contracts.stages import Source
from ingest.containers import video
from ingest.live import LiveSource, Shot
from ingest.pictures import Pictures, reason

MICROSECOND = 1e6
SILENCE = (av.error.TimeoutError, av.error.ExitError)
PROTOCOLS = "crypto,data,hls,http,https,httpproxy,rtmp,rtmps,rtmpt,rtp,rtsp,rtsps,srt,srtp,tcp,tls,udp"


def source(address: str, camera_id: str | None, settings: IngestSettings) -> Source:
    """The camera at a URL. Nothing is contacted before its events are read."""
    host = _host(address)
    if not host and address.lower().startswith(("rtsp", "http")):  # the others may listen; these would ask this machine
        raise InputError(f"{redact(address)} names no host; write the camera's name or IP address behind ://")
    return LiveSource(
        redact(address),
        camera_id or clean_camera_id(host or "camera"),
        settings,
        partial(_shots, address, settings),
    )


def _shots(address: str, settings: IngestSettings, stop: Event) -> Generator[Shot, None, None]:
    """Opens the camera and yields its pictures; see `ingest.live.Connect`."""
    problem = "it closed the connection before it sent a picture; check the address"
    arrived = False
    began = time.monotonic()
    try:
        with av.open(
            address,
            options=_options(address, settings),
            timeout=(settings.open_timeout, settings.stall_seconds + 1),  # whoever waits for a picture notices first
        ) as container:
            stream = video(container)
            if stream is None or not stream.codec_context:
                raise SourceError("it answers, but sends no video that can be decoded; check the address")
            stream.thread_type = "SLICE"  # decoding whole frames in parallel would hold some of them back
            convert = Pictures()
            sends_jpeg = stream.codec_context.name == "mjpeg"
            metronome = Metronome(stop) if _comes_in_advance(address, container) else None
            for packet in container.demux(stream):
                if stop.is_set():
                    return
                try:
                    frames = packet.decode()
                except (av.error.InvalidDataError, av.error.EOFError):
                    continue  # damaged on the way, or we joined between two whole pictures
                for frame in frames:
                    if metronome and frame.time is not None:
                        metronome.wait(frame.time)
                    arrived = True
                    yield partial(_convert, convert, frame, packet if sends_jpeg else None)
        if arrived:
            return
    except av.error.FFmpegError as error:
        # An RTSP server that stays silent is reported as one that talks nonsense.
        late = not arrived and time.monotonic() - began > 0.9 * settings.open_timeout
        problem = _explain(error, address, settings, arrived=arrived, late=late)
    # Raised out here, so that FFmpeg's error, which quotes the address, does not hang on to ours as its context.
    raise SourceError(problem)


def _comes_in_advance(address: str, container: InputContainer) -> bool:
    """A playlist comes in bursts, a recording at any speed; what a camera sends itself must never be held back."""
    return address.lower().startswith("http") and (container.format.name in {"hls", "dash"} or bool(container.duration))


def _convert(
    convert: Pictures, frame: av.VideoFrame, packet: "av.Packet[VideoStream] | None"
) -> tuple[Picture, bytes]:  # fmt: skip
    return convert(frame), _jpeg(bytes(packet), frame) if packet else b""


def _jpeg(data: bytes, frame: av.VideoFrame) -> bytes:
    """What the camera sent, if any decoder makes the same picture of it; else nothing.

    Some cameras leave out the Huffman tables or the end, send two fields for a frame, or lie on their side.
    """
    whole = data[:2] == b"\xff\xd8" and data[-2:] == b"\xff\xd9" and b"\xff\xc4" in data
    return data if whole and not frame.interlaced_frame and not frame.rotation else b""


class Metronome:
    """Plays what arrives in advance at its own speed; never holds back what is late."""

    def __init__(self, stop: Event) -> None:
        self._stop = stop
        self._zero: float | None = None

    def wait(self, at: float) -> None:
        """Returns when the picture of that presentation time (seconds) is due."""
        now = time.monotonic()
        if self._zero is None or not -10 < self._zero + at - now < 60:  # the first, or the stream's clock was reset
            self._zero = now - at
        if (early := self._zero + at - now) > 0:
            self._stop.wait(early)


def _options(address: str, settings: IngestSettings) -> dict[str, str]:
    scheme = address.partition(":")[0].lower()
    timeout = str(round(max(settings.open_timeout, settings.stall_seconds + 1) * MICROSECOND))
    # FFmpeg would first watch for a second to learn the frame rate. (fflags=nobuffer throws away the first key frame.)
    options = {"protocol_whitelist": PROTOCOLS, "fpsprobesize": "0"}
    if scheme in {"rtsp", "rtsps"}:
        # Over UDP, pictures tear as soon as the network is busy, and firewalls stop them.
        return options | {"rtsp_transport": "tcp", "allowed_media_types": "video", "timeout": timeout}
    if scheme in {"http", "https"}:
        return options | {"rw_timeout": timeout}
    return options


def _host(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


def _explain(error: av.error.FFmpegError, address: str, settings: IngestSettings, *, arrived: bool, late: bool) -> str:
    """Why the camera could not be read and what to do, without a word of the address that is not public."""
    seconds = settings.stall_seconds + 1 if arrived else settings.open_timeout
    kinds: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (av.error.HTTPUnauthorizedError, "user name or password refused (401); check them in the address"),
        (av.error.HTTPForbiddenError, "access forbidden (403); check this user's rights on the camera"),
        (av.error.HTTPNotFoundError, "the camera has no such stream (404); check the path in the address"),
        (av.error.ConnectionRefusedError, "nobody answers there (connection refused); check that the camera is on, "
                                          "and the address and port"),
        (SILENCE, f"no answer for {seconds:g} s; check that the camera is on and can be reached from here"),
        (av.error.InvalidDataError, "it answers, but sends no video that can be read; check the address"),
    )  # fmt: skip
    silent = late and isinstance(error, av.error.InvalidDataError)
    for kind, words in kinds:
        if isinstance(error, kind) or (silent and kind is SILENCE):
            return words
    host = _host(address)
    try:
        socket.getaddrinfo(host, None)
    except (OSError, UnicodeError):
        return "there is no host of this name; check the address"
    return f"the connection {'broke' if arrived else 'failed'} ({reason(error)}); check the camera and the network"
