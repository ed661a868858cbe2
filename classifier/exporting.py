"""How a model is written: small as a Keras file, and for other runtimes beside it, with a line on the card."""

import tempfile
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from classifier.card import ModelCard, read_card, write_card
from classifier.folders import check_writable, writing
from classifier.quiet import native_stderr_held_back
from classifier.runtimes import keras_models, openvino, tensorflow
from contracts.errors import ModelError


def save_small(model: Any, path: Path) -> None:
    """Saves a Keras model with its weights rounded to float16's precision and the archive compressed: half the size.

    The rounding costs no accuracy that could be measured; the weights stay float32 for whoever loads them.
    """
    model.set_weights([weight.astype(np.float16).astype(np.float32) for weight in model.get_weights()])
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name, data in content.items():
            archive.writestr(name, data)


def export_openvino(folder: Path) -> ModelCard:
    """Writes the model of this folder for OpenVINO, and its new card.

    Raises ModelError for a folder that cannot be written, and where Keras does not run on TensorFlow.
    """
    card = read_card(folder)
    check_writable(folder)
    if (lacks := tensorflow.missing(card)) is not None:
        raise ModelError(f"a model is exported by TensorFlow: {lacks}")
    model = keras_models.load(folder, card)
    with writing(folder), native_stderr_held_back(), tempfile.TemporaryDirectory(dir=folder) as fresh:
        files = openvino.export(_named(model, card), Path(fresh), card.crop)
        for name in files:
            (Path(fresh) / name).replace(folder / name)
        card = msgspec.structs.replace(card, exports={**card.exports, "openvino": files})
        write_card(folder, card)
    return card


def _named(model: Any, card: ModelCard) -> Any:
    """A model whose outputs have their heads' names, which is how OpenVINO tells them apart."""
    import keras

    outputs = keras_models.outputs_of(model)
    if isinstance(outputs, dict) or len(outputs) == 1:  # which needs no name
        return model
    return keras.Model(model.input, dict(zip(card.heads, outputs, strict=True)))
