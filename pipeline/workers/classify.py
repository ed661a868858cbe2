"""The classify worker: faces -> emotions, the faces of many cameras in one call.

It keeps no state; any number of them share the work. Results go to the topic first and are deleted from the stream
after it has them: what is published twice in between is recognised by its number.
"""

import time
from collections.abc import Sequence
from contextlib import closing, suppress
from functools import partial
from typing import Any, Final, Protocol

import msgspec
import numpy as np

from contracts import wire
from contracts.errors import StageError, TransportError
from contracts.messages import F32, FacesMessage, FrameEmotions, FrameFaces, RunStarted
from contracts.settings import Settings
from contracts.stages import Classifier
from pipeline import metrics
from pipeline.streams import Consumer, Entry, Outcome
from pipeline.workers.patience import GivenUpError, Patience
from pipeline.workers.shell import Shell
from pipeline.workers.stage import WAIT, Tries, linked, work_in_threads

STAGE: Final = "classify"
MOST_FACES: Final = 2048
"""Faces of one frame; more of them are nonsense, and their message would not fit into the topic."""


class Topic(Protocol):
    """Where the results go; see `pipeline.topic`."""

    def ensure_topic(self) -> None:
        """Makes the topic where it is missing. Raises TransportError."""
        ...

    def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Returns when all are safe. Raises TransportError if not all are; some may be."""
        ...

    def close(self) -> None: ...


class _Work(msgspec.Struct):
    """An entry on its way through the worker."""

    entry: Entry
    message: Any = None  # as it came, then as it goes
    reason: str | None = None  # why it is given up

    @property
    def faces(self) -> int:
        return len(self.message.faces) if isinstance(self.message, FrameFaces) else 0


class ClassifyLoop:
    """Reads faces, writes emotions to the topic."""

    def __init__(
        self, consumer: Consumer, classifier: Classifier, topic: Topic, settings: Settings, shell: Shell
    ) -> None:  # fmt: skip
        self._consumer: Final = consumer
        self._classifier: Final = classifier
        self._topic: Final = topic
        self._batch: Final = settings.classifier.batch_size
        self._per_shard: Final = max(1, settings.classifier.batch_size // settings.redis.shards)
        self._wait: Final = settings.worker.batch_wait
        self._tries: Final = Tries(STAGE, settings.redis)
        self._shell: Final = shell
        self._patience: Final = Patience(shell.stopping, shell.say, consumer.beat)

    def __call__(self) -> None:
        """Works until the shell is asked to stop; what it still holds then goes to others."""
        with suppress(GivenUpError):
            self._patience.until_done(self._topic.ensure_topic, TransportError)
            with self._consumer:
                self._shell.ready.set()
                while not self._shell.stopping.is_set():
                    self._one_batch()

    def _one_batch(self) -> None:
        if not (batch := self._gather()):
            return
        self._classify([work for work in batch if isinstance(work.message, FrameFaces)])
        try:
            self._publish(batch)
        except GivenUpError:
            self._shell.say("stopped while Kafka was away; what it held goes to others")

    def _gather(self) -> list[_Work]:
        """Waits for an entry, then a moment for company, up to about one batch of faces."""
        batch = [self._open(entry) for entry in self._consumer.read(self._per_shard, WAIT)]
        if not batch or batch[0].entry.deliveries > 1:  # what may have brought a worker down goes alone
            return batch
        deadline = time.monotonic() + self._wait
        while sum(max(1, work.faces) for work in batch) < self._batch:
            left = deadline - time.monotonic()
            if left <= 0 or self._shell.stopping.is_set():
                break
            batch += [self._open(entry) for entry in self._consumer.read(self._per_shard, left, take_over=False)]
        return batch

    def _open(self, entry: Entry) -> _Work:
        reason = self._tries.worn_out(entry)
        if reason is not None:
            return _Work(entry, None, reason)
        message, reason = self._tries(partial(self._checked, entry))
        return _Work(entry, message, reason)

    def _checked(self, entry: Entry) -> Any:
        """The message, its arrays as they must be."""
        message = entry.open(FacesMessage)
        if isinstance(message, FrameFaces):
            faces, crop = message.faces, self._classifier.crop
            many = len(faces.boxes) if faces.boxes.ndim else -1
            shapes = (faces.boxes.shape, faces.scores.shape, faces.crops.shape)
            wanted = ((many, 4), (many,), (many, crop.height, crop.width, crop.channels))
            kinds = [array.dtype.str for array in (faces.boxes, faces.scores, faces.crops)]
            if shapes != wanted or kinds != ["<f4", "<f4", "|u1"]:
                raise StageError(f"faces as no detector makes them, or for another model: {shapes} instead of {wanted}")
            if many > MOST_FACES:
                raise StageError(f"{many:,} faces in one frame")
        elif isinstance(message, RunStarted):
            return msgspec.structs.replace(message, model=self._classifier.name)
        return message

    def _classify(self, works: Sequence[_Work]) -> None:
        if not works:
            return
        answer, reason = self._tries(partial(self._probabilities, works))
        if reason is None:
            start = 0
            for work in works:
                end = start + work.faces
                work.message = _emotions(work.message, answer[start:end])
                start = end
        elif len(works) == 1:
            works[0].message, works[0].reason = None, reason
        else:  # one of them is at fault: each by itself
            for work in works:
                self._classify([work])

    def _probabilities(self, works: Sequence[_Work]) -> F32:
        crops = [work.message.faces.crops for work in works if work.faces]
        metrics.BATCH.labels(STAGE).observe(sum(map(len, crops)))
        if not crops:
            return np.zeros((0, 7), np.float32)
        with metrics.busy(STAGE):
            return self._classifier.classify(np.concatenate(crops))

    def _publish(self, batch: Sequence[_Work]) -> None:
        """Publishes and deletes. Raises GivenUpError where we are asked to stop before the topic has it."""
        for work in batch:
            if work.reason is not None:
                work.message = work.entry.tombstone(STAGE, work.reason)
        messages = [(work.message.camera_id, wire.pack(work.message)) for work in batch if work.message is not None]
        if messages:
            self._patience.until_done(partial(self._topic.publish, messages), TransportError)
        self._consumer.settle([Outcome(entry=work.entry, dead=work.reason) for work in batch])
        for work in batch:
            if isinstance(work.message, FrameEmotions):
                metrics.FRAMES.labels(STAGE, work.message.camera_id).inc()
                metrics.FACES.labels(STAGE, work.message.camera_id).inc(len(work.message.boxes))
                metrics.observe_latency(STAGE, work.message.captured_at)


def _emotions(frame: FrameFaces, probabilities: F32) -> FrameEmotions:
    return FrameEmotions(
        camera_id=frame.camera_id, run_id=frame.run_id, seq=frame.seq, captured_at=frame.captured_at,
        again=frame.again, boxes=frame.faces.boxes, scores=frame.faces.scores, probabilities=probabilities,
    )  # fmt: skip


def classify(settings: Settings, topic: Topic) -> None:
    """Runs the worker until it is asked to stop. Closes the topic."""
    from classifier import open_classifier

    metrics.begin(STAGE, server="redis")
    with closing(topic), Shell(STAGE, settings.worker) as shell:
        classifier = open_classifier(settings.classifier, settings.models)  # all its shapes are warm then
        shell.beat()
        with linked(settings.redis, shell) as link:
            consumer = Consumer(link, STAGE, keep_payloads=not settings.privacy.aggregate)
            work_in_threads(shell, [consumer], [ClassifyLoop(consumer, classifier, topic, settings, shell)])
