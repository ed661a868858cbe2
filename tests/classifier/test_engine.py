"""The engine: the same answers however the crops are batched, and clear errors for models that are not whole."""

import json
import shutil
from pathlib import Path

import numpy as np
import openvino
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier import open_classifier
from classifier.card import CARD_FILE, WEIGHTS_FILE
from classifier.engine import Engine, batch_shapes, plan
from classifier.folders import bundled
from contracts.errors import ModelError, StageError
from contracts.settings import ClassifierSettings, ModelsSettings

BFLOAT16 = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")

pytestmark = pytest.mark.xdist_group("tensorflow")


@pytest.fixture(scope="module", params=["openvino", "tensorflow"])
def engine(request: pytest.FixtureRequest) -> Engine:
    return Engine(bundled()["default"], batch_size=16, runtime_name=request.param)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the default model, to be damaged."""
    return Path(shutil.copytree(bundled()["default"], tmp_path / "model"))


def crops(count: int, seed: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (count, 48, 48, 1), dtype=np.uint8)


@given(st.integers(0, 1000), st.integers(1, 100))
def test_the_calls_cover_every_face_once_with_the_compiled_shapes(faces: int, largest: int) -> None:
    shapes = batch_shapes(largest)
    covered: list[int] = []
    for start, count, size in plan(faces, shapes):
        assert count <= size
        assert size in shapes
        covered.extend(range(start, start + count))
    assert covered == list(range(faces))


@pytest.mark.parametrize("count", [0, 1, 5, 16, 17, 50])
def test_each_face_gets_seven_probabilities(engine: Engine, count: int) -> None:
    answer = engine.classify(crops(count))
    assert answer.shape == (count, 7)
    assert answer.dtype == np.float32
    np.testing.assert_allclose(answer.sum(axis=1), 1, atol=1e-5)


def test_the_answer_does_not_depend_on_the_company(engine: Engine) -> None:
    faces = crops(50)
    together = engine.classify(faces)
    alone = np.concatenate([engine.classify(faces[i : i + 1]) for i in range(50)])
    np.testing.assert_allclose(together, alone, atol=1e-4)


def test_the_runtimes_agree() -> None:
    faces = np.concatenate([crops(100), (crops(100, 1) // 3 + 50).astype(np.uint8)])
    ours, theirs = (Engine(bundled()["default"], runtime_name=name) for name in ("openvino", "tensorflow"))
    assert (ours.runtime, theirs.runtime) == ("openvino", "tensorflow")
    np.testing.assert_allclose(ours.classify(faces), theirs.classify(faces), atol=1e-4)


@pytest.mark.parametrize("runtime", ["openvino", "tensorflow"])
def test_sixteen_bits_change_an_answer_by_little(runtime: str) -> None:
    faces = crops(100)
    whole, half = (
        Engine(bundled()["default"], runtime_name=runtime, precision=precision).classify(faces)
        for precision in ("float32", "bfloat16")
    )
    assert bool(np.abs(whole - half).max() > 0) is (runtime == "tensorflow" or BFLOAT16)
    assert np.abs(whole - half).max() < 0.06
    assert np.abs(whole - half).mean() < 0.003


def test_the_pipeline_takes_sixteen_bits_only_where_they_are_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    faces = crops(20)
    model = bundled()["default"]
    exact = Engine(model, precision="float32").classify(faces)
    settings = ClassifierSettings(runtime="openvino")
    monkeypatch.setattr(openvino.Core, "get_property", lambda *_: ["FP32", "FP16", "INT8"])
    assert np.array_equal(open_classifier(settings, ModelsSettings()).classify(faces), exact)
    monkeypatch.setattr(openvino.Core, "get_property", lambda *_: ["FP32", "BF16"])
    assert np.array_equal(open_classifier(settings, ModelsSettings()).classify(faces), exact) is not BFLOAT16


def test_light_and_contrast_do_not_change_the_answer(engine: Engine) -> None:
    face = (crops(1) // 4 + 60).astype(np.uint8)
    darker = (face // 2).astype(np.uint8)
    np.testing.assert_allclose(engine.classify(face), engine.classify(darker), atol=0.02)


def test_crops_of_another_shape_are_refused(engine: Engine) -> None:
    with pytest.raises(StageError, match="the model takes uint8"):
        engine.classify(np.zeros((2, 32, 32, 1), np.uint8))


def test_memory_stays_where_it_is_over_many_batches(engine: Engine) -> None:
    process = psutil.Process()
    faces = crops(16)
    for number in range(600):
        engine.classify(faces[: 1 + number % 16])
        if number == 200:
            before = process.memory_info().rss
    assert process.memory_info().rss < before * 1.02


def test_a_model_with_fewer_classes_fills_in_zeros(model: Path) -> None:
    card = json.loads((model / CARD_FILE).read_text())
    card["heads"]["ferplus"]["classes"] = ["happy", "sad", "neutral", "angry", "fear", "disgust", "surprise"]
    (model / CARD_FILE).write_text(json.dumps(card))
    faces = crops(3)
    ours = Engine(bundled()["default"], head="ferplus", batch_size=4).classify(faces)
    theirs = Engine(model, head="ferplus", batch_size=4).classify(faces)
    np.testing.assert_allclose(theirs[:, [3, 4, 6, 0, 2, 1, 5]], ours, atol=1e-6)


def test_every_head_of_the_default_model_can_be_chosen() -> None:
    for head in ("fer2013", "ferplus"):
        engine = Engine(bundled()["default"], head=head, batch_size=2)
        assert engine.name == f"default/{head}"


def _without_card(folder: Path) -> None:
    (folder / CARD_FILE).unlink()


def _without_weights(folder: Path) -> None:
    (folder / WEIGHTS_FILE).unlink()


def _with_half_the_weights(folder: Path) -> None:
    data = (folder / WEIGHTS_FILE).read_bytes()
    (folder / WEIGHTS_FILE).write_bytes(data[: len(data) // 2])


def _with_a_broken_card(folder: Path) -> None:
    (folder / CARD_FILE).write_text('{"format": 1')


def _with_a_card_of_another_kind(folder: Path) -> None:
    (folder / CARD_FILE).write_text('{"name": "x"}')


def _without_the_export(folder: Path) -> None:
    (folder / "model.bin").unlink()


def _with_a_damaged_export(folder: Path) -> None:
    (folder / "model.xml").write_text("<net/>")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_without_card, "model.json is missing"),
        (_without_weights, "model.keras is missing"),
        (_with_half_the_weights, "model.keras is not the file that model.json speaks of"),
        (_with_a_broken_card, "is damaged"),
        (_without_the_export, "model.bin is missing"),
        (_with_a_damaged_export, "model.xml is not the file that its card speaks of"),
        (_with_a_card_of_another_kind, "is damaged"),
    ],
)
def test_a_model_that_is_not_whole_is_refused_in_one_line(model: Path, damage, said: str) -> None:  # type: ignore[no-untyped-def]
    damage(model)
    with pytest.raises(ModelError, match=said) as caught:
        open_classifier(ClassifierSettings(model=str(model)), ModelsSettings())
    assert "\n" not in str(caught.value)


def test_an_unknown_model_or_head_is_named_with_the_known_ones() -> None:
    with pytest.raises(ModelError, match="neither a folder nor one of default"):
        open_classifier(ClassifierSettings(model="nope"), ModelsSettings())
    with pytest.raises(ModelError, match="it has fer2013, ferplus"):
        open_classifier(ClassifierSettings(head="nope"), ModelsSettings())
