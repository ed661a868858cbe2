"""The Keras model of a folder, on whatever runs Keras here."""

from pathlib import Path
from typing import Any

from classifier.card import WEIGHTS_FILE, ModelCard
from classifier.quiet import choose_backend, native_stderr_held_back
from contracts.errors import ModelError


def running() -> str | None:
    """What Keras runs on in this process; None where it has not been imported. It cannot be changed after that."""
    import sys

    keras = sys.modules.get("keras")
    return None if keras is None else str(keras.backend.backend())


def load(folder: Path) -> Any:
    """The keras.Model. Raises ModelError where the file cannot be loaded."""
    choose_backend()
    with native_stderr_held_back():
        import keras  # takes seconds
    weights = folder / WEIGHTS_FILE
    try:
        return keras.models.load_model(weights, compile=False, safe_mode=True)
    except (ValueError, TypeError, OSError, KeyError) as error:
        raise ModelError(f"the model {weights} cannot be loaded: {str(error).splitlines()[0]}") from error


def answer(model: Any, crops: Any, head: str, card: ModelCard) -> Any:
    """One head's scores; a network with a single, nameless output has one head."""
    outputs = model(crops, training=False)
    if isinstance(outputs, dict):
        return outputs[head]
    if isinstance(outputs, list | tuple):
        return outputs[list(card.heads).index(head)]
    return outputs
