"""What is done again and again, but only as long as somebody looks."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from dashboards.live.hub import Hub

WAIT: Final = 0.5


class WhileWatched:
    """Calls `look` every so many seconds, in a thread. It is told whether it has yet to succeed since somebody began to
    look, and says whether it has.
    """

    def __init__(self, hub: Hub, look: Callable[[bool], bool], *, every: float, name: str) -> None:
        self._hub: Final = hub
        self._look: Final = look
        self._every: Final = every
        self._stopping: Final = threading.Event()
        self._thread: Final = threading.Thread(target=self._run, name=f"affectstream-{name}", daemon=True)

    def start(self) -> Self:
        """Begins."""
        self._thread.start()
        return self

    def close(self) -> None:
        """Ends it; waits for the call that goes on."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            if not self._hub.watched:
                self._stopping.wait(WAIT)
                continue
            begins = True
            while self._hub.watched and not self._stopping.is_set():
                begins = not self._look(begins) and begins
                self._stopping.wait(self._every)
