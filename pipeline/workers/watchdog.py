"""Notices a consumer that has stopped without a word, which is a known fault of the library that we consume with."""

import time
from collections.abc import Callable, Mapping


class Watchdog:
    """Looks again and again where the partitions stand; at each by itself, for one may stop while others go on."""

    def __init__(self, patience: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`patience` is in seconds."""
        self._patience = patience
        self._clock = clock
        self._seen: dict[int, tuple[int, float]] = {}  # partition -> where it stood, and since when
        self._apart_since: float | None = None

    def look(self, positions: Mapping[int, int], ends: Mapping[int, int], *, joined: bool) -> str | None:
        """What is wrong, if something is. `positions` are those of the partitions that are ours, `ends` their ends.

        `joined` says whether the group has given us our partitions, which may be none.
        """
        now = self._clock()
        self._apart_since = None if joined else self._apart_since or now
        if self._apart_since is not None and now - self._apart_since > self._patience:
            return f"has waited for its partitions for {now - self._apart_since:.0f} s"
        seen, self._seen = self._seen, {}
        for partition, position in positions.items():
            before, since = seen.get(partition, (position, now))
            waiting = ends.get(partition, position) - position
            self._seen[partition] = (position, since if waiting > 0 and position == before else now)
            if now - self._seen[partition][1] > self._patience:
                return f"has consumed nothing of partition {partition} for {now - since:.0f} s while {waiting} wait"
        return None

    def reset(self) -> None:
        """Begins anew: whoever is to blame for the time that has passed, it is not the consumer."""
        self._seen.clear()
        self._apart_since = None
