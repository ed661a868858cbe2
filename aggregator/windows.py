"""Tumbling windows in event time: what each person showed for how long, and from that the statistics.

Everything is weighted by time. An observation stands for a `Span`; a span that crosses the end of a window counts in
both, each with its part.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, cast

import msgspec

from contracts.emotions import EMOTIONS, HAPPY
from contracts.rows import Seven, WindowStat

SECOND: Final = 1_000_000_000
CAMERA: Final = ""  # the person_id of a whole camera


class Span(msgspec.Struct, frozen=True):
    """The time that one observation stands for: [start, end) in UTC ns."""

    start: int
    end: int
    probabilities: Seven
    dominant: int  # of the smoothed probabilities, an index into EMOTIONS
    changed: bool  # the dominant emotion is another than in the person's observation before
    stress: float
    stressed: bool


class Tally(msgspec.Struct):
    """What a person showed within one window; times in seconds."""

    seconds: float = 0.0
    sums: list[float] = msgspec.field(default_factory=lambda: [0.0] * len(EMOTIONS))
    observations: int = 0
    transitions: int = 0
    stress_sum: float = 0.0
    stress_max: float | None = None
    stressed: float = 0.0
    happy: float = 0.0

    def add(self, span: Span, seconds: float, first: bool) -> None:
        """Counts `seconds` of a span; `first` where the observation itself lies in this window."""
        self.seconds += seconds
        for index, probability in enumerate(span.probabilities):
            self.sums[index] += seconds * probability
        self.stress_sum += seconds * span.stress
        self.stress_max = span.stress if self.stress_max is None else max(self.stress_max, span.stress)
        self.stressed += seconds * span.stressed
        self.happy += seconds * (span.dominant == HAPPY)
        if first:
            self.observations += 1
            self.transitions += span.changed


class Window(msgspec.Struct):
    frames: int = 0
    people: dict[str, Tally] = {}


class Windows(msgspec.Struct):
    """The open windows of one run, by length and start."""

    lengths: tuple[int, ...]
    open: dict[int, dict[int, Window]] = {}  # seconds -> start in ns -> window

    def count_frame(self, at: int) -> None:
        """A frame was captured at this time, with faces or without."""
        for length in self.lengths:
            self._at(length, at - at % (length * SECOND)).frames += 1

    def add(self, person_id: str, spans: Iterable[Span]) -> None:
        """Credits a person with the spans, in every window that they touch."""
        for span in spans:
            for length in self.lengths:
                for start, seconds in _pieces(span, length * SECOND):
                    people = self._at(length, start).people
                    tally = people.get(person_id)
                    if tally is None:
                        tally = people[person_id] = Tally()
                    tally.add(span, seconds, first=start <= span.start)

    def close(self, settled: int | None) -> Iterator[tuple[int, int, Window]]:
        """Removes and yields (seconds, start, window) of all that end by `settled`, or of all if that is None."""
        due = [
            (start, length)
            for length, windows in self.open.items()
            for start in windows
            if settled is None or start + length * SECOND <= settled
        ]
        for start, length in sorted(due):
            yield length, start, self.open[length].pop(start)

    def _at(self, length: int, start: int) -> Window:
        windows = self.open.setdefault(length, {})
        window = windows.get(start)
        if window is None:
            window = windows[start] = Window()
        return window


def _pieces(span: Span, length: int) -> Iterator[tuple[int, float]]:
    """(window start, seconds) of each window that a span touches; at least the one in which it begins."""
    start = span.start - span.start % length
    while True:
        yield start, (min(span.end, start + length) - max(span.start, start)) / SECOND
        start += length
        if start >= span.end:
            return


def statistics(
    seconds: int, start: int, frames: int, tallies: Sequence[Tally], *, camera_id: str, run_id: str, person_id: str
) -> WindowStat:
    """The row of one person, or of all people of a camera together."""
    total = sum(tally.seconds for tally in tallies)
    peaks = [tally.stress_max for tally in tallies if tally.stress_max is not None]
    mean = None
    if total > 0:
        mean = cast(Seven, tuple(sum(tally.sums[i] for tally in tallies) / total for i in range(len(EMOTIONS))))

    def share(parts: Iterable[float]) -> float | None:
        return sum(parts) / total if total > 0 else None

    return WindowStat(
        camera_id=camera_id,
        run_id=run_id,
        person_id=person_id,
        window_seconds=seconds,
        window_start=start,
        frames=frames,
        observations=sum(tally.observations for tally in tallies),
        people=len(tallies),
        seconds_observed=total,
        mean=mean,
        dominant=EMOTIONS[max(range(len(EMOTIONS)), key=mean.__getitem__)] if mean else None,
        transitions=sum(tally.transitions for tally in tallies),
        stress_mean=share(tally.stress_sum for tally in tallies),
        stress_max=max(peaks) if peaks else None,
        stress_ratio=share(tally.stressed for tally in tallies),
        happiness_ratio=share(tally.happy for tally in tallies),
    )
