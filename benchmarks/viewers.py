"""Those who look at a run's live page: a client that takes all it is sent and shows nothing, and a real browser."""

import asyncio
import json
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypeAlias

import httpx
import websockets

Look: TypeAlias = Callable[[str, "subprocess.Popen[str]"], int]
"""Looks at a URL until the process that serves it ends; gives how many pictures it counted."""
CAMERA: Final = "door"
"""The one camera that the run is to have."""
CHROMIUM: Final = Path("/usr/bin/chromium")
ARGUMENTS: Final = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run",
)  # fmt: skip


def nobody(url: str, process: "subprocess.Popen[str]") -> int:
    """Knows the address, and does not look."""
    del url
    process.wait()
    return 0


def client(url: str, process: "subprocess.Popen[str]") -> int:
    """Does to the server what a page does, over the page's own socket and that of the pictures."""
    seen = [0]
    looking = threading.Thread(target=lambda: asyncio.run(_look(url, seen)))  # this one's loop may be Playwright's
    looking.start()
    process.wait()
    looking.join()
    return seen[0]


@contextmanager
def browser() -> Iterator[Look]:
    """A real browser on this machine, started once. It does not say how many pictures it has shown."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)

        def look(url: str, process: "subprocess.Popen[str]") -> int:
            page = chromium.new_page(viewport={"width": 1280, "height": 900})
            page.goto(url)
            process.wait()
            page.close()
            return 0

        yield look
        chromium.close()


async def _look(url: str, seen: list[int]) -> None:
    with suppress(httpx.TransportError, websockets.ConnectionClosed, OSError, TimeoutError):  # the run is over
        async with httpx.AsyncClient() as one:
            text = (await one.get(url, headers={"Accept": "text/html"})).text
        await asyncio.gather(_page(url, text), _pictures(url, seen))


async def _page(url: str, text: str) -> None:
    """The socket over which the page's figures come, opened as the page's script does it."""
    found = re.search(r"client_id[^0-9a-f]+([0-9a-f-]{36})", text)
    assert found is not None
    query = (
        f"client_id={found[1]}&next_message_id=0&implicit_handshake=true&document_id=1&tab_id=1&old_tab_id=null"
        "&EIO=4&transport=websocket"
    )
    async with websockets.connect(f"ws{url.removeprefix('http')}_nicegui_ws/socket.io/?{query}", max_size=None) as one:
        await one.recv()
        await one.send("40")
        listener = re.search(r"\{[^{}]*\"type\":\"viewer\"[^{}]*\}", text)
        assert listener is not None
        event = {
            "id": 0, "client_id": found[1], "listener_id": json.loads(listener[0])["listener_id"],
            "args": [json.dumps({"dark": False, "zone": "UTC", "hidden": False})],
        }  # fmt: skip
        told = False
        async for message in one:
            if message == "2":
                await one.send("3")
            elif not told:
                told = True
                await one.send("42" + json.dumps(["event", event]))


async def _pictures(url: str, seen: list[int]) -> None:
    """The pictures, each said to have been shown at once."""
    async with websockets.connect(f"ws{url.removeprefix('http')}live/pictures", max_size=None) as one:
        await one.send(json.dumps({"watch": [CAMERA]}))
        async for _ in one:
            seen[0] += 1
            await one.send(json.dumps({"shown": CAMERA}))
