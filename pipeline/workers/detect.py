"""The detect worker: frames -> faces. It keeps no state; any number of them share the work."""

from contextlib import ExitStack
from functools import partial
from typing import Any, Final

import msgspec

from contracts.messages import FrameFaces, FrameMessage, JpegFrame, RunStarted
from contracts.settings import Settings
from contracts.stages import Detector
from pipeline import metrics
from pipeline.broadcast import Broadcast
from pipeline.jpeg import to_picture
from pipeline.streams import Consumer, Entry, Outcome
from pipeline.workers.shell import Shell
from pipeline.workers.stage import WAIT, Tries, linked, work_in_threads

STAGE: Final = "detect"
AT_ONCE: Final = 2
"""Entries of each shard that a thread takes at once: few, for they wait in its hand while others may be idle."""


class DetectLoop:
    """One thread's work: reads frames, writes their faces."""

    def __init__(
        self, consumer: Consumer, detector: Detector, settings: Settings, shell: Shell,
        broadcast: Broadcast | None = None,
    ) -> None:  # fmt: skip
        """`broadcast` shows the pictures to whoever looks."""
        self._broadcast: Final = broadcast
        self._consumer: Final = consumer
        self._detector: Final = detector
        self._tries: Final = Tries(STAGE, settings.redis)
        self._shell: Final = shell

    def __call__(self) -> None:
        """Works until the shell is asked to stop; what it still holds then goes to others."""
        with self._consumer:
            while not self._shell.stopping.is_set():
                for entry in self._consumer.read(AT_ONCE, WAIT):
                    self._consumer.settle([self._handle(entry)])
                    if self._shell.stopping.is_set():
                        break

    def _handle(self, entry: Entry) -> Outcome:
        message, reason = None, self._tries.worn_out(entry)
        if reason is None:
            message, reason = self._tries(partial(self._work, entry))
        if reason is not None:
            return Outcome(entry=entry, successor=entry.tombstone(STAGE, reason), dead=reason)
        return Outcome(entry=entry, successor=message)

    def _work(self, entry: Entry) -> Any:
        frame = entry.open(FrameMessage)
        if isinstance(frame, RunStarted):
            return msgspec.structs.replace(frame, detector=self._detector.name)
        if not isinstance(frame, JpegFrame):
            return frame
        if self._broadcast is not None:
            self._broadcast.picture(frame)
        with metrics.busy(STAGE):
            faces = self._detector.detect([to_picture(frame.jpeg)])[0]
        metrics.FRAMES.labels(STAGE, frame.camera_id).inc()
        metrics.FACES.labels(STAGE, frame.camera_id).inc(len(faces))
        metrics.BATCH.labels(STAGE).observe(1)
        metrics.observe_latency(STAGE, frame.captured_at)
        return FrameFaces(
            camera_id=frame.camera_id, run_id=frame.run_id, seq=frame.seq, captured_at=frame.captured_at,
            again=frame.again, faces=faces,
        )  # fmt: skip


def detect(settings: Settings) -> None:
    """Runs the worker until it is asked to stop."""
    from classifier.card import read_card
    from classifier.folders import find_model
    from detector import open_detectors

    crop = read_card(find_model(settings.classifier.model, settings.models)).crop
    metrics.begin(STAGE, server="redis")
    with Shell(STAGE, settings.worker) as shell, ExitStack() as stack:
        detectors = open_detectors(settings.detector, settings.models, crop, note=shell.say)
        for detector in detectors:
            stack.callback(detector.close)
        link = stack.enter_context(linked(settings.redis, shell))
        consumers = [Consumer(link, STAGE, keep_payloads=not settings.privacy.aggregate) for _ in detectors]
        broadcast = stack.enter_context(Broadcast(settings, STAGE))
        shell.ready.set()
        pairs = zip(consumers, detectors, strict=True)
        work_in_threads(shell, consumers, [DetectLoop(*pair, settings, shell, broadcast) for pair in pairs])
