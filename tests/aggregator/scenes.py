"""Small scenes on plain values: faces that move along lines and show what they are told to."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import numpy as np

from aggregator import Aggregator
from contracts.emotions import EMOTIONS
from contracts.messages import FrameEmotions, RunEnded, Tombstone
from contracts.rows import Rows, WindowStat
from contracts.settings import AggregatorSettings, PrivacySettings

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND // (900 * SECOND) * (900 * SECOND)  # the beginning of a window of every length

Face: TypeAlias = tuple[float, float, float, dict[str, float]]
"""centre x, centre y, side, {emotion: probability}; what is missing to 1 is neutral"""
Scene: TypeAlias = Callable[[float], Sequence[Face]]
"""seconds since the start -> the faces that are there"""


def shows(**emotions: float) -> dict[str, float]:
    return {**emotions, "neutral": 1 - sum(emotions.values()) + emotions.get("neutral", 0.0)}


def frame(seq: int, seconds: float, faces: Sequence[Face], run_id: str = "run") -> FrameEmotions:
    boxes = [(x - side / 2, y - side / 2, side, side) for x, y, side, _ in faces]
    probabilities = [[emotions.get(name, 0.0) for name in EMOTIONS] for *_, emotions in faces]
    return FrameEmotions(
        camera_id="door", run_id=run_id, seq=seq, captured_at=START + round(seconds * SECOND),
        boxes=np.array(boxes, np.float32).reshape(-1, 4), scores=np.full(len(faces), 0.9, np.float32),
        probabilities=np.array(probabilities, np.float32).reshape(-1, 7),
    )  # fmt: skip


def film(scene: Scene, seconds: float, fps: float = 25.0, run_id: str = "run") -> list[FrameEmotions]:
    count = round(seconds * fps)
    return [frame(seq, seq / fps, scene(seq / fps), run_id) for seq in range(count)]


def ended(frames: Sequence[FrameEmotions | Tombstone]) -> RunEnded:
    last = max((f.captured_at for f in frames), default=START)
    run_id = frames[0].run_id if frames else "run"
    return RunEnded(camera_id="door", run_id=run_id, frames=len(frames), dropped=0, ended_at=last)


def make(privacy: str = "pseudonymous", **settings: object) -> Aggregator:
    return Aggregator(
        "door", AggregatorSettings.model_validate(settings), PrivacySettings.model_validate({"level": privacy})
    )


def watch(frames: Iterable[FrameEmotions | Tombstone], aggregator: Aggregator | None = None) -> Rows:
    aggregator = aggregator or make()
    frames = list(frames)
    rows = Rows()
    for one in frames:
        rows.extend(aggregator.add(one))
    rows.extend(aggregator.finish(ended(frames)))
    return rows


def people(rows: Rows) -> dict[str, int]:
    """person_id -> observations stored"""
    counts: dict[str, int] = {}
    for row in rows.observations:
        counts[row.person_id] = counts.get(row.person_id, 0) + 1
    return counts


def camera(rows: Rows, seconds: int) -> list[WindowStat]:
    return [row for row in rows.windows if row.person_id == "" and row.window_seconds == seconds]
