"""Pictures of what is stored, in the machine's zone."""

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.picture import draw, outline
from storage.history import CameraWindow

MEAN = (0.125, 0.125, 0.125, 0.25, 0.125, 0.125, 0.125)


@pytest.fixture(autouse=True)
def berlin(in_zone: Callable[[str], None]) -> None:
    in_zone("Europe/Berlin")


def at(start: datetime) -> CameraWindow:
    return CameraWindow("door", 900, start, 22500, 900, 2, 300.0, MEAN, 3, 0.5, 0.25, 0.1, 0.5, "happy")


def test_an_hour_that_comes_twice_is_drawn_twice() -> None:
    first = datetime(2026, 10, 24, 23, tzinfo=UTC)  # clocks are put back from 3 to 2 at 1 UTC
    windows = [at(first + timedelta(minutes=15 * number)) for number in range(16)]
    times, rows = outline(windows)
    assert times == sorted(times)
    assert times[-1] - times[0] == timedelta(hours=4)
    assert None not in rows
    drawn = io.BytesIO()
    draw(windows, drawn, "svg")
    assert b"</svg>" in drawn.getvalue()
