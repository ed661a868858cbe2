"""What every worker has around its work: signals, health and metrics.

>>> from contracts.settings import WorkerSettings
>>> with Shell("detect", WorkerSettings()) as shell:  # doctest: +SKIP
...     shell.ready.set()
...     while not shell.stopping.is_set():
...         shell.beat()
...         work()
"""

import json
import signal
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import FrameType, TracebackType
from typing import Any, Final, Self

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from contracts.errors import SettingsError
from contracts.settings import WorkerSettings

ALIVE: Final = 60.0
"""Seconds without a beat after which a worker counts as hung."""

_Handler = Callable[[int, FrameType | None], Any] | int | None


class Shell:
    """Signals, health and metrics of one worker, for as long as it is entered.

    The first SIGTERM or SIGINT sets `stopping`, and the worker ends in good order; the second interrupts it at once.
    `/live` is 200 while the worker calls `beat()`, `/ready` is 200 while `ready` is set, `/metrics` is for Prometheus.
    Signals are left alone where it is entered outside of the main thread.
    """

    def __init__(self, name: str, settings: WorkerSettings) -> None:
        self.name: Final = name
        self.stopping: Final = threading.Event()
        self.ready: Final = threading.Event()
        self.port = 0
        """Where health and metrics are served; known once it is entered."""
        self._settings: Final = settings
        self._beaten = time.monotonic()
        self._server: ThreadingHTTPServer | None = None
        self._handlers: dict[signal.Signals, _Handler] = {}

    def beat(self) -> None:
        """Says that the worker is alive. To be called more often than once a minute, also while it waits."""
        self._beaten = time.monotonic()

    @property
    def alive(self) -> bool:
        """Whether the worker has said so in the last minute."""
        return time.monotonic() - self._beaten < ALIVE

    def __enter__(self) -> Self:
        """Raises SettingsError where the address and port cannot be had."""
        address, port = self._settings.address, self._settings.port
        try:
            self._server = _Server((address, port), _handler(self))
        except OSError as error:
            raise SettingsError(
                f"worker.address, worker.port: cannot serve health and metrics on {address}:{port}: {error.strerror}"
            ) from None
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, name="affectstream-health", daemon=True).start()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._handlers[number] = signal.signal(number, self._asked_to_stop)
        self.beat()
        self.say(f"serving health and metrics on http://{address}:{self.port}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ready.clear()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def say(self, line: str) -> None:
        """Tells the operator something, on stderr."""
        print(f"affectstream {self.name}: {line}", file=sys.stderr, flush=True)

    def _asked_to_stop(self, number: int, frame: FrameType | None) -> None:
        if self.stopping.is_set():
            signal.default_int_handler(number, frame)  # asked twice: at once
        self.stopping.set()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 16


def _handler(shell: Shell) -> type[BaseHTTPRequestHandler]:
    """The pages of one worker."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                self._answer(200, generate_latest(), CONTENT_TYPE_LATEST)
            elif path == "/live":
                self._judge(good=shell.alive)
            elif path == "/ready":
                self._judge(good=shell.ready.is_set() and not shell.stopping.is_set())
            else:
                self._answer(404, b"there are /live, /ready and /metrics\n", "text/plain")

        def _judge(self, *, good: bool) -> None:
            state = {
                "worker": shell.name, "alive": shell.alive, "ready": shell.ready.is_set(),
                "stopping": shell.stopping.is_set(),
            }  # fmt: skip
            self._answer(200 if good else 503, json.dumps(state).encode() + b"\n", "application/json")

        def _answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """A probe every few seconds is no news."""

    return Handler
