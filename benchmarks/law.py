"""The straight line that a curve follows, how well, and where it leaves it."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

BENT: Final = 0.15  # a point that is farther than that from the line through those before it, as a share of the line
FEWEST: Final = 3  # points before it: two make a line with any noise, and it goes anywhere


class Bend(NamedTuple):
    """Where a curve leaves the line through the points before."""

    point: int
    off: float  # how far, as a share of the line; above it is positive


class Law(NamedTuple):
    """y = a + b x, by least squares."""

    a: float
    b: float
    deviation: float  # the largest distance of a point from the line, as a share of the line
    bend: Bend | None

    def at(self, x: float) -> float:
        """What the line says."""
        return self.a + self.b * x


def law(x: Sequence[float], y: Sequence[float]) -> Law:
    """The line through at least one point, in the order of x; a level one where all have the same x."""
    a, b = _line(x, y)
    deviation = max(abs(_off(one, a + b * at)) for at, one in zip(x, y, strict=True))
    return Law(a, b, deviation, _bend(x, y))


def _bend(x: Sequence[float], y: Sequence[float]) -> Bend | None:
    for point in range(FEWEST, len(x)):
        a, b = _line(x[:point], y[:point])
        off = _off(y[point], a + b * x[point])
        if abs(off) > BENT:
            return Bend(point, off)
    return None


def _line(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    if max(x) == min(x):
        return float(np.mean(y)), 0.0
    b, a = np.polyfit(x, y, 1)
    return float(a), float(b)


def _off(y: float, line: float) -> float:
    return (y - line) / abs(line) if line else float(np.sign(y))
