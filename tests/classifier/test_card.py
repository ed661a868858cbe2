"""A card that cannot be, or that its network contradicts, is refused: it would be believed in silence."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import msgspec
import numpy as np
import pytest

from classifier.card import CARD_FILE, WEIGHTS_FILE, file_sha256, read_card, write_card
from classifier.engine import Engine
from classifier.exporting import export_openvino
from classifier.finishing import untrained
from classifier.folders import bundled
from contracts.emotions import EMOTIONS
from contracts.errors import ModelError
from contracts.messages import U8
from tests.services.disks import small_disk, unwritable

pytestmark = pytest.mark.xdist_group("tensorflow")

TRAINING_PAGE = Path(__file__).parents[2] / "docs" / "training.md"
Change = Callable[[dict[str, Any]], Any]
RUNTIMES = pytest.mark.parametrize("runtime", ["openvino", "tensorflow"])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the default model, to be described otherwise."""
    return Path(shutil.copytree(bundled()["default"], tmp_path / "model"))


def change(folder: Path, what: Change) -> None:
    card = json.loads((folder / CARD_FILE).read_text())
    what(card)
    (folder / CARD_FILE).write_text(json.dumps(card))


def crops(count: int, size: int) -> U8:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 1), dtype=np.uint8)


def refusal(folder: Path, **how: Any) -> str:
    with pytest.raises(ModelError) as caught:
        Engine(folder, batch_size=1, **how)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (lambda card: card["heads"]["ferplus"].update(temperature=0), "temperature of the head ferplus is 0.0"),
        (lambda card: card["heads"]["ferplus"].update(temperature=-1), "temperature of the head ferplus is -1.0"),
        (lambda card: card["heads"]["fer2013"].update(temperature=float("nan")), "is damaged: JSON is malformed"),
        (lambda card: card["heads"]["ferplus"].update(classes=["happy"] * 7), "two classes or more, each once"),
        (lambda card: card["heads"]["ferplus"].update(classes=["happy"]), "two classes or more, each once"),
        (lambda card: card["heads"]["ferplus"].update(classes=["happy", "glad"]), "names 'glad', which is no emotion"),
        (lambda card: card.update(default_head="votes"), "it has no head 'votes'"),
        (
            lambda card: card.update(format=99, heads="otherwise"),
            "is of format 99, this version of affectstream reads 1",
        ),
    ],
)
def test_a_card_that_cannot_be_is_refused(model: Path, what: Change, said: str) -> None:
    change(model, what)
    assert said in refusal(model)


def test_a_card_that_is_no_text_is_damaged(model: Path) -> None:
    (model / CARD_FILE).write_bytes(b'{"name": "\xff"}')
    assert "is damaged: " in refusal(model)


@RUNTIMES
@pytest.mark.parametrize("size", [32, 64])
def test_crops_of_another_size_than_the_networks_are_refused(model: Path, runtime: str, size: int) -> None:
    change(model, lambda card: card["crop"].update(height=size, width=size))
    said = f"speaks of crops [N, {size}, {size}, 1], its network takes [N, 48, 48, 1]"
    assert said in refusal(model, runtime_name=runtime)


@RUNTIMES
def test_a_head_that_the_network_lacks_is_refused(model: Path, runtime: str) -> None:
    change(model, lambda card: card["heads"].update(mine=card["heads"]["ferplus"]))
    assert "has a head 'mine' that its network lacks" in refusal(model, runtime_name=runtime)


@RUNTIMES
def test_two_heads_of_a_network_with_one_answer_are_refused(tmp_path: Path, runtime: str) -> None:
    card = untrained("cnn2", tmp_path)
    inner = keras.models.load_model(tmp_path / WEIGHTS_FILE, compile=False)
    keras.Model(inner.input, inner.output["labels"]).save(tmp_path / WEIGHTS_FILE)
    write_card(tmp_path, msgspec.structs.replace(card, sha256=file_sha256(tmp_path / WEIGHTS_FILE)))
    export_openvino(tmp_path)
    change(tmp_path, lambda card: card["heads"].update(mine=card["heads"]["labels"]))
    assert "has 2 heads, its network gives 1 answers" in refusal(tmp_path, runtime_name=runtime)


