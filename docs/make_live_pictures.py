"""Makes the pictures of the live page from a real run: python docs/make_live_pictures.py (two minutes)."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

PICTURES = Path(__file__).parent / "pictures"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
MEANWHILE = 75_000  # milliseconds in which the charts fill
THREE_HERE = "document.querySelectorAll('.person:not(.left)').length >= 3"
SHOWN = "document.querySelector('img[data-camera]').naturalWidth > 0"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        command = [sys.executable, "-m", "pipeline", "run", "demo:600", "--pace", "realtime", "--live"]
        environment = os.environ | {"AFFECTSTREAM_LIVE_PORT": "0", "AFFECTSTREAM_STORAGE_URL": f"{folder}/demo.db"}
        run = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)  # noqa: S603
        assert run.stderr is not None  # noqa: S101
        url = next(found[1] for line in run.stderr if (found := re.search(r"live page at (\S+)", line)))
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        picture(chromium, url, 1280, 570, "live-page.png", pause=MEANWHILE)
        picture(chromium, url, 390, 800, "live-phone.png", dark=True)
        chromium.close()
        run.terminate()
        run.wait()


def picture(
    chromium: Browser, url: str, width: int, height: int, name: str, *, pause: int = 3000, dark: bool = False
) -> None:
    page = chromium.new_page(viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light")
    page.goto(url)
    page.wait_for_timeout(pause)
    page.wait_for_function(SHOWN, timeout=60_000)
    page.wait_for_function(THREE_HERE, timeout=60_000)
    page.wait_for_timeout(2000)
    page.screenshot(path=PICTURES / name)
    Image.open(PICTURES / name).quantize(256).save(PICTURES / name, optimize=True)
    page.close()


if __name__ == "__main__":
    main()
