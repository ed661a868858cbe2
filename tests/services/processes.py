"""What all servers of the tests have in common: a port of their own, and an end."""

import secrets
import signal
import socket
import subprocess
from contextlib import suppress
from typing import Any


def free_port(besides: int = 0) -> int:
    """A port on which nobody listens, other than this one.

    None of those that Linux gives to outgoing connections: one of these would take it before our server does.
    """
    while True:
        port = secrets.choice(range(20_000, 32_000))
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if port != besides:
                return port


def end(process: "subprocess.Popen[Any]", how: signal.Signals = signal.SIGTERM, seconds: float = 20) -> None:
    """Ends a process that way, and returns when it is gone: killed, if it has not obeyed by then."""
    process.send_signal(how)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
