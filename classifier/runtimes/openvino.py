"""The model as OpenVINO has it: two to three times TensorFlow's speed on CPUs, and a start that takes no seconds.

`affectstream export` writes its files. On processors that multiply bfloat16 it is several times faster in that, and
answers differ by about a thousandth.
"""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from classifier.card import ModelCard, file_sha256
from classifier.runtimes import Run, check
from contracts.errors import ModelError
from contracts.messages import F32, U8
from contracts.settings import Precision
from contracts.stages import CropSpec

GRAPH: Final = "model.xml"
WEIGHTS: Final = "model.bin"
OPTIONS: Final = {"PERFORMANCE_HINT": "LATENCY"}


def missing(card: ModelCard) -> str | None:
    """The package, or the export."""
    if importlib.util.find_spec("openvino") is None:
        return "the package openvino is not installed"
    if "openvino" not in card.exports:
        return f"it was not exported: affectstream export --model {card.name}"
    return None


def compile_shapes(
    folder: Path, card: ModelCard, head: str, shapes: Sequence[int], precision: Precision
) -> dict[int, Run]:
    """One compiled model for each batch size."""
    import openvino

    for name, sha256 in card.exports["openvino"].items():
        if not (folder / name).is_file():
            raise ModelError(f"the model in {folder} is incomplete: {name} is missing")
        if file_sha256(folder / name) != sha256:
            raise ModelError(f"the model in {folder} is damaged: {name} is not the file that its card speaks of")
    core = openvino.Core()
    if precision == "auto":
        precision = "bfloat16" if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "float32"
    options = {**OPTIONS, "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision]}
    try:
        model = core.read_model(folder / GRAPH)
    except RuntimeError as error:
        raise ModelError(f"OpenVINO cannot load {folder / GRAPH}: {str(error).splitlines()[0]}") from error

    takes = [None if size.is_dynamic else size.get_length() for size in model.inputs[0].partial_shape]
    named = len(model.outputs) > 1
    check(folder, card, takes, [name for output in model.outputs for name in output.names] if named else 1)

    def compiled(size: int) -> Run:
        model.reshape([size, card.crop.height, card.crop.width, card.crop.channels])
        network = core.compile_model(model, "CPU", options)
        request = network.create_infer_request()
        answer = network.output(head) if named else network.output(0)

        def run(crops: U8) -> F32:
            request.infer([crops])
            return np.array(request.get_tensor(answer).data)  # a copy: the next call writes here again

        return run

    return {size: compiled(size) for size in shapes}


def export(model: Any, folder: Path, crop: CropSpec) -> dict[str, str]:
    """Writes a Keras model for OpenVINO; returns {file: SHA-256}. Raises OSError where it cannot be written.

    The weights stay float32: OpenVINO folds the normalisations into the convolutions, and rounding what comes of that
    to float16 would move answers by more than a thousandth.
    """
    import openvino
    from openvino import preprocess as pre

    converted = openvino.convert_model(model, input=[(-1, crop.height, crop.width, crop.channels)])
    steps = pre.PrePostProcessor(converted)
    steps.input().tensor().set_element_type(openvino.Type.u8)  # crops come as bytes
    built = steps.build()
    try:
        openvino.save_model(built, folder / GRAPH, compress_to_fp16=False)
    except RuntimeError:  # it says "iostream error", whatever the disk had said
        raise OSError("OpenVINO cannot write its files: is the disk full?") from None
    return {name: file_sha256(folder / name) for name in (GRAPH, WEIGHTS)}
