"""How a model is written: small as a Keras file, and for other runtimes beside it, with a line on the card."""

import zipfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from classifier.card import WEIGHTS_FILE, ModelCard, read_card, write_card
from classifier.quiet import choose_backend, native_stderr_held_back


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
    """Writes the model of this folder for OpenVINO, and its new card."""
    card = read_card(folder)
    choose_backend()
    with native_stderr_held_back():
        import keras

        from classifier.runtimes import openvino

        model = keras.models.load_model(folder / WEIGHTS_FILE, compile=False)
        files = openvino.export(model, folder)
    card = msgspec.structs.replace(card, exports={**card.exports, "openvino": files})
    write_card(folder, card)
    return card
