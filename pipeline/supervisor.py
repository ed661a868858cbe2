"""Keeps processes running: starts them, passes on what they say, starts the dead again, ends all in good order.

>>> import sys
>>> with Supervisor([Task("greeter", (sys.executable, "-c", "print('hello')"), once=True)]) as supervisor:
...     supervisor.wait()
True
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import IO, Final, Self, TextIO

COLOURS: Final = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
TICK: Final = 0.05


@dataclass(frozen=True)
class Task:
    """A process that is wanted. Tasks of one `group` are ended together; `once`: good when it has ended with 0."""

    name: str
    command: Sequence[str]
    group: str = ""
    once: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Patience:
    """When to start again, and when to give up. All in seconds."""

    first: float = 0.5  # before the first new start; doubles with every quick death …
    most: float = 15.0  # … up to this
    quick: float = 15.0  # a process that lived for less died quickly
    deaths: int | None = 5  # so many quick deaths in a row are enough; None: never
    grace: float = 25.0  # to end in good order; then it is killed


@dataclass
class _Kept:
    """One task, and the process that does it now."""

    task: Task
    process: subprocess.Popen[bytes] | None = None
    listener: threading.Thread | None = None
    since: float = 0.0
    start_at: float = 0.0
    quick_deaths: int = 0
    restarts: int = 0
    done: bool = False

    @property
    def alive(self) -> bool:
        process = self.process  # which another thread may take away
        return process is not None and process.poll() is None

    def signal(self, number: signal.Signals) -> bool:
        process = self.process
        if process is None or process.poll() is not None:
            return False
        process.send_signal(number)
        return True


class Supervisor:
    """Runs tasks while it is entered. They start in their order, and end in the reverse order, group by group."""

    def __init__(
        self, tasks: Sequence[Task], patience: Patience | None = None, *, out: TextIO | None = None, name: str = "up"
    ) -> None:
        """What the processes write, on stdout and on stderr, goes to `out` in whole lines, their names before them."""
        self._patience: Final = patience or Patience()
        self._kept: Final = {task.name: _Kept(task) for task in tasks}
        self._out: Final = out or sys.stderr
        self._name: Final = name
        self._writing: Final = threading.Lock()
        self._stopping: Final = threading.Event()
        self._at_once: Final = threading.Event()
        self._over: Final = threading.Event()
        # One thread starts all of them: the system ends them with the thread that started them (see _command).
        self._thread: Final = threading.Thread(target=self._run, name="affectstream-supervisor", daemon=True)
        self.failed: str | None = None
        """The task that could not be kept alive, and that ended all others."""

    @property
    def restarts(self) -> Mapping[str, int]:
        """How often each task was started again."""
        return {name: kept.restarts for name, kept in self._kept.items()}

    @property
    def alive(self) -> Mapping[str, int]:
        """Those that run, with the numbers of their processes."""
        processes = {name: kept.process for name, kept in self._kept.items()}
        return {name: process.pid for name, process in processes.items() if process and process.poll() is None}

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> bool:
        """Sends a task's process a signal; False where none runs at this moment."""
        return self._kept[name].signal(number)

    def stop(self, *, at_once: bool = False) -> None:
        """Asks all processes to end, or kills them. May be called repeatedly, and by a signal handler."""
        if at_once:
            self._at_once.set()
        self._stopping.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Until all have ended: because they were asked to, were all `once`, or one could not be kept alive."""
        return self._over.wait(timeout)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stopping.wait(TICK):
                for kept in self._kept.values():
                    self._look_after(kept)
                if all(kept.done for kept in self._kept.values()):
                    break
            self._end_all()
        finally:
            for kept in self._kept.values():
                if kept.process is not None:
                    _kill_group(kept.process)
            self._over.set()

    def _look_after(self, kept: _Kept) -> None:
        if kept.done or kept.alive or self._stopping.is_set():
            return
        now = time.monotonic()
        if kept.process is not None:
            self._bury(kept, now)
        elif now >= kept.start_at:
            self._start(kept, now)

    def _start(self, kept: _Kept, now: float) -> None:
        task = kept.task
        kept.since = now
        try:
            kept.process = subprocess.Popen(  # noqa: S603  (the commands are our caller's)
                _command(task.command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **task.environment},
                process_group=0,  # so that Ctrl-C comes to us alone
            )  # fmt: skip
        except OSError as error:
            self._say(f"{task.name} cannot be started: {error}")
            self.failed = task.name
            self._stopping.set()
            return
        kept.listener = threading.Thread(target=self._listen, args=(task.name, kept.process.stdout), daemon=True)
        kept.listener.start()

    def _bury(self, kept: _Kept, now: float) -> None:
        code, lived = self._collect(kept), now - kept.since
        how = _ending(code)
        if kept.task.once and code == 0:
            kept.done = True
            return
        quick = lived < self._patience.quick
        kept.quick_deaths = kept.quick_deaths + 1 if quick else 0
        limit = self._patience.deaths
        if limit is not None and kept.quick_deaths >= limit:
            self._say(
                f"{kept.task.name} {how}, {limit} times within {self._patience.quick:g} s of its start: giving up"
            )
            self.failed = kept.task.name
            self._stopping.set()
            return
        pause = min(self._patience.first * 2 ** max(0, kept.quick_deaths - 1), self._patience.most)
        kept.start_at, kept.restarts = now + pause, kept.restarts + 1
        self._say(f"{kept.task.name} {how} after {lived:.1f} s; starting it again in {pause:g} s")

    def _collect(self, kept: _Kept) -> int:
        """Takes leave of a process that has ended; everything that it has said is passed on first."""
        assert kept.process is not None  # noqa: S101
        code = kept.process.wait()
        _kill_group(kept.process)  # what it has left behind would hold its output open, and its ports
        if kept.listener is not None:
            kept.listener.join(5)
        kept.process = None
        return code

    def _end_all(self) -> None:
        groups: list[list[_Kept]] = []
        for kept in reversed(self._kept.values()):
            if groups and groups[-1][0].task.group == kept.task.group:
                groups[-1].append(kept)
            else:
                groups.append([kept])
        for group in groups:
            self._end(group)

    def _end(self, group: Sequence[_Kept]) -> None:
        running = [kept for kept in group if kept.signal(signal.SIGTERM)]
        limit = time.monotonic() + self._patience.grace
        while any(kept.alive for kept in running) and time.monotonic() < limit and not self._at_once.is_set():
            time.sleep(TICK)
        for kept in running:
            if kept.signal(signal.SIGKILL) and not self._at_once.is_set():
                self._say(f"{kept.task.name} has not ended within {self._patience.grace:g} s: killed")
        for kept in group:
            if kept.process is not None:
                self._collect(kept)

    def _listen(self, name: str, output: IO[bytes]) -> None:
        with contextlib.closing(output):
            for line in output:
                self._write(name, line.decode(errors="replace").rstrip("\r\n"))

    def _say(self, line: str) -> None:
        self._write(self._name, line)

    def _write(self, name: str, line: str) -> None:
        width = max(map(len, (*self._kept, self._name)))
        prefix = f"{name:<{width}} |"
        if self._coloured and name in self._kept:
            prefix = f"\x1b[{COLOURS[list(self._kept).index(name) % len(COLOURS)]}m{prefix}\x1b[0m"
        # A reader that has gone, `head` say, does not end the processes.
        with self._writing, contextlib.suppress(OSError, ValueError):
            self._out.write(f"{prefix} {line}\n")
            self._out.flush()

    @property
    def _coloured(self) -> bool:
        return self._out.isatty() and not os.environ.get("NO_COLOR")


def _command(command: Sequence[str]) -> list[str]:
    """The command, asked to end when we do, however we end; where the system has no way to, as it is."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--", *command] if setpriv else list(command)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
