"""What is searched is the whole picture, small, and says where it came from."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.search import shrink


@given(columns=st.integers(8, 2000), rows=st.integers(8, 700), width=st.integers(64, 480))
@settings(max_examples=60, deadline=None)
def test_every_picture_fits_the_working_width(columns: int, rows: int, width: int) -> None:
    small = shrink(np.full((rows, columns, 3), 90, np.uint8), width)
    assert small.picture.shape[1] == min(columns, width)
    assert (small.picture == 90).all()
    # Halving leaves out an odd last row or column: less than the pixels that become one.
    for source, side, scale in ((columns, small.picture.shape[1], small.x), (rows, small.picture.shape[0], small.y)):
        assert source - 2 * source / side < scale * side <= source + 1e-6


@pytest.mark.parametrize(("columns", "rows"), [(700, 500), (1280, 720), (1366, 769), (1921, 1081), (3840, 2160)])
def test_what_is_found_lies_where_it_was_seen(columns: int, rows: int) -> None:
    across, down = np.meshgrid(np.arange(columns), np.arange(rows))
    ramps = np.stack([across * 255 / columns, down * 255 / rows, np.zeros_like(down)], axis=-1)
    small, x, y = shrink(np.round(ramps).astype(np.uint8), 480)
    there_across = (np.arange(480) + 0.5) * x - 0.5
    there_down = (np.arange(small.shape[0]) + 0.5) * y - 0.5
    assert np.abs(small[5, :, 0] - there_across * 255 / columns).max() <= 1
    assert np.abs(small[:, 5, 1] - there_down * 255 / rows).max() <= 1


@pytest.mark.parametrize("columns", [1200, 1280, 1900, 3840])
def test_no_pixel_is_skipped(columns: int) -> None:
    stripes = np.zeros((96, columns, 3), np.uint8)
    stripes[:, ::2] = 254  # a sampling that skips pixels sees them black in one place and white in the next
    assert np.abs(shrink(stripes, 480).picture.astype(int) - 127).max() <= 1


def test_a_very_flat_picture_can_be_searched() -> None:
    assert shrink(np.zeros((8, 16_384, 3), np.uint8), 64).picture.shape == (1, 64, 3)
