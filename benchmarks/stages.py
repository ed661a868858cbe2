"""Each stage by itself, on the frames of a recording, one call after the other: what a frame costs where.

The detector gets one core, as it has in a run, where there are as many detectors as cores. The network gets all, as in
a run, and is measured for each batch size.
"""

import itertools
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from aggregator import Aggregator
from benchmarks.end_to_end import decoded
from benchmarks.result import Cell, Column, Table, spread
from classifier import open_classifier
from classifier.card import read_card
from classifier.folders import find_model
from classifier.runtimes import runtime
from contracts.errors import InputError
from contracts.messages import U8, Faces, Frame, FrameEmotions, RunEnded, RunStarted
from contracts.rows import Rows
from contracts.settings import Settings
from contracts.stages import Classifier, CropSpec
from detector import choose, crops, open_detector, search
from ingest import open_source
from pipeline.runs import opened
from storage import open_store

T = TypeVar("T")
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
FACES = 2048  # that each batch size is measured with, at least
COST = (Column("stage"), Column("cost", "ms per frame", 3, better="lower"), Column("speed", "frames/s", 0))


def measure(
    video: Path, settings: Settings, *, frames: int, rounds: int, batches: Sequence[int], note: Callable[[str], None]
) -> list[Table]:
    """What a frame of the recording costs in each stage, and a face in each batch size."""
    taken = list(itertools.islice(_frames(video, settings), frames))
    if not taken:
        raise InputError(f"{video.name} has no frame that can be decoded")
    classifier = open_classifier(settings.classifier, settings.models)
    seconds: dict[str, list[float]] = {}
    found: list[Faces] = []
    detector = choose(settings.detector, settings.models, note=_quiet).name
    _once(video, settings, taken, classifier)  # not counted: caches, imports
    for number in range(rounds):
        note(f"round {number + 1} of {rounds}")
        once, found = _once(video, settings, taken, classifier)
        for name, value in once.items():
            seconds.setdefault(name, []).append(value)
    spec = classifier.crop
    shape = (spec.height, spec.width, spec.channels)
    cut = np.concatenate([np.zeros((1, *shape), np.uint8), *(faces.crops for faces in found)])
    many = sum(map(len, found)) / len(found)
    rows: list[list[Cell]] = [
        [name, spread([1000 * value for value in values]), spread([1 / value for value in values])]
        for name, values in seconds.items()
    ]
    height, width = taken[0].picture.shape[:2]
    return [
        Table(
            title=f"{video.name}: each stage by itself", columns=COST, rows=rows,
            note=f"{width}x{height}, {many:.2f} faces per frame by {detector}, {len(taken)} frames. "
            "Indented: part of the above.",
        ),
        _by_batch(settings, cut, batches, rounds, note),
    ]  # fmt: skip


def _frames(video: Path, settings: Settings) -> Iterator[Frame]:
    events = open_source(str(video), camera_id="bench", settings=settings.ingest).events()
    return (event for event in events if isinstance(event, Frame))


def _once(
    video: Path, settings: Settings, frames: Sequence[Frame], classifier: Classifier
) -> tuple[dict[str, float], list[Faces]]:
    """Seconds per frame of every stage, and the faces."""
    everything = decoded(video, settings)
    alone = settings.detector.model_copy(update={"workers": os.cpu_count() or 1})
    detector = open_detector(alone, settings.models, classifier.crop, note=_quiet)
    detector.detect([frames[0].picture])  # the first picture of a size compiles the network
    found, detect = _timed(lambda: [detector.detect([frame.picture])[0] for frame in frames])
    width = settings.detector.working_width
    _, shrink = _timed(lambda: [search.shrink(frame.picture, width) for frame in frames])
    _, cut = _timed(lambda: [_cut(frame, faces, classifier.crop) for frame, faces in zip(frames, found, strict=True)])
    together = np.concatenate([faces.crops for faces in found])
    probabilities, classify = _timed(lambda: classifier.classify(together))
    emotions = list(_emotions(frames, found, probabilities))
    rows, aggregate = _timed(lambda: _aggregated(frames, emotions, settings))
    with tempfile.TemporaryDirectory() as folder:
        url = {"url": f"{folder}/bench.db"}
        with open_store(settings.storage.model_copy(update=url)) as store:
            store.start_run(opened(_started(frames), detector=detector.name, model=classifier.name))
            _, write = _timed(lambda: store.write(rows))
    count = len(frames)
    return {
        "ingest: decode, to BGR": everything.seconds / everything.frames,
        "detect": detect / count, "  shrink": shrink / count, "  cut the crops": cut / count,
        "classify, all faces together": classify / count, "aggregate": aggregate / count,
        "store, SQLite": write / count,
    }, found  # fmt: skip


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    began = time.perf_counter()
    done = work()
    return done, time.perf_counter() - began


