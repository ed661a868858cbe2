"""An ingest worker that reads nothing: it writes on stdout when it begins and ends to read a camera, and when.

python -m tests.pipeline.keeper_process URL OWNER LEASE
"""

import signal
import sys
import threading
import time

from contracts.settings import StorageSettings
from pipeline.camera_keeper import CameraKeeper
from storage import open_store
from storage.cameras import Cameras


class Pretence:
    """A reading that takes a moment to end."""

    error = None

    def __init__(self, camera_id: str, url: str) -> None:
        self._camera_id = camera_id
        self._stop = threading.Event()
        tell("begin", camera_id, url)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        self._stop.wait()
        time.sleep(0.1)
        tell("end", self._camera_id, "-")

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        self._stop.set()


_telling = threading.Lock()


def tell(*words: str) -> None:
    with _telling:
        print(time.monotonic(), *words, flush=True)


def main(url: str, owner: str, lease: float) -> None:
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())

    def cameras() -> Cameras:
        return Cameras(open_store(StorageSettings(url=url)), patient=False)

    keeper = CameraKeeper(
        cameras, Pretence, lease, owner=owner, say=lambda line: print(line, file=sys.stderr, flush=True)
    )
    keeper.run(stopping)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
