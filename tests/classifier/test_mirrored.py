"""A network whose filters come in mirrored pairs answers a face and its mirror image alike, and goes on learning."""

from pathlib import Path
from typing import Any

import keras
import msgspec
import numpy as np
import pytest

from classifier.architectures import ARCHITECTURES, architecture
from classifier.card import WEIGHTS_FILE
from classifier.engine import Engine
from classifier.folders import bundled
from classifier.mirrored import mirror, settle
from classifier.recipe import Phase
from tests.classifier.making import QUICK, stripes, with_phases
from tests.classifier.test_training import train

pytestmark = pytest.mark.xdist_group("tensorflow")

MIRRORED = [name for name in ARCHITECTURES if any(recipe.mirrored for recipe in architecture(name).PRESETS.values())]


def differ(network: Any) -> float:
    """The largest difference between answers to noise and to its mirror image."""
    height, width, channels = network.input_shape[1:]
    noise = np.random.default_rng(3).integers(0, 256, (8, height, width, channels)).astype(np.float32)
    straight, mirrored = (network.predict_on_batch(pictures)["labels"] for pictures in (noise, noise[:, :, ::-1]))
    return float(np.abs(straight - mirrored).max())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", MIRRORED)
def test_a_face_and_its_mirror_image_are_answered_alike(name: str, channels: int) -> None:
    network = architecture(name).build({"labels": 7}, channels=channels)
    assert differ(network) > 0.01
    settle(network)
    assert differ(network) < 1e-4
    assert any(np.ptp(variable) > 0 for variable in network.get_weights())


def test_it_stays_so_through_a_training_and_what_is_written_has_plain_layers_alone(tmp_path: Path) -> None:
    recipe = with_phases(
        msgspec.structs.replace(QUICK, architecture="fern", mirrored=True), Phase(epochs=3, optimizer="sgd", rate=0.02)
    )
    train(tmp_path / "fern", recipe, stripes(230, 4))
    written = keras.models.load_model(tmp_path / "fern" / WEIGHTS_FILE, compile=False)  # knows Keras's own layers only
    assert set(written.output) == {"fer2013", "ferplus"}
    learnt = keras.Model(written.input, {"labels": written.output["fer2013"]})
    assert differ(learnt) < 1e-3
    answers = learnt.predict_on_batch(stripes(230, 4).pictures.read(np.arange(100), (48, 48))[..., None])["labels"]
    assert np.ptp(answers, axis=0).min() > 0.01, "the pictures are told apart"


def test_filters_stay_in_pairs_through_a_step() -> None:
    network = architecture("fern").build({"labels": 7})
    settle(network)
    mirror(network)
    before = network.get_weights()
    network.compile("sgd", loss={"labels": keras.losses.CategoricalCrossentropy(from_logits=True)})
    pictures = np.random.default_rng(4).integers(0, 256, (16, 48, 48, 1)).astype(np.float32)
    network.fit(pictures, {"labels": np.eye(7, dtype=np.float32)[np.arange(16) % 7]}, verbose=0)
    assert not all(np.array_equal(old, new) for old, new in zip(before, network.get_weights(), strict=True))
    for variable in network.trainable_variables:
        if variable.constraint is not None:
            np.testing.assert_allclose(variable, variable.constraint(variable), atol=1e-6)


def test_the_default_model_answers_a_face_and_its_mirror_image_alike() -> None:
    faces = np.random.default_rng(5).integers(0, 256, (32, 48, 48, 1), dtype=np.uint8)
    for head in ("fer2013", "ferplus"):
        engine = Engine(bundled()["default"], head=head, precision="float32")
        mirrored = engine.classify(np.ascontiguousarray(faces[:, :, ::-1]))
        np.testing.assert_allclose(engine.classify(faces), mirrored, atol=1e-4)


def test_layers_that_have_no_mirrored_form_are_refused() -> None:
    for name in ("cnn4", "mini_xception"):
        with pytest.raises(ValueError, match="cannot be mirrored"):
            settle(architecture(name).build({"labels": 7}))
