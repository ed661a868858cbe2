"""Detect and classify workers of the test's own process, and real ones in processes of their own."""

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from redis import Redis

from contracts.messages import F32, U8, Faces, FrameEmotions, Picture, Tombstone
from contracts.settings import RedisSettings, Settings, WorkerSettings
from contracts.stages import CropSpec, Detector
from detector import open_detector
from ingest import open_source
from pipeline.link import Link
from pipeline.streams import Consumer
from pipeline.workers.classify import ClassifyLoop
from pipeline.workers.detect import DetectLoop
from pipeline.workers.ingest import Feed, recording_run_id
from pipeline.workers.shell import Shell
from pipeline.workers.stage import work_in_threads
from tests.pipeline.distributed.redis_side import (
    MemoryTopic,
    leftovers,
    link_to,
)

CROP = CropSpec()


class Reader:
    """A classifier that says how bright a face is: quick, and the same wherever it runs."""

    name = "brightness"
    crop = CROP

    def __init__(self) -> None:
        self.batches: list[int] = []

    def classify(self, crops: U8) -> F32:
        self.batches.append(len(crops))
        shares = np.zeros((len(crops), 7), np.float32)
        shares[:, 0] = crops.mean(axis=(1, 2, 3)) / 255
        shares[:, 6] = 1 - shares[:, 0]
        return shares

    def close(self) -> None: ...


class Looker:
    """A detector that finds one face in each picture, does what it is told before, and takes its time."""

    name = "looker"

    def __init__(self, seconds: float = 0.0, before: Callable[[Picture], None] = lambda picture: None) -> None:
        self.seconds = seconds
        self.before = before

    def detect(self, pictures: Sequence[Picture]) -> list[Faces]:
        for picture in pictures:
            self.before(picture)
        time.sleep(self.seconds)
        crop = np.full((1, 48, 48, 1), 77, np.uint8)
        box, one = np.zeros((1, 4), np.float32), np.ones(1, np.float32)
        return [Faces(boxes=box, scores=one, landmarks=None, crops=crop) for _ in pictures]

    def close(self) -> None: ...


class Crew:
    """Detect and classify workers of this process, on a link of their own."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.topic = MemoryTopic()
        self.reader = Reader()
        self.failures: list[BaseException] = []
        self.said: list[str] = []
        self._members: list[tuple[Shell, threading.Thread, Link]] = []

    def detect(self, detector: Detector) -> Shell:
        return self._hire("detect", lambda consumer, shell: DetectLoop(consumer, detector, self.settings, shell))

    def classify(self) -> Shell:
        return self._hire(
            "classify", lambda consumer, shell: ClassifyLoop(consumer, self.reader, self.topic, self.settings, shell)
        )

    def _hire(self, stage: Any, make: Callable[[Consumer, Shell], Callable[[], None]]) -> Shell:
        shell = Shell(stage, WorkerSettings())
        link = link_to(self.settings.redis, self.said, shell.stopping)
        link.open()
        consumer = Consumer(link, stage, keep_payloads=not self.settings.privacy.aggregate)

        def work() -> None:
            try:
                work_in_threads(shell, [consumer], [make(consumer, shell)])
            except BaseException as error:  # noqa: BLE001
                self.failures.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        self._members.append((shell, thread, link))
        return shell

    def wait_for(self, done: Callable[[], bool], seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < deadline, (self.said, self.failures, Counter(map(type, self.topic.messages)))
            time.sleep(0.02)

    def dismiss(self) -> None:
        for shell, thread, link in self._members:
            shell.stopping.set()
            thread.join(20)
            assert not thread.is_alive()
            link.close()
        self._members.clear()


@contextmanager
def crew(settings: RedisSettings, **changed: Any) -> Iterator[Crew]:
    made = Crew(Settings.model_validate({"redis": settings, **changed}))
    try:
        yield made
    finally:
        made.dismiss()


def seqs(messages: Sequence[Any], kinds: Any = (FrameEmotions, Tombstone)) -> list[int]:
    return [message.seq for message in messages if isinstance(message, kinds)]


def feed_demo(link: Link, settings: Settings, seconds: float, camera: str = "cam") -> Feed:
    source = open_source(f"demo:{seconds}", camera_id=camera, settings=settings.ingest)
    run_id = recording_run_id(f"demo:{seconds}", camera, "recorded")
    feed = Feed(source, link, settings, say=lambda line: None, run_id=run_id)
    feed.start()
    return feed


def haar() -> Detector:
    settings = Settings.model_validate({"detector": {"name": "haar"}})
    return open_detector(settings.detector, settings.models, CROP, note=lambda line: None)


def nothing_left(redis: "Redis", settings: RedisSettings) -> Callable[[], bool]:
    return lambda: leftovers(redis, settings) == {}


def add(redis: "Redis", name: str, parts: Sequence[Any]) -> None:
    redis.xadd(name, dict(zip(parts[::2], parts[1::2], strict=True)))


def environment(settings: RedisSettings, folder: Path) -> dict[str, str]:
    redis = {f"AFFECTSTREAM_REDIS_{name.upper()}": str(value) for name, value in settings.model_dump().items()}
    return {**os.environ, **redis, "AFFECTSTREAM_DETECTOR_NAME": "haar", "PYTHONPATH": str(Path.cwd())}


def process(settings: RedisSettings, folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline", *arguments], env=environment(settings, folder), cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
