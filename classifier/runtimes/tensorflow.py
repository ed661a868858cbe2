"""The Keras model itself, on TensorFlow: on the CPU, or on a GPU where there is one, there in 16 bits."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from classifier.card import ModelCard
from classifier.copies import in_precision
from classifier.quiet import choose_backend, native_stderr_held_back
from classifier.runtimes import Run, keras_models
from contracts.messages import F32, U8
from contracts.settings import Precision


def missing(card: ModelCard) -> str | None:
    """Nothing, as a rule: it is what models are made with."""
    backend = keras_models.running() or choose_backend()
    return None if backend == "tensorflow" else f"Keras runs on {backend} in this process: unset KERAS_BACKEND"


def compile_shapes(
    folder: Path, card: ModelCard, head: str, shapes: Sequence[int], precision: Precision
) -> dict[int, Run]:
    """One graph for each batch size, so that no call can ever cause another to be traced."""
    choose_backend()
    with native_stderr_held_back():
        import tensorflow as tf

        gpu = bool(tf.config.list_physical_devices("GPU"))  # complains where there is none
    model = keras_models.load(folder, card)
    if precision == "bfloat16":
        model = in_precision(model, "mixed_bfloat16")
    elif precision == "auto" and gpu:
        model = in_precision(model, "mixed_float16")

    def compiled(size: int) -> Run:
        spec = tf.TensorSpec((size, card.crop.height, card.crop.width, card.crop.channels), tf.uint8)

        def scores(crops: Any) -> Any:
            return tf.cast(keras_models.answer(model, crops, head, card), tf.float32)

        graph = tf.function(scores).get_concrete_function(spec)

        def run(crops: U8) -> F32:
            answer: F32 = graph(tf.constant(crops)).numpy()
            return answer

        return run

    return {size: compiled(size) for size in shapes}
