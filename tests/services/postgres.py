"""A real Postgres server, started for the tests and gone after them."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.services.processes import end, free_port

PASSWORD: Final = "hunter2-of-the-tests"
MISSING: Final = "no Postgres server programs here: `make test` installs them (Debian: postgresql)"


def postgres_programs() -> Path | None:
    """The folder of initdb and postgres, the newest where there are several."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


class PostgresServer:
    """A server that keeps its port and its data when it is started again."""

    def __init__(self, **options: str | int) -> None:
        """Makes its folder; raises FileNotFoundError where there are no programs for it. `options` are the server's."""
        programs = postgres_programs()
        if programs is None:
            raise FileNotFoundError(MISSING)
        self._programs: Final = programs
        # The server refuses to run as root.
        self._user: Final[dict[str, Any]] = (
            {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
        )
        self._folder: Final = Path(tempfile.mkdtemp(prefix="affectstream-pg-"))
        self._port: Final = free_port()
        self._options: Final = options
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._make()
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    @property
    def url(self) -> str:
        """Of the superuser."""
        return f"postgresql://postgres:{PASSWORD}@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        """Starts it, and returns when it takes connections."""
        options = {
            "listen_addresses": "127.0.0.1",
            "port": self._port,
            "unix_socket_directories": self._folder,
            "fsync": "off",
            "shared_buffers": "32MB",
            "max_connections": 40,
            **self._options,
        }
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        log = self._folder / "log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self._folder / "data", *arguments],
                stdout=output, stderr=output, cwd=self._folder, **self._user,
            )  # fmt: skip
        _wait(self._process, self._port, log)

    def stop(self) -> None:
        """Asks for a fast shutdown: it does not wait for clients that are still connected."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Ends it without a shutdown: it has to recover at the next start. (After SIGKILL its children would stay.)"""
        self._end(signal.SIGQUIT)

    def close(self) -> None:
        """Stops it, and deletes everything."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            end(self._process, how)
            self._process = None

    def _make(self) -> None:
        secret = self._folder / "password"
        secret.write_text(PASSWORD)
        if self._user:
            owner = pwd.getpwnam("postgres")
            for path in (self._folder, secret):
                os.chown(path, owner.pw_uid, owner.pw_gid)
        data = self._folder / "data"
        initdb = [f"{self._programs}/initdb", "-D", f"{data}", "-U", "postgres", "-A", "scram-sha-256"]
        quick = [f"--pwfile={secret}", "--no-sync", "--no-instructions", "-E", "UTF8", "--locale=C"]
        subprocess.run([*initdb, *quick], check=True, capture_output=True, cwd=self._folder, **self._user)


@contextmanager
def postgres_server(**options: str | int) -> Iterator[str]:
    """Runs a server; gives the URL of its superuser, `postgresql://postgres:…@127.0.0.1:PORT/postgres`."""
    server = PostgresServer(**options)
    try:
        server.start()
        yield server.url
    finally:
        server.close()


def _wait(server: subprocess.Popen[bytes], port: int, log: Path, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and server.poll() is None:
        # It listens before it takes connections; it says so in its log.
        if b"ready to accept connections" in log.read_bytes():
            with socket.create_connection(("127.0.0.1", port), timeout=5):
                return
        time.sleep(0.05)
    raise RuntimeError(f"Postgres did not start: {log.read_text(errors='replace')[-500:]}")
