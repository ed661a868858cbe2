"""Counts what the stages do, from outside of them: items and busy seconds by stage. Safe for many threads."""

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class Meter:
    """Seconds spent and items handled, by stage."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: dict[str, float] = defaultdict(float)
        self._items: dict[str, int] = defaultdict(int)
        self._batches: dict[str, int] = defaultdict(int)

    @contextmanager
    def stage(self, name: str, items: int = 1) -> Iterator[None]:
        """Times a block in which a stage handles so many items."""
        started = time.perf_counter()
        try:
            yield
        finally:
            elapsed = time.perf_counter() - started
            with self._lock:
                self._seconds[name] += elapsed
                self._items[name] += items
                self._batches[name] += 1

    def figures(self) -> dict[str, dict[str, float]]:
        """{stage: {seconds, items, batches}}"""
        with self._lock:
            return {
                name: {"seconds": self._seconds[name], "items": self._items[name], "batches": self._batches[name]}
                for name in self._seconds
            }
