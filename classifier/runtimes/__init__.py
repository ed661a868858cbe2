"""What can run a network. A new one is one new file with `files`, `missing` and `compile_shapes`, and one line here."""

import importlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol, TypeAlias, cast

from classifier.card import ModelCard
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


def _module(name: str) -> Runtime:
    return cast(Runtime, importlib.import_module(RUNTIMES[name]))
