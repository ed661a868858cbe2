"""A run with its live page in a process of its own, and a real browser that looks at it."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, sync_playwright

CHROMIUM: Final = Path("/usr/bin/chromium")
MISSING: Final = "no /usr/bin/chromium here (Debian: apt-get install chromium)"
ARGUMENTS: Final = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run",
)  # fmt: skip
PATIENCE: Final = 60_000
"""Milliseconds to wait for something to appear; only a broken page uses them up."""


class Served:
    """A command that serves the live page; may be ended and started again, at the same address."""

    def __init__(self, folder: Path, *arguments: str, settings: Mapping[str, object] | None = None) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        values = {"detector_name": "haar", "live_port": port, **(settings or {})}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AFFECTSTREAM_")}
        self._environment: Final = kept | {f"AFFECTSTREAM_{name.upper()}": str(value) for name, value in values.items()}
        self._environment["PYTHONPATH"] = str(Path(__file__).parents[2])
        self._command: Final = [sys.executable, "-m", "pipeline", *arguments]
        self._folder: Final = folder
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def start(self) -> None:
        """Returns when the page is there."""
        self._process = subprocess.Popen(
            self._command, env=self._environment, cwd=self._folder, text=True, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )  # fmt: skip
        assert self._process.stderr is not None
        said = []
        for line in self._process.stderr:
            said.append(line)
            if found := re.search(r"live page at (\S+?);?\s", line):
                self.url = found[1]
                return
        raise AssertionError(f"it never served its page: {said}")

    def stop(self) -> None:
        """As a supervisor would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.communicate(timeout=60)
            self._process = None


@contextmanager
def served(folder: Path, *arguments: str, settings: Mapping[str, object] | None = None) -> Iterator[Served]:
    """A command that serves the live page, started and ended."""
    command = Served(folder, *arguments, settings=settings)
    command.start()
    try:
        yield command
    finally:
        command.stop()


@contextmanager
def chromium() -> Iterator[Browser]:
    """A real browser without a screen. Skips the test where there is none."""
    if not CHROMIUM.exists():
        pytest.skip(MISSING)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


class Viewer:
    """Somebody who looks at a page, and who is told of everything that goes wrong in it."""

    def __init__(self, browser: Browser, url: str, *, width: int = 1280, dark: bool = False) -> None:
        self.complaints: Final[list[str]] = []
        self.strangers: Final[list[str]] = []
        self._own: Final = urlsplit(url).netloc
        self.context: Final[BrowserContext] = browser.new_context(
            viewport={"width": width, "height": 844}, color_scheme="dark" if dark else "light"
        )
        self.context.set_default_timeout(PATIENCE)
        self.context.route("**/*", self._look_at)
        self.page: Final[Page] = self.context.new_page()
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(url)

    def _look_at(self, route: Route) -> None:
        """There is no network but the server: whatever asks for another host is refused and noted."""
        where = urlsplit(route.request.url)
        if where.scheme in {"data", "blob"} or where.netloc == self._own:
            route.continue_()
        else:
            self.strangers.append(route.request.url)
            route.abort()

    def wait(self, condition: str) -> None:
        """Waits until a JavaScript expression is true."""
        self.page.wait_for_function(condition, timeout=PATIENCE)

    def close(self) -> None:
        """Goes."""
        self.context.close()
