"""Which frames have been waited for so long that they will not come any more.

Time is told by when the topic's messages were published, so that the time for which a database was away, or we were,
counts for nothing. Nor does silence count for much: who publishes may be held up as well, and the missing frame with
them. It is all in memory: where another worker goes on, the waiting begins anew.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from aggregator import Gap

MOST: Final = 1000
"""Frames of one camera that are given up at once; others follow with the next batch."""
BELIEVED: Final = 10_000_000
"""Frames that may be missing, some days of a camera. Beyond, a number is wrong, and each of them would be a row."""
PAUSES: Final = 4
"""A silence counts for no more than this part of the limit."""


class Overdue:
    """How long the runs of one camera have waited."""

    def __init__(self, limit: float) -> None:
        """`limit`: so many seconds after one of its successors, a frame is given up."""
        self._limit: Final = round(limit * 1e9)
        self._heard = 0
        self._now = 0  # counts on while messages come
        self._since: dict[tuple[str, int], int] = {}  # what waits behind a gap -> since when

    def hear(self, at: int) -> None:
        """A frame that is new was published at `at` (UTC ns), or all that was published until then is in."""
        if self._heard:
            self._now += min(max(0, at - self._heard), self._limit // PAUSES)
        self._heard = max(self._heard, at)

    def due(self, gaps: Iterable[Gap]) -> list[Gap]:
        """Of all that is missing now, what is to be given up."""
        before, self._since = self._since, {}
        due: list[Gap] = []
        left = MOST
        for gap in gaps:
            place = gap.run_id, gap.end
            since = self._since[place] = before.get(place, self._now)
            if self._now - since > self._limit and left and len(gap) <= BELIEVED:
                end = min(gap.end, gap.first + left)
                left -= end - gap.first
                due.append(msgspec.structs.replace(gap, end=end, until=gap.time_of(end)))
        return due
