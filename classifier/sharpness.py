"""Sharpness-aware minimisation: weights whose neighbours know as much as they do.

Each step first climbs, so far in the direction in which the loss rises most, and then takes the slope up there for its
way down from where it stood (Foret et al., "Sharpness-Aware Minimization for Efficiently Improving Generalization",
2021). What a network has learnt by heart lies in narrow valleys, which that leaves. Each step costs two.
"""

from collections.abc import Sequence
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
        """Keras's own step with the slope of higher up: its arguments and answers differ by backend."""
        if not self.radius:
            return super().train_step(*given)
        return (self._on_jax if keras.backend.backend() == "jax" else self._on_tensorflow)(*given)

    def _on_tensorflow(self, data: Any) -> Any:
        tf: Any = import_module("tensorflow")
        pictures, targets, weights = keras.utils.unpack_x_y_sample_weight(data)
        learnt = self.trainable_variables

        def look() -> tuple[Any, Any, list[Any]]:
            with tf.GradientTape() as tape:
                answers = self(pictures, training=True)
                loss = self.compute_loss(pictures, targets, answers, weights, training=True)
            return loss, answers, tape.gradient(loss, [variable.value for variable in learnt])

        before = [tf.identity(variable.value) for variable in learnt]
        others = [tf.identity(variable.value) for variable in self.non_trainable_variables]
        for variable, way in zip(learnt, self._climb(look()[2]), strict=True):
            variable.assign_add(way)
        for variable, value in zip(self.non_trainable_variables, others, strict=True):
            variable.assign(value)  # statistics move once a step, and both looks leave the same units out
        loss, answers, slopes = look()
        for variable, value in zip(learnt, before, strict=True):  # back first: averages are of where steps lead
            variable.assign(value)
        self.optimizer.apply(slopes, learnt)
        next(metric for metric in self.metrics if metric.name == "loss").update_state(loss, tf.shape(pictures)[0])
        return self.compute_metrics(pictures, targets, answers, weights)

    def _on_jax(self, state: Any, data: Any) -> Any:
        learnt, others, optimizer, metrics = state
        pictures, targets, weights = keras.utils.unpack_x_y_sample_weight(data)
        slope = import_module("jax").value_and_grad(self.compute_loss_and_updates, has_aux=True)

        def look(learnt: Any) -> Any:
            return slope(
                learnt, others, metrics, pictures, targets, weights, training=True, optimizer_variables=optimizer
            )

        climbed = self._climb(look(learnt)[1])
        (_, (loss, answers, others, metrics)), slopes = look(
            [value + way for value, way in zip(learnt, climbed, strict=True)]
        )
        learnt, optimizer = self.optimizer.stateless_apply(optimizer, slopes, learnt)
        logs, metrics = self._update_metrics_variables(metrics, loss, pictures, targets, answers, weights)
        return logs, (learnt, others, optimizer, metrics)

    def _climb(self, slopes: Sequence[Any]) -> list[Any]:
        """How each of the weights changes on the way up."""
        length = ops.sqrt(sum(ops.sum(ops.square(slope)) for slope in slopes))
        return [slope * (self.radius / (length + 1e-12)) for slope in slopes]
