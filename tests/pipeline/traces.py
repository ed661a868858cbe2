"""What a scene says about single people, and whether any of it stands somewhere."""

import math
import struct
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, Final

import msgspec

from aggregator import Aggregator
from contracts.messages import EmotionsMessage, FrameEmotions, RunEnded, RunStarted
from contracts.rows import Observation, Person, Rows, StressEpisode, WindowStat
from contracts.settings import AggregatorSettings, PrivacySettings

PACKED: Final = 8
"""Bytes of a double, or of two floats that stand side by side."""
WRITTEN: Final = 10
"""First characters of a number in a text. With fewer, one of thousands is met by chance in one of a camera's own."""


class Traces:
    """The pseudonyms, boxes and numbers of single people in a scene, without those that are a whole camera's too."""

    def __init__(self, messages: Sequence[EmotionsMessage], settings: AggregatorSettings) -> None:
        """`messages`: the classified frames, of any cameras."""
        self.rows: Final = _rows(messages, settings)
        everybody = set(_numbers([row for row in self.rows.windows if not row.person_id]))
        mine = [row for row in self.rows.windows if row.person_id]
        rows = self.rows
        own: list[Observation | WindowStat | Person | StressEpisode] = []
        own += [*mine, *rows.observations, *rows.people, *rows.episodes]
        self.people: Final = {row.person_id for row in own} - {""}
        self.numbers: Final = {number for number in _numbers(own) if _telling(number)} - everybody
        self._patterns: Final = {pattern for number in self.numbers for pattern in _written(number)}
        for message in messages:
            if isinstance(message, FrameEmotions):
                for line in [*message.boxes.tolist(), *message.probabilities.tolist()]:
                    self._patterns.update(pattern for pair in pairwise(line) for pattern in _side_by_side(pair))

    def in_bytes(self, data: bytes) -> set[str]:
        """What of it stands in these bytes, as text or packed."""
        found = {person_id for person_id in self.people if person_id.encode() in data}
        for start in range(0, len(data), 1 << 20):
            part = data[start : start + (1 << 20) + WRITTEN]
            for width in (PACKED, WRITTEN):
                there = self._patterns.intersection(part[at : at + width] for at in range(len(part) - width + 1))
                found |= {repr(pattern) for pattern in there}
        return found

    def in_values(self, values: Iterable[Any]) -> set[str]:
        """What of it stands in the values of a table's columns."""
        found: set[str] = set()
        for value in values:
            if isinstance(value, float):
                found |= {repr(value)} if value in self.numbers else set()
            elif isinstance(value, bytes | memoryview):
                found |= self.in_bytes(bytes(value))
            elif isinstance(value, str):
                found |= self.in_bytes(value.encode())
        return found


def _rows(messages: Sequence[EmotionsMessage], settings: AggregatorSettings) -> Rows:
    aggregators: dict[str, Aggregator] = {}
    rows = Rows()
    for message in messages:
        camera_id = message.camera_id
        one = aggregators.setdefault(camera_id, Aggregator(camera_id, settings, PrivacySettings()))
        if isinstance(message, RunEnded):
            rows.extend(one.finish(message))
        elif not isinstance(message, RunStarted):
            rows.extend(one.add(message))
    return rows


def _numbers(rows: Iterable[msgspec.Struct]) -> Iterable[float]:
    for row in rows:
        for value in msgspec.structs.astuple(row):
            for number in value if isinstance(value, tuple) else (value,):
                if isinstance(number, float):
                    yield number
                    yield struct.unpack("<f", struct.pack("<f", number))[0]


def _telling(number: float) -> bool:
    """Not one that comes about by chance, such as 0.5 or 48.0: it has many digits."""
    return number != 0 and math.frexp(number)[0] * 4096 % 1 != 0


def _written(number: float) -> set[bytes]:
    text = repr(number)[:WRITTEN].encode()
    plain = {text} if len(text) == WRITTEN and b"e" not in text and len(text.strip(b"0.")) > 5 else set()
    return plain | {struct.pack("<d", number), struct.pack(">d", number)}


def _side_by_side(pair: tuple[float, float]) -> set[bytes]:
    telling = any(map(_telling, pair)) or (min(pair) > 1 and pair[0] != pair[1])
    return {struct.pack("<ff", *pair), struct.pack(">ff", *pair)} if telling else set()