def _cut(frame: Frame, faces: Faces, crop: CropSpec) -> U8:
    return crops.cut(frame.picture, faces.boxes, crop, faces.landmarks)


def _emotions(frames: Sequence[Frame], found: Sequence[Faces], probabilities: np.ndarray) -> Iterator[FrameEmotions]:
    start = 0
    for frame, faces in zip(frames, found, strict=True):
        yield FrameEmotions(
            camera_id=frame.camera_id, run_id=frame.run_id, seq=frame.seq, captured_at=frame.captured_at,
            boxes=faces.boxes, scores=faces.scores, probabilities=probabilities[start : start + len(faces)],
        )  # fmt: skip
        start += len(faces)


def _aggregated(frames: Sequence[Frame], emotions: Sequence[FrameEmotions], settings: Settings) -> Rows:
    aggregator = Aggregator("bench", settings.aggregator, settings.privacy)
    rows = Rows()
    for frame in emotions:
        rows.extend(aggregator.add(frame))
    last = frames[-1]
    ended = RunEnded(
        camera_id="bench", run_id=last.run_id, frames=len(frames), dropped=0, ended_at=last.captured_at, error=None
    )
    rows.extend(aggregator.finish(ended))
    return rows


def _started(frames: Sequence[Frame]) -> RunStarted:
    first = frames[0]
    height, width = first.picture.shape[:2]
    return RunStarted(
        camera_id="bench", run_id=first.run_id, source="bench", started_at=first.captured_at, width=width,
        height=height, live=False,
    )  # fmt: skip


def _by_batch(settings: Settings, faces: U8, batches: Sequence[int], rounds: int, note: Callable[[str], None]) -> Table:
    """Faces per second of the network against the batch size; padding would flatter none, so each is compiled."""
    rows: list[list[Cell]] = []
    card = read_card(find_model(settings.classifier.model, settings.models))
    for size in batches:
        note(f"batches of {size}")
        engine = open_classifier(settings.classifier.model_copy(update={"batch_size": size}), settings.models)
        batch = np.resize(faces, (size, *faces.shape[1:]))
        engine.classify(batch)
        calls = max(FACES // size, 4)
        each = [_repeated(engine, batch, calls) for _ in range(rounds)]
        rows.append(
            [
                str(size), spread([1000 * seconds / calls for seconds in each]),
                spread([calls * size / seconds for seconds in each]),
            ]
        )  # fmt: skip
    return Table(
        title="the network by itself, by batch size",
        columns=(
            Column("batch", "faces"), Column("call", "ms", 2, better="lower"),
            Column("speed", "faces/s", 0, better="higher"),
        ),
        rows=rows, note=f"{card.name} on {runtime(settings.classifier.runtime, card)[0]}, "
        f"precision {settings.classifier.precision}",
    )  # fmt: skip


def _repeated(engine: Classifier, batch: U8, calls: int) -> float:
    return _timed(lambda: [engine.classify(batch) for _ in range(calls)])[1]


def _quiet(line: str) -> None:
    """What stands in for what is seen in the faces per frame."""
