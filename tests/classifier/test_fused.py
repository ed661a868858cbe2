"""What training computes in one operation is what Keras's layers compute, and no trace of it is left in a model."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from classifier.architectures import architecture
from classifier.fused import FusedBatchNormalization, fused, plain


def network() -> Any:
    keras.utils.set_random_seed(1)
    return architecture("fern").build({"labels": 7}, dropout=0.0)


def step(model: Any, faces: Any) -> tuple[Any, list[Any]]:
    """The answer while learning, and the gradient of a loss."""
    with tf.GradientTape() as tape:
        answer = model(faces, training=True)["labels"]
        loss = tf.reduce_mean(answer[:, 0] ** 2)
    return answer, tape.gradient(loss, [weight.value for weight in model.trainable_variables])


def test_a_step_of_training_is_that_of_keras_own_layers() -> None:
    faces = np.random.default_rng(1).uniform(0, 255, (16, 48, 48, 1)).astype(np.float32)
    theirs = network()
    ours = fused(theirs)
    assert any(isinstance(layer, FusedBatchNormalization) for layer in ours.layers)
    (theirs_answer, theirs_slope), (ours_answer, ours_slope) = step(theirs, faces), step(ours, faces)
    np.testing.assert_allclose(ours_answer, theirs_answer, atol=1e-4)
    for mine, other in zip(ours_slope, theirs_slope, strict=True):
        # As a whole: a place that lies on a ReLU's kink may fall to either side of it, and takes its slope along.
        assert np.linalg.norm(mine - other) < 0.02 * np.linalg.norm(other)
    for mine, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(mine, other, rtol=0.01, atol=1e-4)  # the variances: n - 1 for n, times 0.01
    # And with what it keeps of them, as in use.
    np.testing.assert_allclose(plain(ours)(faces)["labels"], ours(faces, training=False)["labels"], atol=1e-4)


def test_a_layer_that_does_not_learn_keeps_its_statistics() -> None:
    model = fused(network())
    for layer in model.layers:
        layer.trainable = False
    before = model.get_weights()
    step_free = model(np.zeros((4, 48, 48, 1), np.float32), training=True)["labels"]
    assert all(np.array_equal(mine, other) for mine, other in zip(before, model.get_weights(), strict=True))
    np.testing.assert_allclose(step_free, plain(model)(np.zeros((4, 48, 48, 1), np.float32))["labels"], atol=1e-5)


def test_what_is_trained_ends_as_keras_own_layers() -> None:
    model = plain(fused(network()))
    kinds = {type(layer) for layer in model.layers}
    assert keras.layers.BatchNormalization in kinds
    assert FusedBatchNormalization not in kinds


@pytest.mark.parametrize("name", ["resnet50", "efficientnetb1"])
def test_networks_within_networks_are_copied_as_well(name: str) -> None:
    given = architecture(name).build({"labels": 7})
    model = fused(given)
    inner = [layer for part in model.layers if isinstance(part, keras.Model) for layer in part.layers]
    assert sum(isinstance(layer, FusedBatchNormalization) for layer in inner) > 20
    assert [layer.name for layer in model.layers] == [layer.name for layer in given.layers]
    assert model.count_params() == given.count_params()
