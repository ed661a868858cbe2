"""What FFmpeg's containers say of themselves, and the pictures in them."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import av
import av.error
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from contracts.errors import InputError
from ingest.pictures import reason
from ingest.runs import SECOND, parse_time

OPTIONS = {
    "protocol_whitelist": "file",  # a playlist in disguise must not make us call the network
    "max_reload": "1",  # nor wait, deaf to Ctrl-C, for one without an end to go on: this is a recording, not a camera
}
NOT_VIDEO = {"tty", "ass", "srt", "webvtt"}  # FFmpeg can show a text file as moving letters; nobody means that
EARLIEST = 631_152_000 * SECOND  # 1990: container clocks that were never set say 1904 or 1970


class Facts(NamedTuple):
    """What a container says of itself, as far as it can be believed."""

    frames: int | None
    end: float | None  # where its pictures should end, in seconds of presentation time
    interval: int  # ns between frames, on average
    created: int | None  # UTC ns


class Damage:
    """What was noticed while a recording was read."""

    skipped = 0  # packets that could not be decoded
    cut_packets = 0  # packets that the container knows to be incomplete
    broken: str | None = None  # why reading stopped before the end

    @property
    def any(self) -> bool:
        """Whether there was any."""
        return bool(self.skipped or self.cut_packets or self.broken)

    def __str__(self) -> str:
        counts = (
            (self.skipped, "packet{} could not be decoded and {} skipped"),
            (self.cut_packets, "packet{} {} not whole"),
        )
        parts = [f"{n} {text.format(*(('s', 'were') if n > 1 else ('', 'was')))}" for n, text in counts if n]
        return ", ".join(parts)


def open_recording(path: Path, name: str) -> InputContainer:
    """The file's container, with a video stream in it that can be decoded.

    Raises:
        InputError: there is none; says why, with `name` for the file.
    """
    try:
        if not path.exists():
            raise InputError(f"{name}: there is no such file")
        if path.is_dir():
            raise InputError(f"{name} is a folder; name a file in it")
        if not path.is_file():
            raise InputError(f"{name} is not a regular file")
        if not path.stat().st_size:
            raise InputError(f"{name} is empty")
        container = av.open(f"file:{path.absolute()}", options=OPTIONS)
    except PermissionError:
        raise InputError(f"{name} may not be read by this user; change its permissions") from None
    except (av.error.FFmpegError, OSError, ValueError) as error:
        if unfinished_mp4(path):
            why = "is cut off or was never finished: its index (moov) is missing, so that nothing of it can be read"
            raise InputError(f"{name} {why}; copy it again, or recover it with a repair tool") from None
        raise InputError(f"{name} is not a video that FFmpeg can read ({reason(error)})") from None
    stream = video(container)
    if container.format.name in NOT_VIDEO or stream is None:
        container.close()
        raise InputError(f"{name} has no video in it; give a recording with pictures")
    if not stream.codec_context:
        container.close()
        raise InputError(f"{name} is coded in a way that FFmpeg cannot decode here; convert it to H.264")
    return container


def video(container: InputContainer) -> VideoStream | None:
    """The container's pictures; the cover of a piece of music is none."""
    films = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    best = container.streams.best("video")
    return next((stream for stream in films if stream is best), next(iter(films), None))


def decode(container: InputContainer, threads: str, damage: Damage) -> Iterator[VideoFrame]:
    """Every decodable picture; what cannot be decoded is skipped and noted. `threads`: AUTO, or SLICE for no delay."""
    stream = video(container)
    if stream is None:
        return
    stream.thread_type = threads
    try:
        for packet in container.demux(stream):
            damage.cut_packets += packet.is_corrupt
            try:
                frames = packet.decode()
            except av.error.EOFError:
                return
            except av.error.FFmpegError:
                damage.skipped += 1
                continue
            yield from frames  # `is_corrupt` is not to be trusted: with several threads it is set after the fact
    except av.error.FFmpegError as error:
        damage.broken = reason(error)


def facts(container: InputContainer) -> Facts:
    """What the container says of its video."""
    stream = video(container)
    assert stream is not None  # noqa: S101 - open_recording has looked
    rate = stream.average_rate or stream.guessed_rate
    interval = round(SECOND / rate) if rate else SECOND // 25
    begins, length, certain = 0.0, None, True
    if stream.duration is not None and stream.time_base is not None:
        begins, length = (float(ticks * stream.time_base) for ticks in (stream.start_time or 0, stream.duration))
    elif tagged := re.fullmatch(r"(\d+):(\d\d):(\d\d\.\d+)", stream.metadata.get("DURATION", "")):
        hours, minutes, seconds = map(float, tagged.groups())
        length = hours * 3600 + minutes * 60 + seconds  # Matroska's: counted from zero
    elif container.duration is not None:
        begins, length = (container.start_time or 0) / 1e6, container.duration / 1e6
        certain = len(container.streams) == 1  # the length of the longest track may be that of the sound
    frames = stream.frames or (round(length * SECOND / interval) if length else None)
    created = parse_time(container.metadata.get("creation_time", ""))
    if created is not None and not EARLIEST <= created <= time.time_ns() + 86_400 * SECOND:
        created = None
    return Facts(frames, begins + length if length and certain else None, interval, created)


def unfinished_mp4(path: Path) -> bool:
    """Whether the file is an MP4 or MOV without its index, which most recorders write last."""
    names: list[bytes] = []
    size = path.stat().st_size
    with path.open("rb") as file:
        while file.tell() + 8 <= size and len(names) < 64:
            at, head = file.tell(), file.read(16)
            length = int.from_bytes(head[:4], "big")
            if length == 1:  # too long for 32 bits
                length = int.from_bytes(head[8:16], "big")
            names.append(head[4:8])
            if length < 8:
                break
            file.seek(at + length)
    return names[:1] == [b"ftyp"] and b"moov" not in names
