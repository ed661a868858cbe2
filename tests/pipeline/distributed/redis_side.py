"""What the tests of the Redis side share: links, messages, poison, and looks at what is left."""

import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from redis import Redis

from contracts import wire
from contracts.errors import TransportError
from contracts.messages import EmotionsMessage, Faces, FrameFaces, JpegFrame, RunEnded, RunStarted
from contracts.settings import RedisSettings
from pipeline.jpeg import to_jpeg
from pipeline.link import Link
from pipeline.streams import Consumer, fields, key, shard_of
from tests.services.redis import RedisServer


def redis_settings(server: RedisServer, **changed: Any) -> RedisSettings:
    """Two shards, and dead workers noticed soon."""
    return RedisSettings.model_validate({"url": server.url, "shards": 2, "take_over_after": 0.6} | changed)


def link_to(settings: RedisSettings, said: list[str] | None = None, stopping: threading.Event | None = None) -> Link:
    """A connection; `said` collects its lines."""
    return Link(settings, stopping=stopping or threading.Event(), say=(said if said is not None else []).append)


def picture(side: int = 64) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A grey one."""
    return np.full((side, side, 3), 90, np.uint8)


JPEG = to_jpeg(picture(), 90)


def started(camera: str = "cam", run: str = "r", *, live: bool = False) -> RunStarted:
    return RunStarted(camera_id=camera, run_id=run, source="x", started_at=0, width=64, height=64, live=live)


def ended(frames: int, camera: str = "cam", run: str = "r") -> RunEnded:
    return RunEnded(camera_id=camera, run_id=run, frames=frames, dropped=0, ended_at=frames)


def frame(seq: int, camera: str = "cam", run: str = "r", jpeg: bytes = JPEG) -> JpegFrame:
    return JpegFrame(camera_id=camera, run_id=run, seq=seq, captured_at=seq, jpeg=jpeg)


def faces(seq: int, number: int = 1, camera: str = "cam", run: str = "r", side: int = 48) -> FrameFaces:
    found = Faces(
        boxes=np.zeros((number, 4), np.float32), scores=np.ones(number, np.float32), landmarks=None,
        crops=np.full((number, side, side, 1), 80, np.uint8),
    )  # fmt: skip
    return FrameFaces(camera_id=camera, run_id=run, seq=seq, captured_at=seq, faces=found)


def stream(settings: RedisSettings, what: str, camera: str = "cam") -> str:
    """The name of the stream of a camera's shard."""
    return key(settings.prefix, shard_of(camera, settings.shards), what)


def leftovers(redis: "Redis", settings: RedisSettings) -> dict[str, tuple[int, int]]:
    """Length and pending entries of each stream that has any."""
    left = {}
    for shard in range(settings.shards):
        for what in ("frames", "faces"):
            name = key(settings.prefix, shard, what)
            groups: Any = redis.xinfo_groups(name) if redis.exists(name) else []
            pending = sum(group["pending"] for group in groups)
            length: Any = redis.xlen(name)
            if length or pending:
                left[name] = (length, pending)
    return left


class MemoryTopic:
    """Takes what the classifier publishes; refuses it while it is `away`."""

    def __init__(self) -> None:
        self.raw: list[tuple[str, bytes]] = []
        self.away = False
        self.refusals = 0
        self.closed = False

    def ensure_topic(self) -> None:
        self.publish([])

    def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        if self.away:
            self.refusals += 1
            raise TransportError("kafka.brokers: nobody answers")
        self.raw += messages

    def close(self) -> None:
        self.closed = True

    @property
    def messages(self) -> list[Any]:
        return [wire.unpack(data, EmotionsMessage) for _, data in self.raw]


def add(redis: "Redis", settings: RedisSettings, message: Any, what: str = "frames") -> None:
    parts: Any = fields(message)
    redis.xadd(stream(settings, what, message.camera_id), dict(zip(parts[::2], parts[1::2], strict=True)))


def consumer(link: Link, stage: Any = "detect") -> Consumer:
    made = Consumer(link, stage)
    return made.__enter__()


def leave(consumer: Consumer) -> None:
    """The good end."""
    consumer.__exit__(None, None, None)


def vanish(consumer: Consumer) -> None:
    """What SIGKILL leaves: no goodbye, no sign of life."""
    consumer._closed.set()


def read_until(consumer: Consumer, number: int, seconds: float = 5) -> list[Any]:
    found: list[Any] = []
    deadline = time.monotonic() + seconds
    while len(found) < number and time.monotonic() < deadline:
        found += consumer.read(10, 0.1)
    return found