@RUNTIMES
def test_logits_that_are_called_probabilities_and_the_reverse_are_refused(tmp_path: Path, runtime: str) -> None:
    card = untrained("cnn2", tmp_path)
    inner = keras.models.load_model(tmp_path / WEIGHTS_FILE, compile=False)
    ends = {"logits": keras.layers.Rescaling(1, offset=-1), "probabilities": keras.layers.Softmax()}
    for (gives, end), other in zip(ends.items(), reversed(ends), strict=True):
        keras.Model(inner.input, end(inner.output["labels"])).save(tmp_path / WEIGHTS_FILE)
        head = msgspec.structs.replace(card.heads["labels"], gives=gives)
        sha256 = file_sha256(tmp_path / WEIGHTS_FILE)
        write_card(tmp_path, msgspec.structs.replace(card, heads={"labels": head}, sha256=sha256))
        export_openvino(tmp_path)
        Engine(tmp_path, batch_size=1, runtime_name=runtime)
        change(tmp_path, lambda card, other=other: card["heads"]["labels"].update(gives=other))  # type: ignore[misc]
        assert f"does not give {other} in labels, as its card says" in refusal(tmp_path, runtime_name=runtime)


@RUNTIMES
def test_logits_of_which_none_is_negative_are_no_probabilities_either(tmp_path: Path, runtime: str) -> None:
    card = untrained("cnn2", tmp_path)
    inner = keras.models.load_model(tmp_path / WEIGHTS_FILE, compile=False)
    keras.Model(inner.input, keras.layers.Rescaling(1, offset=3)(inner.output["labels"])).save(tmp_path / WEIGHTS_FILE)
    head = msgspec.structs.replace(card.heads["labels"], gives="probabilities")
    sha256 = file_sha256(tmp_path / WEIGHTS_FILE)
    write_card(tmp_path, msgspec.structs.replace(card, heads={"labels": head}, sha256=sha256))
    export_openvino(tmp_path)
    assert "does not give probabilities in labels, as its card says" in refusal(tmp_path, runtime_name=runtime)


def test_a_network_with_a_list_of_answers_for_crops_of_any_size_is_exported(tmp_path: Path) -> None:
    card = untrained("cnn2", tmp_path)
    start = keras.Input((None, None, 1))
    seen = keras.layers.GlobalMaxPooling2D()(keras.layers.Conv2D(4, 3)(start))
    keras.Model(start, [keras.layers.Dense(7)(seen), keras.layers.Dense(7)(seen)]).save(tmp_path / WEIGHTS_FILE)
    heads = {"one": card.heads["labels"], "two": card.heads["labels"]}
    sha256 = file_sha256(tmp_path / WEIGHTS_FILE)
    write_card(tmp_path, msgspec.structs.replace(card, heads=heads, default_head="two", sha256=sha256))
    export_openvino(tmp_path)
    for head in heads:
        ours, theirs = (
            Engine(tmp_path, head=head, batch_size=2, runtime_name=runtime).classify(crops(2, 32))
            for runtime in ("openvino", "tensorflow")
        )
        np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_the_documented_card_of_a_model_of_ones_own_is_all_that_it_takes(tmp_path: Path) -> None:
    _, section = TRAINING_PAGE.read_text().split("## A model of your own")
    card = json.loads(section.split("```json")[1].split("```")[0])
    network = keras.Sequential([
        keras.Input((64, 64, 1)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten(),
        keras.layers.Dense(3, activation="softmax"),
    ])  # fmt: skip
    assert network.count_params() == card["parameters"]
    network.save(tmp_path / WEIGHTS_FILE)
    (tmp_path / CARD_FILE).write_text(json.dumps({**card, "sha256": file_sha256(tmp_path / WEIGHTS_FILE)}))
    faces = crops(3, 64)
    answer = Engine(tmp_path, batch_size=2).classify(faces)
    known = [EMOTIONS.index(name) for name in ("happy", "sad", "neutral")]
    np.testing.assert_allclose(answer[:, known], network.predict(faces.astype(np.float32), verbose=0), atol=1e-5)
    export_openvino(tmp_path)
    np.testing.assert_allclose(
        Engine(tmp_path, batch_size=2, runtime_name="openvino").classify(faces), answer, atol=1e-3
    )


def test_a_folder_that_may_not_be_written_is_told_before_anything_is_done(model: Path) -> None:
    with unwritable(model), pytest.raises(ModelError, match=r"is read-only: copy it to a folder of yours.*--model"):
        export_openvino(model)


def test_a_full_disk_leaves_the_model_as_it_was(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with small_disk(tmp_path / "disk", "10m") as disk:
        model = Path(shutil.copytree(bundled()["default"], disk / "model"))
        with pytest.raises(ModelError, match=r"model cannot be written: .*; copy it to a folder of yours") as caught:
            export_openvino(model)
        assert "\n" not in str(caught.value)
        assert capfd.readouterr().err == ""
        assert {file.name for file in model.iterdir()} == {file.name for file in bundled()["default"].iterdir()}
        Engine(model, batch_size=1, runtime_name="openvino")
        (disk / "rest").write_bytes(bytes(shutil.disk_usage(disk).free))
        with pytest.raises(OSError, match="No space left"):
            write_card(model, read_card(model))
        assert read_card(model) == read_card(bundled()["default"])
