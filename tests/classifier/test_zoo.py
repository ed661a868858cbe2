"""The networks: built as their papers say, and run by the engine whatever their size, classes and endings are."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import msgspec
import numpy as np
import pytest

from classifier.architectures import ARCHITECTURES, architecture, preset
from classifier.architectures.transfer import BASE, freeze
from classifier.card import WEIGHTS_FILE, file_sha256, write_card
from classifier.copies import in_precision
from classifier.engine import Engine, softmax
from classifier.exporting import export_openvino
from classifier.finishing import untrained
from classifier.folders import bundled
from classifier.recipe import changed
from contracts.emotions import EMOTIONS
from contracts.errors import InputError, ModelError
from contracts.messages import U8

pytestmark = pytest.mark.xdist_group("tensorflow")

SEVEN = {"labels": 7}


def crops(count: int, shape: tuple[int, ...], seed: int = 0) -> U8:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


@pytest.mark.parametrize(
    ("name", "shape", "parameters"),
    [
        ("cnn4", (48, 48, 1), 4_478_727),
        ("cnn2", (32, 32, 1), (9 + 1) * 32 + (9 * 32 + 1) * 64 + (8 * 8 * 64 + 1) * 7),
        ("dcnn", (48, 48, 1), 2_395_591),
        ("mini_xception", (64, 64, 1), 58_423),
        ("vgg16", (48, 48, 1), 14_714_688 + (512 + 1) * 7),
        ("resnet50", (48, 48, 1), 23_587_712 + (2048 + 1) * 7),
        ("efficientnetb1", (224, 224, 1), 6_575_239 + (1280 + 1) * 7),
        ("fern", (48, 48, 1), 1_429_191),
    ],
)
def test_a_network_has_the_size_that_its_recipe_implies(name: str, shape: tuple[int, ...], parameters: int) -> None:
    model = architecture(name).build(SEVEN)
    assert model.input_shape[1:] == shape
    assert model.count_params() == parameters


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_no_network_has_the_convolution_whose_gradient_is_written_past_its_end(name: str) -> None:
    for layer in architecture(name).build(SEVEN)._flatten_layers():
        if isinstance(layer, keras.layers.Conv2D) and layer.kernel_size == (1, 1) and layer.kernel.shape[2] < 16:
            assert layer.strides == (1, 1), layer.name  # TensorFlow with oneDNN, in float32 and with AVX-512


def test_the_papers_recipes_are_the_papers() -> None:
    first, second = preset("cnn4", "paper"), preset("cnn4", "paper-second")
    assert (first.batch_size, first.options["dropout"], first.epochs) == (128, 0.25, 25)
    assert (second.batch_size, second.options["dropout"]) == (32, 0.4)
    assert preset("cnn2", "paper").classes == ("angry", "happy", "sad", "surprise", "neutral")
    assert preset("cnn2", "paper").phases[0].rate == 0.01
    assert preset("dcnn", "paper").phases[0].optimizer == "nadam"
    head, rest = preset("efficientnetb1", "paper").phases
    assert (head.frozen, head.rate, rest.frozen, rest.rate) == (-1, 1e-3, 200, 1e-5)
    for name in ARCHITECTURES:
        assert preset(name, "ours").architecture == name


def test_what_fern_learns_from_is_larger_and_sees_stronger_distortion() -> None:
    ours, wide, teacher = preset("fern", "ours"), preset("fern", "wide"), preset("fern_teacher", "ours")
    assert (
        architecture("fern").build(SEVEN, **wide.options).count_params()
        > 3.9 * architecture("fern").build(SEVEN).count_params()
    )
    for harder in (wide, teacher):
        for name in ("rotation", "shift", "zoom", "contrast", "erasing"):
            assert getattr(harder.distortion, name) > getattr(ours.distortion, name)
        assert (harder.distortion.softening, harder.distortion.noise) == (
            ours.distortion.softening, ours.distortion.noise,
        )  # fmt: skip
    assert changed(ours, radius=0.05).radius == 0.05
    assert changed(teacher, epochs=3).radius == teacher.radius > 0


def test_other_epochs_are_divided_as_the_recipe_divides_its_own() -> None:
    recipe = preset("efficientnetb1", "paper")
    assert [phase.epochs for phase in recipe.phases] == [50, 100]
    for epochs, divided in ((150, [50, 100]), (30, [10, 20]), (4, [1, 3]), (1, [1])):
        assert [phase.epochs for phase in changed(recipe, epochs=epochs).phases] == divided
    assert [phase.epochs for phase in changed(preset("cnn4", "paper"), epochs=3).phases] == [3]


def test_what_is_unknown_is_answered_with_what_is_known() -> None:
    with pytest.raises(InputError, match="no architecture 'lenet': there are fern"):
        preset("lenet", "ours")
    with pytest.raises(InputError, match="fern has no preset 'paper': it has ours"):
        preset("fern", "paper")
    with pytest.raises(InputError, match="no emotion 'bored'"):
        changed(preset("fern", "ours"), classes="happy,bored")
    with pytest.raises(InputError, match="at least two"):
        changed(preset("fern", "ours"), classes="happy")


def test_weights_that_cannot_be_had_are_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> Any:
        raise Exception("URL fetch failure on https://example.org: None -- [Errno -2] Name or service not known")  # noqa: TRY002

    monkeypatch.setattr("keras.applications.VGG16", unreachable)
    with pytest.raises(InputError, match=r"cannot be fetched \(Name or service not known\).*--from-scratch") as caught:
        architecture("vgg16").build(SEVEN, pretrained=True)
    assert "\n" not in str(caught.value)
    scratch = changed(preset("vgg16", "paper"), from_scratch=True)
    assert not scratch.pretrained
    assert [(phase.frozen, phase.rate) for phase in scratch.phases] == [(0, 1e-3)]


def test_a_pretrained_base_learns_where_it_may_and_keeps_its_statistics() -> None:
    model = architecture("resnet50").build(SEVEN)
    base = model.get_layer(BASE)
    freeze(model, -1, pretrained=True)
    assert len(model.trainable_weights) == 2  # the new end
    freeze(model, 100, pretrained=True)
    kept = [layer for layer in base.layers if isinstance(layer, keras.layers.BatchNormalization)]
    before = [np.array(layer.moving_mean) for layer in kept]
    model(crops(4, (48, 48, 1)).astype(np.float32), training=True)
    assert all((np.array(layer.moving_mean) == mean).all() for layer, mean in zip(kept, before, strict=True))
    assert not any(layer.trainable for layer in base.layers[:100])
    assert base.layers[-4].trainable or base.layers[-3].trainable


@pytest.mark.parametrize("name", ["fern", "cnn2", "mini_xception", "dcnn"])
def test_an_export_agrees_with_the_model(tmp_path: Path, name: str) -> None:
    card = untrained(name, tmp_path / name, channels=3 if name == "cnn2" else 1)
    export_openvino(tmp_path / name)
    faces = crops(6, (card.crop.height, card.crop.width, card.crop.channels))
    ours, theirs = (
        Engine(tmp_path / name, batch_size=4, runtime_name=runtime).classify(faces)
        for runtime in ("openvino", "tensorflow")
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_a_model_of_three_classes_answers_zero_for_the_rest(tmp_path: Path) -> None:
    untrained("cnn2", tmp_path, classes=("happy", "sad", "neutral"))
    answer = Engine(tmp_path, batch_size=2).classify(crops(3, (32, 32, 1)))
    known = [EMOTIONS.index(name) for name in ("happy", "sad", "neutral")]
    np.testing.assert_allclose(answer[:, known].sum(axis=1), 1, atol=1e-6)
    assert (np.delete(answer, known, axis=1) == 0).all()


def test_a_network_that_ends_in_one_softmax_is_run_as_it_is(tmp_path: Path) -> None:
    untrained("cnn2", tmp_path)
    inner = keras.models.load_model(tmp_path / WEIGHTS_FILE, compile=False)
    model = keras.Sequential([keras.Model(inner.input, inner.output["labels"]), keras.layers.Softmax()])
    model.save(tmp_path / WEIGHTS_FILE)
    card = untrained_card(tmp_path, gives="probabilities")
    faces = crops(3, (32, 32, 1))
    expected = softmax(np.asarray(inner(faces.astype(np.float32))["labels"]))
    np.testing.assert_allclose(Engine(tmp_path, batch_size=4).classify(faces), expected, atol=1e-5)
    export_openvino(tmp_path)
    np.testing.assert_allclose(
        Engine(tmp_path, batch_size=4, runtime_name="openvino").classify(faces), expected, atol=1e-3
    )
    assert card.heads["labels"].gives == "probabilities"


def untrained_card(folder: Path, *, gives: str) -> Any:
    from classifier.card import CARD_FILE, ModelCard

    card = msgspec.json.decode((folder / CARD_FILE).read_bytes(), type=ModelCard)
    head = msgspec.structs.replace(card.heads["labels"], gives=gives)
    card = msgspec.structs.replace(card, heads={"labels": head}, sha256=file_sha256(folder / WEIGHTS_FILE))
    write_card(folder, card)
    return card


def test_a_card_that_names_other_classes_than_the_network_has_is_refused(tmp_path: Path) -> None:
    card = untrained("cnn2", tmp_path)
    head = msgspec.structs.replace(card.heads["labels"], classes=("happy", "sad"))
    write_card(tmp_path, msgspec.structs.replace(card, heads={"labels": head}))
    with pytest.raises(ModelError, match="its card names 2 classes"):
        Engine(tmp_path, batch_size=1)


def test_half_precision_changes_answers_little() -> None:
    model = keras.models.load_model(bundled()["default"] / WEIGHTS_FILE, compile=False)
    half = in_precision(model, "mixed_bfloat16")
    faces = crops(8, (48, 48, 1))
    assert half.layers[-1].compute_dtype == "float32"
    assert any(layer.compute_dtype == "bfloat16" for layer in half.layers)
    for head in ("fer2013", "ferplus"):
        exact, rough = (softmax(np.asarray(each(faces)[head], np.float32)) for each in (model, half))
        np.testing.assert_allclose(exact, rough, atol=0.05)


JAX = """
import numpy as np
from classifier.engine import Engine
from classifier.folders import bundled
faces = np.random.default_rng(0).integers(0, 256, (5, 48, 48, 1), dtype=np.uint8)
ours = Engine(bundled()["default"], batch_size=4)
theirs = Engine(bundled()["default"], batch_size=4, runtime_name="openvino")
assert ours.runtime == "jax"
np.testing.assert_allclose(ours.classify(faces), theirs.classify(faces), atol=1e-4)
"""


def on_jax(program: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own: Keras settles on one backend for ever."""
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    return subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)


def test_kerass_jax_backend_answers_as_openvino_does() -> None:
    done = on_jax(JAX)
    assert done.returncode == 0, done.stderr


def test_without_jax_the_engine_says_what_to_install() -> None:
    done = on_jax(
        "import importlib.util as util\n"
        "found = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name == 'jax' else found(name, *rest)\n" + JAX
    )
    assert "jax cannot run the model default: jax is not installed: pip install 'affectstream[jax]'" in done.stderr
