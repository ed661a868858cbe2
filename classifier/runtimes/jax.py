"""The Keras model on JAX: for whoever has it (`pip install 'affectstream[jax]'`) and sets KERAS_BACKEND=jax."""

import importlib
import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from classifier.card import ModelCard
from classifier.copies import in_precision
from classifier.runtimes import Run, keras_models
from contracts.messages import F32, U8
from contracts.settings import Precision


def missing(card: ModelCard) -> str | None:
    """The package, or the backend: Keras settles on one when it is first imported."""
    if importlib.util.find_spec("jax") is None:
        return "jax is not installed: pip install 'affectstream[jax]'"
    if (keras_models.running() or os.environ.get("KERAS_BACKEND")) != "jax":
        return "Keras would run on another backend: set KERAS_BACKEND=jax before affectstream starts"
    return None


def compile_shapes(
    folder: Path, card: ModelCard, head: str, shapes: Sequence[int], precision: Precision
) -> dict[int, Run]:
    """One compiled function for each batch size."""
    jax: Any = importlib.import_module("jax")

    model = keras_models.load(folder, card)
    if precision == "bfloat16":
        model = in_precision(model, "mixed_bfloat16")

    def scores(crops: Any) -> Any:
        return keras_models.answer(model, crops, head, card).astype("float32")

    def compiled(size: int) -> Run:
        shape = jax.ShapeDtypeStruct((size, card.crop.height, card.crop.width, card.crop.channels), np.uint8)
        function = jax.jit(scores).lower(shape).compile()

        def run(crops: U8) -> F32:
            return np.asarray(function(crops))

        return run

    return {size: compiled(size) for size in shapes}
