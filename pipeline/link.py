"""The connection to Redis, with time-outs, retries and error messages of our own.

The library's own retries are switched off: they write an XADD twice, and lose the reply of an XREADGROUP so that its
entries hang in the pending list. What is tried again here, `Link.patiently`, is only what may be done twice.
"""

import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

from redis import Redis
from redis import exceptions as refusals
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry

from contracts.errors import SettingsError, TransportError
from contracts.settings import RedisSettings
from pipeline import metrics

T = TypeVar("T")

OLDEST: Final = (6, 2)
"""XAUTOCLAIM and exclusive ranges came with Redis 6.2."""
ANSWER: Final = 10.0
"""Seconds to wait for an answer; far longer than any read here blocks."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0

_REFUSED: Final = (refusals.AuthenticationError, refusals.AuthorizationError, refusals.NoPermissionError)
_GONE: Final = (refusals.ConnectionError, refusals.TimeoutError)
_PASSES: Final = (*_GONE, refusals.BusyLoadingError, refusals.OutOfMemoryError, refusals.ReadOnlyError)
_PASSES_WORDS: Final = ("OOM", "MISCONF", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "LOADING", "NOREPLICAS")
_REFUSED_WORDS: Final = ("NOAUTH", "WRONGPASS", "NOPERM", "ERR invalid password", "ERR AUTH")


class StoppedError(TransportError):
    """We were asked to stop while Redis was away."""

    exit_code = 0


class Link:
    """Redis, for all threads of a worker; it outlives Redis' absence."""

    def __init__(
        self, settings: RedisSettings, *, stopping: threading.Event, say: Callable[[str], None],
        name: str = "affectstream",
    ) -> None:  # fmt: skip
        """Connects to nothing yet. Raises SettingsError for a URL that cannot be meant."""
        self.settings: Final = settings
        self.stopping: Final = stopping
        self._say: Final = say
        self._lock: Final = threading.Lock()
        self._away = False
        if settings.url.startswith("unix:"):
            raise SettingsError("redis.url: a Unix socket is not supported; give redis://HOST:PORT/0")
        try:
            self.redis: Final[Redis] = Redis.from_url(
                settings.url, client_name=name, retry=Retry(NoBackoff(), 0), retry_on_timeout=False,
                socket_timeout=ANSWER, socket_connect_timeout=5.0, socket_keepalive=True,
            )  # fmt: skip
        except (ValueError, RedisError) as error:
            raise SettingsError(
                f"redis.url is no Redis address (redis://HOST:PORT/0): {type(error).__name__}"
            ) from None
        where = self.redis.connection_pool.connection_kwargs
        self.place: Final[str] = f"{where.get('host')}:{where.get('port', 6379)}"
        """Where Redis is, without credentials."""

    def open(self, *, wait: bool = True, beat: Callable[[], None] = lambda: None) -> None:
        """Reaches Redis and looks whether it will do.

        Raises TransportError for a Redis that refuses us or is too old, and, unless it may `wait`, for one that is
        not there; SettingsError where the cameras are spread over another number of shards than our settings say.
        """
        self.patiently(self._look, beat=beat) if wait else self.once(self._look)

    def patiently(self, work: Callable[[Redis], T], *, beat: Callable[[], None] = lambda: None) -> T:
        """Does what may be done twice, again and again until Redis is there; says once that it is away.

        Raises TransportError where Redis refuses us, StoppedError where we are asked to stop before it is back.
        """
        pause = FIRST_PAUSE
        while True:
            try:
                answer = work(self.redis)
            except RedisError as error:
                if not _passes(error):
                    raise self._explained(error) from None
                self._lost(error)
            else:
                if self._away:
                    self._found()
                return answer
            beat()
            if self.stopping.wait(pause):
                raise StoppedError(f"stopped while Redis (redis.url, {self.place}) was away")
            beat()
            pause = min(2 * pause, LONGEST_PAUSE)

    def once(self, work: Callable[[Redis], T]) -> T:
        """Does something now. Raises TransportError, one line, where Redis is away or refuses."""
        try:
            return work(self.redis)
        except RedisError as error:
            raise self._explained(error) from None

    def close(self) -> None:
        """Closes all connections."""
        self.redis.close()
        self.redis.connection_pool.disconnect()

    def _look(self, redis: Redis) -> None:
        server: Any = redis.info("server")
        version = str(server.get("redis_version", "?"))
        if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < OLDEST:
            raise TransportError(
                f"redis.url: Redis {version} at {self.place} is too old; affectstream needs {OLDEST[0]}.{OLDEST[1]}"
            )
        memory: Any = redis.info("memory")
        if memory.get("maxmemory") and memory.get("maxmemory_policy", "noeviction") != "noeviction":
            self._say(
                f"Redis at {self.place} may drop frames that wait (maxmemory-policy {memory['maxmemory_policy']}): "
                "set it to noeviction"
            )
        key, ours = f"{self.settings.prefix}:shards", self.settings.shards
        if not redis.exists(key):  # a Redis that is full refuses to set anything
            redis.set(key, ours, nx=True)
        theirs: Any = redis.get(key)
        if theirs is not None and int(theirs) != ours:
            raise SettingsError(
                f"redis.shards is {ours} here but {int(theirs)} for the workers that came before; make it the same "
                f"everywhere (to change it: stop all workers when nothing waits, and delete the key {key})"
            )

    def _lost(self, error: RedisError) -> None:
        with self._lock:
            if self._away:
                return
            self._away = True
        metrics.RECONNECTS.labels("redis").inc()
        self._say(f"{_words(error, self.place)}; waiting for it")

    def _found(self) -> None:
        with self._lock:
            if self._away:
                self._away = False
                self._say(f"Redis at {self.place} is there again")

    def _explained(self, error: RedisError) -> TransportError:
        return TransportError(_words(error, self.place))


def _passes(error: RedisError) -> bool:
    """Whether waiting helps."""
    if _refused(error):
        return False
    return isinstance(error, _PASSES) or (isinstance(error, ResponseError) and str(error).startswith(_PASSES_WORDS))


def _refused(error: RedisError) -> bool:
    return isinstance(error, _REFUSED) or str(error).startswith(_REFUSED_WORDS)


def _words(error: RedisError, place: str) -> str:
    if _refused(error):
        return f"redis.url: Redis at {place} refuses this user or password; check redis.url"
    if isinstance(error, _GONE) and not isinstance(error, refusals.BusyLoadingError):
        return f"redis.url: no Redis answers at {place}; check that it runs and that redis.url is right"
    return f"redis.url: Redis at {place} says: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
