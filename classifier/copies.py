"""Copies of a Keras model that know the same and compute it otherwise."""

from collections.abc import Callable
from typing import Any


def in_precision(model: Any, policy: str) -> Any:
    """A copy that computes in another precision, all but its ends."""
    import keras

    ends = {tensor._keras_history.operation.name for tensor in keras.tree.flatten(model.output)}

    def made(layer: Any) -> Any:
        config = layer.get_config()
        if layer.name not in ends and not isinstance(layer, keras.layers.InputLayer):
            config["dtype"] = policy
        return type(layer).from_config(config)

    return copied(model, made)


def copied(model: Any, made: Callable[[Any], Any]) -> Any:
    """A copy of layers that `made` makes of the model's, those of nested models too; the weights stay what they are."""
    import keras

    def wanted(layer: Any) -> Any:
        if isinstance(layer, keras.Model):
            return keras.models.clone_model(layer, clone_function=wanted)
        return made(layer)

    copy = keras.models.clone_model(model, clone_function=wanted)
    copy.set_weights(model.get_weights())
    return copy
