"""What the live page costs a run: frames/s with it against without, in turn.

    python -m benchmarks.live VIDEO [--rounds 5] [--loops 10]

The video is read several times over, as one recording, so that a run lasts long enough to be looked at.

Four ways, one after the other in each round: without --live; with --live and nobody looking; with a viewer that takes
the page's data and pictures and throws them away (what the server's share costs); with a real browser on the same
machine (which also needs the machine's cores to draw what it is sent).
"""

import argparse
import asyncio
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
import websockets
from playwright.sync_api import sync_playwright

WAYS: Final = ("without", "nobody", "client", "chromium")
CHROMIUM: Final = "/usr/bin/chromium"
ARGUMENTS: Final = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run",
)  # fmt: skip


def measure(video: Path, rounds: int, loops: int) -> dict[str, Any]:
    """The median frames/s of each way, and the medians of the ratios within the rounds."""
    runs: dict[str, list[Figures]] = {way: [] for way in WAYS}
    with browser() as open_page, tempfile.TemporaryDirectory() as folder:
        long = Path(folder) / f"long{video.suffix}"
        subprocess.run(
            ["ffmpeg", "-v", "error", "-stream_loop", str(loops - 1), "-i", video, "-an", "-c", "copy", long],
            check=True,
        )
        run(video, "without", open_page)  # warms the caches
        for number in range(rounds):
            for way in WAYS if number % 2 else WAYS[::-1]:
                runs[way].append(one := run(long, way, open_page))
                print(f"round {number + 1}, {way}: {one}", file=sys.stderr, flush=True)
    speeds = {way: [one.fps for one in ones] for way, ones in runs.items()}
    work = {way: [one.cpu for one in ones] for way, ones in runs.items()}
    return {
        "frames_per_second": {way: round(statistics.median(values), 1) for way, values in speeds.items()},
        "ratio": {way: ratio(speeds, way) for way in WAYS[1:]},
        "cpu_seconds": {way: round(statistics.median(values), 2) for way, values in work.items()},
        "cpu_ratio": {way: ratio(work, way) for way in WAYS[1:]},
        "pictures_per_second": round(statistics.median(one.pictures / one.seconds for one in runs["client"]), 1),
        "runs": {way: [one._asdict() for one in ones] for way, ones in runs.items()},
    }


def ratio(figures: dict[str, list[float]], way: str) -> float:
    """The median of the ratios within the rounds."""
    return round(statistics.median(a / b for a, b in zip(figures[way], figures["without"], strict=True)), 3)


class Figures(NamedTuple):
    """What one run came to."""

    fps: float
    seconds: float  # of work
    cpu: float  # seconds of all cores, of the process of the run, from its start to its end
    pictures: int  # that the client got


def run(video: Path, way: str, open_page: Callable[[str], Any]) -> Figures:
    """One run, looked at or not."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pipeline", "run", str(video), "--json", "--camera", "door"]
        if way != "without":
            command.append("--live")
        environment = os.environ | {
            "AFFECTSTREAM_LIVE_PORT": "0", "AFFECTSTREAM_STORAGE_URL": f"sqlite:///{folder}/rows.db"
        }  # fmt: skip
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        seen = [0]
        if way in {"client", "chromium"}:
            url = address(process)
            if way == "chromium":
                page = open_page(url)
                process.wait()
                page.close()
            else:
                viewer = threading.Thread(target=lambda: asyncio.run(look(url, seen)))
                viewer.start()
                process.wait()
                viewer.join()
        out, _ = process.communicate()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        said = json.loads(out)
        return Figures(said["fps"], said["wall_seconds"], round(cpu, 2), seen[0])


def address(process: "subprocess.Popen[str]") -> str:
    """The page's address, once it is served."""
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(r"live page at (\S+)", line):
            return found[1]
    raise RuntimeError("the run has not said where the page is")


async def look(url: str, seen: list[int]) -> None:
    """Does what a page does to the server, until the server ends: the page's own socket, and the pictures."""
    async with httpx.AsyncClient() as client:
        text = (await client.get(url, headers={"Accept": "text/html"})).text
    with suppress(websockets.ConnectionClosed, OSError, TimeoutError):
        await asyncio.gather(_page(url, text), _pictures(url, seen))


async def _page(url: str, text: str) -> None:
    """The socket over which the page's figures come: as the page's script opens it."""
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
        told = False
        async for message in one:
            if message == "2":
                await one.send("3")
            elif not told and listener is not None:
                told = True
                event = {
                    "id": 0, "client_id": found[1], "listener_id": json.loads(listener[0])["listener_id"],
                    "args": [json.dumps({"dark": False, "zone": "UTC", "hidden": False})],
                }  # fmt: skip
                await one.send("42" + json.dumps(["event", event]))


async def _pictures(url: str, seen: list[int]) -> None:
    async with websockets.connect(f"ws{url.removeprefix('http')}live/pictures", max_size=None) as one:
        await one.send(json.dumps({"watch": ["door"]}))
        async for _ in one:
            seen[0] += 1
            await one.send(json.dumps({"shown": "door"}))


@contextmanager
def browser() -> Iterator[Callable[[str], Any]]:
    """A real browser, started once; opens pages."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)

        def open_page(url: str) -> Any:
            page = chromium.new_page(viewport={"width": 1280, "height": 900})
            page.goto(url)
            return page

        yield open_page
        chromium.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--loops", type=int, default=10)
    given = parser.parse_args()
    print(json.dumps(measure(given.video, given.rounds, given.loops), indent=2))
