"""Batch normalisation in one operation, as long as a network learns.

Keras composes it of a dozen, each of which reads and writes all places of all pictures in float32: on a CPU they take
as long as the convolutions between them (`python -m benchmarks.training`). On a GPU, and on JAX, the compiler joins
them anyway.
"""

from importlib import import_module
from typing import Any

import keras
from keras import ops

from classifier.copies import copied
from classifier.device import gpu


@keras.saving.register_keras_serializable(package="affectstream")
class FusedBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]  # Keras has no types
    """Keras's layer, with the same weights. The moving variance is made of unbiased ones (n - 1 for n)."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        unlike = len(inputs.shape) != 4 or self.axis not in (-1, 3) or not (self.scale and self.center)
        if unlike or mask is not None or keras.backend.backend() != "tensorflow":
            return super().call(inputs, training=training, mask=mask)
        learning = bool(training) and self.trainable
        kept = (None, None) if learning else (_float32(self.moving_mean), _float32(self.moving_variance))
        tf: Any = import_module("tensorflow")
        answer, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, _float32(self.gamma), _float32(self.beta), *kept, epsilon=self.epsilon, is_training=learning
        )
        if learning:
            for moving, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign(moving * self.momentum + now * (1 - self.momentum))
        return answer


def fused(model: Any) -> Any:
    """The model, or a copy that trains faster where there is one."""
    if gpu() or keras.backend.backend() != "tensorflow":
        return model
    return _exchanged(model, keras.layers.BatchNormalization, FusedBatchNormalization)


def plain(model: Any) -> Any:
    """A copy of a `fused` one, of nothing but Keras's own layers."""
    return _exchanged(model, FusedBatchNormalization, keras.layers.BatchNormalization)


def _exchanged(model: Any, old: type[Any], new: type[Any]) -> Any:
    return copied(model, lambda layer: (new if type(layer) is old else type(layer)).from_config(layer.get_config()))


def _float32(variable: Any) -> Any:
    return ops.cast(variable, "float32")
