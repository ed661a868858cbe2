"""Sharpness-aware minimisation: weights whose neighbours know as much as they do.

Each step first climbs, so far in the direction in which the loss rises most, and then takes the slope up there for its
way down from where it stood (Foret et al., "Sharpness-Aware Minimization for Efficiently Improving Generalization",
2021). What a network has learnt by heart lies in narrow valleys, which that leaves. Each step costs two.
"""

from collections.abc import Iterable
from importlib import import_module
from typing import Any

import keras
from keras import ops


class SharpnessAware(keras.Model):  # type: ignore[misc]  # Keras has no types
    """A network that is trained so, with a radius of 0 as any other; it shares its layers with what it is made of."""

    def __init__(self, network: Any, radius: float, *, name: str | None = None) -> None:
        """`radius`: how far each step climbs, as the length of all changes of weights together."""
        super().__init__(network.input, network.output, name=name or f"{network.name}_sharpness_aware")
        self.radius = radius

    def train_step(self, *given: Any) -> Any:
        """Keras's own step, taken from higher up and carried back: its arguments and answers differ by backend."""
        if not self.radius:
            return super().train_step(*given)
        return (self._on_jax if keras.backend.backend() == "jax" else self._on_tensorflow)(*given)

    def _on_tensorflow(self, data: Any) -> Any:
        tf: Any = import_module("tensorflow")
        pictures, targets, weights = keras.utils.unpack_x_y_sample_weight(data)
        learnt = self.trainable_variables
        with tf.GradientTape() as tape:
            answers = self(pictures, training=True)
            loss = self.compute_loss(pictures, targets, answers, weights, training=True)
        climbed = self._climb(tape.gradient(loss, [variable.value for variable in learnt]))
        for variable, way in zip(learnt, climbed, strict=True):
            variable.assign_add(way)
        logs = super().train_step(data)
        for variable, way in zip(learnt, climbed, strict=True):
            variable.assign_sub(way)
        return logs

    def _on_jax(self, state: Any, data: Any) -> Any:
        learnt, others, optimizer, metrics = state
        pictures, targets, weights = keras.utils.unpack_x_y_sample_weight(data)

        def loss(learnt: Any) -> Any:
            return self.compute_loss_and_updates(
                learnt, others, metrics, pictures, targets, weights, training=True, optimizer_variables=optimizer
            )[0]

        climbed = self._climb(import_module("jax").grad(loss)(learnt))
        higher = [value + way for value, way in zip(learnt, climbed, strict=True)]
        logs, (learnt, *rest) = super().train_step((higher, others, optimizer, metrics), data)
        return logs, ([value - way for value, way in zip(learnt, climbed, strict=True)], *rest)

    def _climb(self, slopes: Iterable[Any]) -> list[Any]:
        """How each of the weights changes on the way up. Filters that come in pairs climb in pairs."""
        slopes = list(slopes)
        length = ops.sqrt(sum(ops.sum(ops.square(slope)) for slope in slopes))
        ways = [slope * (self.radius / (length + 1e-12)) for slope in slopes]
        return [
            variable.constraint(way) if variable.constraint else way
            for variable, way in zip(self.trainable_variables, ways, strict=True)
        ]
