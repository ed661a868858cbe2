"""Following faces from frame to frame, by motion and overlap, with an optimal assignment.

As in SORT (Bewley et al., "Simple Online and Realtime Tracking", 2016), but with times in seconds instead of frames, so
that the result does not hang on the frame rate: each track predicts where its face is now, every pair of track and
detection has a cost, as has being left alone, and the cheapest assignment of all together wins.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from contracts.messages import F32

F64: TypeAlias = NDArray[np.float64]

SECOND: Final = 1_000_000_000

# A face may be off its prediction by REACH of its own sizes, and by REACH_GROWTH more for each second it was not seen;
# the logarithm of its size may differ by STRETCH, and STRETCH_GROWTH more for each second.
REACH: Final = 0.6
REACH_GROWTH: Final = 1.0
STRETCH: Final = 0.35
STRETCH_GROWTH: Final = 0.35
# An unseen face is expected to slow down with this time constant, in seconds; its velocity is averaged over this time.
SLOWING: Final = 0.5
VELOCITY_MEMORY: Final = 0.15
# Frames that come in bursts, as a network delivers them, are taken to be so many seconds apart when a velocity is
# measured: a pixel of jitter in a millisecond is none.
SHORTEST: Final = 0.02
# What it costs to leave a track without a face, and that face without a track. Most pairs cost less. Were it more, the
# track of a face that stands still would be handed to a newcomer, for the sake of one pair more elsewhere.
ALONE: Final = 3.0


class Track(msgspec.Struct):
    """Where a face was last seen, and how it moved. Centre and size in pixels, velocity in pixels per second."""

    x: float
    y: float
    width: float
    height: float
    seen_at: int  # UTC ns
    vx: float = 0.0
    vy: float = 0.0
    hits: int = 1

    @classmethod
    def begin(cls, box: Sequence[float], now: int) -> "Track":
        """A new track from a box (x, y, width, height)."""
        left, top, width, height = box
        return cls(left + width / 2, top + height / 2, width, height, now)

    def follow(self, box: Sequence[float], now: int) -> None:
        """Takes in the box in which the face was found again."""
        left, top, width, height = box
        x, y = left + width / 2, top + height / 2
        elapsed = (now - self.seen_at) / SECOND
        if elapsed > 0:
            # The first measurements are averaged, later ones are forgotten exponentially.
            gain = max(elapsed / (elapsed + VELOCITY_MEMORY), 1 / (self.hits + 1))
            self.vx += gain * ((x - self.x) / max(elapsed, SHORTEST) - self.vx)
            self.vy += gain * ((y - self.y) / max(elapsed, SHORTEST) - self.vy)
        self.x, self.y, self.width, self.height = x, y, width, height
        self.seen_at = now
        self.hits += 1


def assign(tracks: Sequence[Track], boxes: F32, now: int) -> list[int | None]:
    """For each of the boxes f32[N, 4] the index of the track that it continues, or None where a new face begins."""
    if not tracks or not len(boxes):
        return [None] * len(boxes)
    from scipy.optimize import linear_sum_assignment  # takes a second, which a program that starts need not wait for

    cost = _costs(tracks, boxes.astype(np.float64), now)
    answer: list[int | None] = [None] * len(boxes)
    for track, box in zip(*linear_sum_assignment(cost), strict=True):
        if cost[track, box] < ALONE:
            answer[int(box)] = int(track)
    return answer


def _costs(tracks: Sequence[Track], boxes: F64, now: int) -> F64:
    state = np.array([(t.x, t.y, t.width, t.height, t.vx, t.vy, (now - t.seen_at) / SECOND) for t in tracks])
    unseen = state[:, 6:7]
    centre = state[:, :2] + state[:, 4:6] * (SLOWING * (1 - np.exp(-unseen / SLOWING)))
    size, found_size = state[:, 2:4], boxes[:, 2:]
    found_centre = boxes[:, :2] + found_size / 2
    side, found_side = np.sqrt(size.prod(axis=1)), np.sqrt(found_size.prod(axis=1))

    distance = np.linalg.norm(centre[:, None] - found_centre[None], axis=2) / (side[:, None] + found_side[None]) * 2
    stretch = np.abs(np.log(np.maximum(found_side, 1e-3))[None] - np.log(np.maximum(side, 1e-3))[:, None])
    cost = distance + stretch + 1 - _overlap(centre, size, found_centre, found_size)
    cost[(distance > REACH + REACH_GROWTH * unseen) | (stretch > STRETCH + STRETCH_GROWTH * unseen)] = ALONE
    return np.asarray(np.minimum(cost, ALONE))


def _overlap(centre: F64, size: F64, found_centre: F64, found_size: F64) -> F64:
    """Intersection over union of every track [T, 2] with every box [N, 2], as f64[T, N]."""
    reach = np.minimum(centre[:, None] + size[:, None] / 2, found_centre[None] + found_size[None] / 2)
    start = np.maximum(centre[:, None] - size[:, None] / 2, found_centre[None] - found_size[None] / 2)
    shared = np.clip(reach - start, 0, None).prod(axis=2)
    return np.asarray(shared / (size.prod(axis=1)[:, None] + found_size.prod(axis=1)[None] - shared))
