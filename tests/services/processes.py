"""What all servers of the tests have in common: a port of their own, and an end."""

import signal
import socket
import subprocess
from typing import Any


def free_port(besides: int = 0) -> int:
    """A port on which nobody listens, other than this one."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
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
