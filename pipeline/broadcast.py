"""What the workers show to whoever looks at the live page, over Redis' pub/sub, where nothing is stored.

Only while somebody looks: the process that serves the page keeps a key with a short life for what is looked at, which
the workers look up once a second. Neither that nor publishing ever keeps a worker waiting: a thread does both, and
where Redis is away, what should have been shown is forgotten.
"""

import threading
import time
from collections import deque
from types import TracebackType
from typing import Any, Final, Self

import msgspec
from redis import Redis
from redis.exceptions import RedisError

from contracts import wire
from contracts.errors import StageError, TransportError
from contracts.messages import FrameId, JpegFrame
from contracts.rows import Rows, Run
from contracts.settings import Settings
from dashboards.live.hub import Hub
from pipeline.link import Link

ROWS: Final = ""
"""Stands for the rows, where a camera's name stands for its pictures."""
LOOK_EVERY: Final = 1.0
LIFE: Final = 4
"""Seconds for which somebody who has said that they look is believed."""
PICTURE_EVERY: Final = 0.1
MOST_WAITING: Final = 32
RECEIVE: Final = 0.2
PAUSE: Final = 1.0


class News(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What one transaction has stored, and how far the cameras have come with it."""

    rows: Rows
    runs: list[Run]
    latest: list[FrameId]


def watch_key(prefix: str, what: str) -> str:
    """The key that is there while somebody looks at a camera's pictures, or at the `ROWS`."""
    return f"{prefix}:watch:{what}" if what else f"{prefix}:watch"


def _channel(prefix: str, what: str) -> str:
    return f"{prefix}:live:{what}"


class Broadcast:
    """One worker's side. Its methods return at once, whatever becomes of Redis."""

    def __init__(self, settings: Settings, name: str) -> None:
        """Connects to nothing yet. Raises SettingsError for a URL that cannot be meant."""
        self._prefix: Final = settings.redis.prefix
        self._shown: Final = settings.privacy.show_pictures
        self._stopping: Final = threading.Event()
        self._link: Final = Link(settings.redis, stopping=self._stopping, say=_silently, name=f"affectstream-{name}")
        self._known: Final[dict[str, bool]] = {}  # what we could show -> whether somebody looks
        self._due: Final[dict[str, float]] = {}
        self._waiting: Final[deque[tuple[str, Any]]] = deque(maxlen=MOST_WAITING)
        self._work: Final = threading.Event()
        self._thread: Final = threading.Thread(target=self._run, name="affectstream-broadcast", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._work.set()
        self._thread.join(LOOK_EVERY)
        self._link.close()

    def picture(self, frame: JpegFrame) -> None:
        """Shows a frame's picture, if somebody looks at its camera and it is time for one."""
        if not self._shown or not self._known.setdefault(frame.camera_id, False):
            return
        now = time.monotonic()
        if now >= self._due.get(frame.camera_id, 0.0):
            self._due[frame.camera_id] = now + PICTURE_EVERY
            self._put("pictures", frame)

    def rows(self, rows: Rows, runs: list[Run], latest: list[FrameId]) -> None:
        """Shows what has been stored, if somebody looks."""
        if self._known.setdefault(ROWS, False):
            places = [
                FrameId(camera_id=one.camera_id, run_id=one.run_id, seq=one.seq, captured_at=one.captured_at)
                for one in latest
            ]
            self._put("rows", News(rows=rows, runs=runs, latest=places))

    def _put(self, channel: str, message: Any) -> None:
        self._waiting.append((channel, message))
        self._work.set()

    def _run(self) -> None:
        look_at = 0.0
        while not self._stopping.is_set():
            self._work.wait(LOOK_EVERY)
            self._work.clear()
            try:
                if time.monotonic() >= look_at:
                    look_at = time.monotonic() + LOOK_EVERY
                    self._look(self._link.redis)
                while self._waiting:
                    channel, message = self._waiting.popleft()
                    self._link.redis.publish(_channel(self._prefix, channel), wire.pack(message))
            except RedisError:
                self._waiting.clear()
                self._stopping.wait(PAUSE)

    def _look(self, redis: Redis) -> None:
        names = list(self._known)
        if not names:
            return
        there: Any = redis.mget([watch_key(self._prefix, name) for name in names])
        for name, value in zip(names, there, strict=True):
            if value is None and name != ROWS:
                self._known.pop(name)  # cameras come and go; it is asked for again with its next frame
            else:
                self._known[name] = value is not None


class Reception:
    """The side of the page: says what is looked at, and puts what the workers show into the hub."""

    def __init__(self, hub: Hub, settings: Settings) -> None:
        """Connects to nothing yet. Raises SettingsError for a URL that cannot be meant."""
        self._hub: Final = hub
        self._prefix: Final = settings.redis.prefix
        self._stopping: Final = threading.Event()
        self._link: Final = Link(settings.redis, stopping=self._stopping, say=_silently, name="affectstream-live")
        self._thread: Final = threading.Thread(target=self._run, name="affectstream-reception", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()
        self._link.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._link.once(self._receive)
            except TransportError as error:
                self._hub.trouble("redis", f"What happens now cannot be seen: {error}")
                self._stopping.wait(PAUSE)

    def _receive(self, redis: Redis) -> None:
        """Until we are stopped, or Redis breaks off."""
        with redis.pubsub(ignore_subscribe_messages=True) as subscription:  # type: ignore[no-untyped-call]
            subscription.subscribe(_channel(self._prefix, "rows"), _channel(self._prefix, "pictures"))
            say_at = 0.0
            while not self._stopping.is_set():
                if time.monotonic() >= say_at:
                    say_at = time.monotonic() + LOOK_EVERY
                    self._say(redis)
                    self._hub.trouble("redis", None)
                if (message := subscription.get_message(timeout=RECEIVE)) is not None:
                    self._take(message["data"])

    def _say(self, redis: Redis) -> None:
        """Says what is looked at, for as long as it is."""
        names = [*([ROWS] if self._hub.watched else []), *self._hub.looked_at()]
        pipe = redis.pipeline(transaction=False)
        pipe.ping()
        for name in names:
            pipe.set(watch_key(self._prefix, name), 1, ex=LIFE)
        pipe.execute()

    def _take(self, data: bytes) -> None:
        try:
            message = wire.unpack(data, News | JpegFrame)
        except StageError:
            return  # of a worker of another release
        if isinstance(message, JpegFrame):
            self._hub.picture(message.camera_id, message.run_id, message.seq, message.captured_at, message.jpeg)
            return
        for run in message.runs:
            if run.status == "running":
                self._hub.started(run)
        self._hub.rows(message.rows)
        for frame in message.latest:
            self._hub.rows(Rows(), frame)
        for run in message.runs:
            if run.status != "running":
                self._hub.ended(run)


def _silently(line: str) -> None:
    """A worker's own link says what there is to say."""
