"""What can run a network. A new one is one new file with `files`, `missing` and `compile_shapes`, and one line here."""

import importlib
import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final, Protocol, TypeAlias, cast

from classifier.card import CARD_FILE, ModelCard
from contracts.errors import ModelError
from contracts.messages import F32, U8
from contracts.settings import Precision

Run: TypeAlias = Callable[[U8], F32]
"""u8[B, H, W, C] -> the head's scores f32[B, classes], for one batch size B"""

RUNTIMES: Final = {
    "openvino": "classifier.runtimes.openvino",
    "tensorflow": "classifier.runtimes.tensorflow",
    "jax": "classifier.runtimes.jax",
}
NVIDIA: Final = Path("/dev/nvidiactl")


class Runtime(Protocol):
    """A module of this folder."""

    def missing(self, card: ModelCard) -> str | None:
        """What this runtime lacks to run the model, in a few words; None where it lacks nothing. Cheap."""
        ...

    def compile_shapes(
        self, folder: Path, card: ModelCard, head: str, shapes: Sequence[int], precision: Precision
    ) -> dict[int, Run]:
        """One compiled function for each batch size. Raises ModelError where the files cannot be loaded."""
        ...


def runtime(name: str, card: ModelCard) -> tuple[str, Runtime]:
    """The runtime of this name, and its name; `auto` takes the first of RUNTIMES that can run the model.

    A GPU is TensorFlow's: where there is one, `auto` takes that. Whoever sets KERAS_BACKEND has chosen: `auto` is that.
    """
    if name == "auto" and (chosen := os.environ.get("KERAS_BACKEND")) == "jax":
        name = chosen
    if name == "auto":
        order = ["tensorflow"] if NVIDIA.exists() else list(RUNTIMES)
        name = next((known for known in order if _module(known).missing(card) is None), "tensorflow")
    if (lacks := _module(name).missing(card)) is not None:
        raise ModelError(f"{name} cannot run the model {card.name}: {lacks}")
    return name, _module(name)


def check(folder: Path, card: ModelCard, takes: Collection[int | None], gives: Collection[str] | int) -> None:
    """Raises ModelError where a network takes other crops than its card says, or lacks a head of the card's.

    `takes` is the shape of the network's input, None for what may have any size; `gives` the names of its outputs, or
    how many it has where they are nameless.
    """
    path = folder / CARD_FILE
    crop = (None, card.crop.height, card.crop.width, card.crop.channels)
    if len(takes) != len(crop) or any(size not in (None, wanted) for size, wanted in zip(takes, crop, strict=True)):
        raise ModelError(f"the model card {path} speaks of crops {_shape(crop)}, its network takes {_shape(takes)}")
    if isinstance(gives, int):
        if gives != len(card.heads):
            raise ModelError(f"the model card {path} has {len(card.heads)} heads, its network gives {gives} answers")
    elif missing := [head for head in card.heads if head not in gives]:
        raise ModelError(f"the model card {path} has a head {missing[0]!r} that its network lacks")


def _shape(sizes: Collection[int | None]) -> str:
    return f"[{', '.join('N' if size is None else str(size) for size in sizes)}]"


def _module(name: str) -> Runtime:
    return cast(Runtime, importlib.import_module(RUNTIMES[name]))
