"""How far each partition has been stored. Knows neither Kafka nor SQL."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from pipeline.topic import Standing


class GapError(Exception):
    """Messages were skipped: to be read again from the last commit."""


class Offsets:
    """What is stored, as one number for each partition: everything below it is. It is only ever raised."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.stored: Final[dict[int, int]] = {}
        self._say: Final = say
        self._located: Final[set[int]] = set()
        self._gaps: Final[set[tuple[int, int, int]]] = set()

    def unknown(self, partitions: Collection[int]) -> set[int]:
        """Those of which the group's commit has to be looked up."""
        return set(partitions) - self._located

    def forget(self) -> None:
        """The partitions were shared out anew: others may have gone on with ours in the meantime."""
        self._located.clear()

    def locate(self, partition: int, standing: Standing) -> None:
        """Where the group goes on with this partition."""
        committed = standing.low if standing.committed is None else max(standing.committed, standing.low)
        known = self.stored.get(partition, committed)
        # Beyond the end, or without a commit: the topic was made anew, or else the books recognise what they have.
        anew = known > standing.high or standing.committed is None
        self.stored[partition] = committed if anew else max(known, committed)
        self._located.add(partition)

    def located(self) -> dict[int, int]:
        """How far those are stored that were looked up since the partitions were shared out."""
        return {partition: self.stored[partition] for partition in self._located}

    def fresh(self, places: Sequence[tuple[int, int]]) -> tuple[list[int], dict[int, int]]:
        """Of a batch of (partition, offset), the indexes of what is not stored yet, and how far that leads.

        Raises GapError where something is missing before one of them; when it is missing again the next time, Kafka
        itself does not have it any more (it was not read within the topic's retention), and we go on without.
        """
        ends: dict[int, int] = {}
        indexes = []
        for index, (partition, offset) in enumerate(places):
            expected = ends.get(partition, self.stored[partition])
            if offset < expected:
                continue
            if offset > expected:
                self._look_at_gap(partition, expected, offset)
            indexes.append(index)
            ends[partition] = offset + 1
        return indexes, ends

    def advance(self, ends: dict[int, int]) -> None:
        """The batch is stored."""
        for partition, end in ends.items():
            self.stored[partition] = max(end, self.stored.get(partition, 0))

    def _look_at_gap(self, partition: int, expected: int, offset: int) -> None:
        gap = f"messages {expected} to {offset - 1} of partition {partition}"
        if (partition, expected, offset) not in self._gaps:
            self._gaps.add((partition, expected, offset))
            raise GapError(f"{gap} were skipped; reading again from the last commit")
        self._say(f"{gap} are not in Kafka any more; they are lost")


class Passed:
    """Until when all that was published is stored, also where nothing comes any more, or where some always waits."""

    def __init__(self) -> None:
        self._ends: Mapping[int, int] = {}
        self._at = 0

    def look(self, positions: Mapping[int, int], ends: Mapping[int, int], at: int) -> int | None:
        """Takes in where our partitions stand and end, as of `at`. Returns such a time, where that has been reached."""
        same = self._ends.keys() == ends.keys()
        reached = same and all(positions[partition] >= end for partition, end in self._ends.items())
        passed = self._at if reached and ends else None
        if reached or not same:
            self._ends, self._at = ends, at
        return passed
