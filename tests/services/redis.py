"""A real Redis server, started for the tests and gone after them; it can be stopped, killed and started again."""

import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import redis

from tests.services.processes import end, free_port

MISSING: Final = "no redis-server here: `make test` installs it (Debian: redis-server)"


def redis_program() -> str | None:
    """Where redis-server is."""
    return shutil.which("redis-server")


class RedisServer:
    """A server that keeps its port and its data when it is started again. What it has answered is on disk."""

    def __init__(self, folder: Path, *, password: str | None = None) -> None:
        self.folder = folder
        self.password = password
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address, with the password."""
        who = f":{self.password}@" if self.password else ""
        return f"redis://{who}127.0.0.1:{self.port}/0"

    def client(self) -> "redis.Redis":
        """A plain client."""
        return redis.Redis.from_url(self.url)

    def start(self, seconds: float = 20) -> None:
        """Starts it; returns when it answers."""
        program = redis_program()
        if program is None:
            raise FileNotFoundError(MISSING)
        options = {
            "port": self.port, "bind": "127.0.0.1", "dir": self.folder, "save": "", "appendonly": "yes",
            "appendfsync": "always", "logfile": self.folder / "log", "daemonize": "no",
        } | ({"requirepass": self.password} if self.password else {})  # fmt: skip
        arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        self._process = subprocess.Popen(
            [program, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.folder
        )
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with self.client() as client:
                    if client.ping():
                        return
            except redis.RedisError:
                time.sleep(0.02)
        log = self.folder / "log"
        raise RuntimeError(f"Redis did not start: {log.read_text(errors='replace')[-500:] if log.exists() else ''}")

    def stop(self) -> None:
        """Ends it in good order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kills it without warning."""
        self._end(signal.SIGKILL)

    def restart(self, *, away: float = 0.0, kill: bool = True) -> None:
        """Kills or stops it, and starts it again after so many seconds."""
        self._end(signal.SIGKILL if kill else signal.SIGTERM)
        time.sleep(away)
        self.start()

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            end(self._process, how)
            self._process = None


@contextmanager
def redis_server(password: str | None = None) -> Iterator[RedisServer]:
    """Runs a server in a temporary folder."""
    folder = Path(tempfile.mkdtemp(prefix="affectstream-redis-"))
    server = RedisServer(folder, password=password)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)
