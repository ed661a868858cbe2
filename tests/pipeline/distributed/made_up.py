"""Streams of classified frames, made up: people who come, go and feel, on several cameras. No picture is needed."""

import math
import random
from collections.abc import Iterable, Sequence
from itertools import count

import numpy as np

from aggregator import Aggregator
from contracts import wire
from contracts.emotions import EMOTIONS
from contracts.messages import EmotionsMessage, FrameEmotions, RunEnded, RunStarted, Tombstone
from contracts.rows import Rows
from contracts.settings import Settings
from pipeline.entries import Entry
from pipeline.runs import closed, opened
from storage.store import Store

SECOND = 10**9
START = 1_767_225_595 * SECOND  # 5 s before 2026: the frames reach over midnight, into another partition


def run_of(camera_id: str, number: int, frames: int, fps: float = 10.0, seed: int = 0) -> list[EmotionsMessage]:
    """A run: its start, its frames (one of them a tombstone) and its end."""
    source = random.Random(f"{camera_id} {number} {seed}")
    run_id = f"{camera_id}-{number}"
    began = START + number * 3600 * SECOND
    people = [(source.uniform(100, 900), source.uniform(0, 2), source.uniform(0.3, 0.9)) for _ in range(3)]
    messages: list[EmotionsMessage] = [
        RunStarted(
            camera_id=camera_id, run_id=run_id, source="made up", started_at=began, width=1280, height=720, live=False
        )
    ]
    for seq in range(frames):
        at = began + round(seq / fps * SECOND)
        if seq == frames // 2:
            messages.append(
                Tombstone(
                    camera_id=camera_id, run_id=run_id, seq=seq, captured_at=at, stage="detect", reason="truncated"
                )
            )
            continue
        seen = [index for index in range(len(people)) if math.sin(seq / fps / 3 + index * 2) > -0.6]
        boxes = [(people[index][0] + 20 * math.sin(seq / fps + index), 100 + 200 * index, 80, 80) for index in seen]
        shown = []
        for index in seen:
            weights = [0.05] * len(EMOTIONS)
            weights[(int(seq / fps / people[index][2] / 4) + index) % len(EMOTIONS)] += 1 + people[index][1]
            shown.append([weight / sum(weights) for weight in weights])
        messages.append(
            FrameEmotions(
                camera_id=camera_id, run_id=run_id, seq=seq, captured_at=at,
                boxes=np.array(boxes, np.float32).reshape(-1, 4), scores=np.full(len(seen), 0.9, np.float32),
                probabilities=np.array(shown, np.float32).reshape(-1, len(EMOTIONS)),
            )
        )  # fmt: skip
    ended = began + round(frames / fps * SECOND)
    messages.append(RunEnded(camera_id=camera_id, run_id=run_id, frames=frames, dropped=0, ended_at=ended))
    return messages


def shuffled(messages: Sequence[EmotionsMessage], source: random.Random, reach: float = 8.0) -> list[EmotionsMessage]:
    """As several classifiers would publish them: nearly in order, some twice."""
    doubled = [message for message in messages for _ in range(2 if source.random() < 0.05 else 1)]
    places = sorted(range(len(doubled)), key=lambda place: place + source.uniform(0, reach))
    return [doubled[place] for place in places]


def entries(messages: Iterable[EmotionsMessage], partition: str = "topic/0", every: float = 0.0) -> list[Entry]:
    """`every`: seconds between one message's publication and the next one's."""
    times = (START + round(number * every * SECOND) for number in count())
    return [
        Entry(partition=partition, offset=offset, at=at, camera_id=message.camera_id, value=wire.pack(message))
        for offset, (message, at) in enumerate(zip(messages, times, strict=False))
    ]


def undisturbed(runs: Iterable[Sequence[EmotionsMessage]], store: Store, settings: Settings) -> None:
    """Stores what one aggregator for each camera makes of these runs, in order and in one go."""
    aggregators: dict[str, Aggregator] = {}
    for messages in runs:
        rows, started, ended, faces = Rows(), None, None, 0
        for message in messages:
            camera_id = message.camera_id
            aggregator = aggregators.setdefault(camera_id, Aggregator(camera_id, settings.aggregator, settings.privacy))
            if isinstance(message, RunStarted):
                started = message
            elif isinstance(message, RunEnded):
                ended = message
                rows.extend(aggregator.finish(message))
            else:
                faces += len(message.boxes) if isinstance(message, FrameEmotions) else 0
                rows.extend(aggregator.add(message))
        assert started is not None
        run = opened(started, detector=settings.detector.name, model=settings.classifier.model)
        store.start_run(run)
        store.write(rows)
        if ended is not None:
            store.finish_run(closed(run, ended, faces))
