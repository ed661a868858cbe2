"""The engine: crops in, probabilities out, as fast as the machine can.

One compiled function per batch shape, and few shapes, all compiled before the first face: nothing is ever traced again,
and memory stays where it is. Crops of several frames go through together; that is the caller's choice of `classify`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from classifier.card import Head, read_card
from classifier.runtimes import runtime
from contracts.emotions import EMOTIONS
from contracts.errors import ModelError, StageError
from contracts.messages import F32, U8
from contracts.settings import Precision

TINY: Final = 1e-12  # of which a logarithm can be taken
ROUNDING: Final = 1e-5
ROUNDING_16: Final = 0.05  # of seven shares in 16 bits, generously


class Engine:
    """A model, compiled. `classify` may be called by one thread at a time."""

    def __init__(
        self, folder: Path, *, head: str | None = None, batch_size: int = 64, runtime_name: str = "auto",
        precision: Precision = "float32",
    ) -> None:  # fmt: skip
        """Loads the model and compiles all its shapes.

        In float32 a model gives the same answers on every machine, so that is what models are measured in.

        Raises ModelError for a folder that is incomplete or damaged, a head that the model lacks, or a runtime that
        cannot run it.
        """
        card = read_card(folder)
        chosen = head or card.default_head
        if chosen not in card.heads:
            raise ModelError(f"the model {card.name} has no head {chosen!r}: it has {', '.join(card.heads)}")
        self.name: Final = f"{card.name}/{chosen}"
        self.crop: Final = card.crop
        self.shapes: Final = batch_shapes(batch_size)
        self._head: Final = card.heads[chosen]
        self._columns: Final = [EMOTIONS.index(name) for name in self._head.classes]
        self.runtime, module = runtime(runtime_name, card)
        self._run: Final = module.compile_shapes(folder, card, chosen, self.shapes, precision)
        for size in self.shapes:  # the first call of each allocates
            answer = self._run[size](np.zeros((size, self.crop.height, self.crop.width, self.crop.channels), np.uint8))
            if answer.shape != (size, len(self._columns)):
                raise ModelError(
                    f"the model {card.name} gives {list(answer.shape)} for {size} crops, its card names "
                    f"{len(self._columns)} classes"
                )
        if _contradicts(answer, self._head):
            raise ModelError(f"the model {card.name} does not give {self._head.gives} in {chosen}, as its card says")

    def classify(self, crops: U8) -> F32:
        """u8[N, H, W, C] -> f32[N, 7], rows sum to 1, in the order of EMOTIONS; a class the model lacks is 0."""
        probabilities = np.zeros((len(crops), len(EMOTIONS)), np.float32)
        probabilities[:, self._columns] = softmax(self.scores(crops) / self._head.temperature)
        return probabilities

    def scores(self, crops: U8) -> F32:
        """u8[N, H, W, C] -> f32[N, classes of the head], in their order: logits, before the temperature."""
        expected = (self.crop.height, self.crop.width, self.crop.channels)
        if crops.shape[1:] != expected or crops.dtype != np.uint8:
            raise StageError(f"crops are {crops.dtype}{list(crops.shape)}, the model takes uint8[N, {expected}]")
        scores = np.zeros((len(crops), len(self._columns)), np.float32)
        for start, count, size in plan(len(crops), self.shapes):
            batch = crops[start : start + count]
            if count < size:
                batch = np.concatenate([batch, np.zeros((size - count, *expected), np.uint8)])
            scores[start : start + count] = self._run[size](np.ascontiguousarray(batch))[:count]
        return np.log(np.maximum(scores, TINY)) if self._head.gives == "probabilities" else scores

    def close(self) -> None:
        """Nothing to give back: the process owns the memory."""


def _contradicts(scores: F32, head: Head) -> bool:
    """Whether these cannot be what the head gives: shares are not negative and add up to 1, logits happen not to."""
    off = np.abs(scores.sum(axis=1) - 1).max()
    if head.gives == "probabilities":
        return bool(scores.min() < 0 or off > ROUNDING_16)
    return bool(scores.min() >= 0 and off < ROUNDING)


def softmax(logits: F32) -> F32:
    """f32[N, classes] -> f32[N, classes], rows sum to 1."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def batch_shapes(largest: int) -> tuple[int, ...]:
    """The batch sizes that are compiled: powers of two up to the largest, and the largest itself."""
    sizes = []
    size = 1
    while size < largest:
        sizes.append(size)
        size *= 2
    return (*sizes, largest)


def plan(faces: int, shapes: tuple[int, ...]) -> Iterator[tuple[int, int, int]]:
    """(start, count, batch size) of each call for so many faces: full batches, then the smallest that fits."""
    start = 0
    while faces - start > shapes[-1]:
        yield start, shapes[-1], shapes[-1]
        start += shapes[-1]
    if start < faces:
        yield start, faces - start, next(size for size in shapes if size >= faces - start)
