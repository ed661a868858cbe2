"""Where a step of sharpness-aware minimisation leads."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import msgspec
import numpy as np
import pytest
from scipy.special import softmax

from classifier.mirrored import mirror, settle
from classifier.recipe import Distillation
from classifier.sharpness import SharpnessAware
from tests.classifier.making import QUICK, stripes
from tests.classifier.test_training import train

pytestmark = pytest.mark.xdist_group("tensorflow")
RATE = 0.5


def stepped(radius: float, *, averaged: bool = False) -> tuple[Any, Any]:
    """The weights of a linear network after one step on a batch, or their average: as they are, and should be."""
    chance = np.random.default_rng(1)
    pictures, targets = chance.normal(size=(8, 3)).astype(np.float32), np.eye(2, dtype=np.float32)[[0, 1] * 4]
    given = keras.Input((3,))
    network = keras.Model(given, keras.layers.Dense(2, use_bias=False)(given))
    before = network.get_weights()[0]
    trainee = SharpnessAware(network, radius)
    optimizer = keras.optimizers.SGD(RATE, use_ema=averaged, ema_overwrite_frequency=None)
    trainee.compile(optimizer, keras.losses.CategoricalCrossentropy(from_logits=True))
    trainee.fit(pictures, targets, batch_size=8, verbose=0)
    optimizer.finalize_variable_values(trainee.trainable_variables)

    def slope(weights: Any) -> Any:
        return pictures.T @ (softmax(pictures @ weights, axis=1) - targets) / len(pictures)

    climbed = before + radius * slope(before) / np.linalg.norm(slope(before))
    return network.get_weights()[0], before - RATE * slope(climbed)


@pytest.mark.parametrize("averaged", [False, True])
@pytest.mark.parametrize("radius", [0.0, 0.5])
def test_a_step_goes_down_by_the_slope_of_where_the_loss_rises_most(radius: float, averaged: bool) -> None:
    reached, wanted = stepped(radius, averaged=averaged)
    np.testing.assert_allclose(reached, wanted, atol=1e-5)


def test_a_step_leads_to_the_same_place_on_jax() -> None:
    program = (
        "from tests.classifier.test_sharpness import stepped; reached, wanted = stepped(0.5, averaged=True); "
        "print(*(reached - wanted).ravel())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "KERAS_BACKEND": "jax"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose([float(text) for text in done.stdout.split()], 0, atol=1e-5)


def test_statistics_move_once_a_step_and_both_looks_leave_the_same_units_out() -> None:
    given = keras.Input((3,))
    dropout = keras.layers.Dropout(0.5, seed=1)
    seen = dropout(keras.layers.BatchNormalization(momentum=0.9)(given))
    network = keras.Model(given, keras.layers.Dense(2)(seen))
    trainee = SharpnessAware(network, 0.5)
    trainee.compile(keras.optimizers.SGD(RATE), keras.losses.CategoricalCrossentropy(from_logits=True))
    pictures = np.random.default_rng(1).normal(2.0, size=(8, 3)).astype(np.float32)
    trainee.fit(pictures, np.eye(2, dtype=np.float32)[[0, 1] * 4], batch_size=8, verbose=0)
    np.testing.assert_allclose(network.layers[1].moving_mean, 0.1 * pictures.mean(axis=0), rtol=1e-5)
    left_out = keras.layers.Dropout(0.5, seed=1)
    left_out(pictures, training=True)
    drawn, once = (np.array(layer.seed_generator.state) for layer in (dropout, left_out))
    assert np.array_equal(drawn, once)


def test_filters_in_mirrored_pairs_climb_and_come_back_as_pairs() -> None:
    keras.utils.set_random_seed(1)
    given = keras.Input((4, 4, 1))
    seen = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(6, 3)(given))
    network = keras.Model(given, keras.layers.Dense(2)(seen))
    mirror(network)
    settle(network)
    before = network.get_weights()
    trainee = SharpnessAware(network, 0.5)
    trainee.compile(keras.optimizers.SGD(RATE), keras.losses.CategoricalCrossentropy(from_logits=True))
    pictures = np.random.default_rng(1).normal(size=(8, 4, 4, 1)).astype(np.float32)
    trainee.fit(pictures, np.eye(2, dtype=np.float32)[[0, 1] * 4], batch_size=4, verbose=0)
    after = network.get_weights()
    settle(network)
    for began, reached, paired in zip(before, after, network.get_weights(), strict=True):
        assert np.abs(reached - began).max() > 1e-3
        np.testing.assert_allclose(reached, paired, atol=1e-6)


def test_a_network_learns_so_from_chance_and_from_a_teacher(tmp_path: Path) -> None:
    steep = msgspec.structs.replace(QUICK, radius=0.05)
    finished, _ = train(tmp_path / "alone", steep, stripes(1000, 1))
    assert finished.card.accuracy["fer2013"] > 0.95
    pupil = msgspec.structs.replace(steep, distillation=Distillation())
    taught, _ = train(tmp_path / "taught", pupil, stripes(1000, 1), teachers=[tmp_path / "alone"])
    assert taught.card.accuracy["fer2013"] > 0.95
