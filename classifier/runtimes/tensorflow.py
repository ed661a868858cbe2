"""The Keras model itself, on TensorFlow: on the CPU, or on a GPU where there is one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from classifier.card import WEIGHTS_FILE, ModelCard
from classifier.quiet import choose_backend, native_stderr_held_back
from classifier.runtimes import Run
from contracts.errors import ModelError
from contracts.messages import F32, U8


def missing(card: ModelCard) -> str | None:
    """Nothing: it is what models are made with."""
    return None


def compile_shapes(folder: Path, card: ModelCard, head: str, shapes: Sequence[int]) -> dict[int, Run]:
    """One graph for each batch size, so that no call can ever cause another to be traced."""
    choose_backend()
    with native_stderr_held_back():
        import keras  # takes seconds
        import tensorflow as tf

        tf.config.list_physical_devices()  # looks for GPUs, and complains where there is none
    weights = folder / WEIGHTS_FILE
    try:
        model = keras.models.load_model(weights, compile=False, safe_mode=True)
    except (ValueError, TypeError, OSError, KeyError) as error:
        raise ModelError(f"the model {weights} cannot be loaded: {str(error).splitlines()[0]}") from error

    def logits(crops: Any) -> Any:
        return model(crops, training=False)[head]

    def compiled(size: int) -> Run:
        spec = tf.TensorSpec((size, *model.input_shape[1:]), tf.uint8)
        graph = tf.function(logits).get_concrete_function(spec)

        def run(crops: U8) -> F32:
            answer: F32 = graph(tf.constant(crops)).numpy()
            return answer

        return run

    return {size: compiled(size) for size in shapes}
