"""The Keras model of a folder, on whatever runs Keras here."""

from pathlib import Path
from typing import Any

from classifier.card import WEIGHTS_FILE, ModelCard
from classifier.quiet import choose_backend, native_stderr_held_back
from classifier.runtimes import check
from contracts.errors import ModelError


def running() -> str | None:
    """What Keras runs on in this process; None where it has not been imported. It cannot be changed after that."""
    import sys

    keras = sys.modules.get("keras")
    return None if keras is None else str(keras.backend.backend())


def load(folder: Path, card: ModelCard) -> Any:
    """The keras.Model. Raises ModelError where the file cannot be loaded, or is not the network of the card."""
    choose_backend()
    with native_stderr_held_back():
        import keras  # takes seconds
    weights = folder / WEIGHTS_FILE
    try:
        model = keras.models.load_model(weights, compile=False, safe_mode=True)
    except (ValueError, TypeError, OSError, KeyError) as error:
        raise ModelError(f"the model {weights} cannot be loaded: {str(error).splitlines()[0]}") from error
    outputs = outputs_of(model)
    check(folder, card, getattr(model, "input_shape", ()), outputs if isinstance(outputs, dict) else len(outputs))
    return model


def outputs_of(model: Any) -> dict[str, Any] | list[Any]:
    """Its outputs by name, or in their order; a keras.Sequential has one, which it does not tell."""
    outputs = getattr(model, "output", None)
    if isinstance(outputs, dict):
        return outputs
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


def answer(model: Any, crops: Any, head: str, card: ModelCard) -> Any:
    """One head's scores; a network with a single, nameless output has one head."""
    outputs = model(crops, training=False)
    if isinstance(outputs, dict):
        return outputs[head]
    if isinstance(outputs, list | tuple):
        return outputs[list(card.heads).index(head)]
    return outputs
