"""YuNet's network (Wu et al., "YuNet: A Tiny Millisecond-level Face Detector", 2023) on OpenVINO.

It answers as OpenCV's FaceDetectorYN does, in about half the time.
"""

from collections import OrderedDict
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from contracts.errors import ModelError, StageError
from contracts.messages import F32, U8, Picture

STRIDES: Final = (8, 16, 32)  # pixels between the places that each of the three outputs speaks of
OVERLAP: Final = 0.3  # boxes that overlap more (intersection over union) are the same face
CANDIDATES: Final = 5000
SIZES: Final = 8  # picture sizes that are kept compiled, for cameras that take turns
PLUGIN: Final = {
    "INFERENCE_PRECISION_HINT": "f32",
    "PERFORMANCE_HINT": "LATENCY",
    "ENABLE_CPU_PINNING": False,  # or the networks of several threads would all be pinned to the same core
}


class _Compiled(NamedTuple):
    """The network for pictures of one size."""

    request: Any
    canvas: U8  # [1, rows, columns, 3], the network's input; what the picture does not cover stays black
    answers: tuple[tuple[F32, F32, F32, F32], ...]  # by stride: class, object, box, landmarks


class Network:
    """Boxes, landmarks and scores of the faces in a picture. Used by one thread at a time."""

    def __init__(self, model: Path, *, min_score: float, threads: int) -> None:
        """Raises ModelError for a file that OpenVINO cannot read."""
        import openvino

        self._core: Final = openvino.Core()
        self._min_score: Final = min_score
        self._plugin: Final = {**PLUGIN, "INFERENCE_NUM_THREADS": threads}
        self._compiled: Final[OrderedDict[tuple[int, int], _Compiled]] = OrderedDict()
        try:
            network = self._core.read_model(model)
            self._model: Final = _from_bytes(network)
        except RuntimeError as error:
            raise ModelError(f"OpenVINO cannot read {model}: {str(error).splitlines()[0]}") from error

    def search(self, picture: Picture) -> F32:
        """u8[rows, columns, 3] BGR -> f32[N, 15]: box (x, y, width, height), five landmarks, score, in its pixels.

        Raises StageError for a picture that the network cannot be run on.
        """
        try:
            compiled = self._for_size(*picture.shape[:2])
            compiled.canvas[0, : picture.shape[0], : picture.shape[1]] = picture
            compiled.request.infer()
        except RuntimeError as error:  # no memory left for it, say
            size = f"{picture.shape[1]}x{picture.shape[0]}"
            raise StageError(f"OpenVINO could not search a picture of {size}: {str(error).splitlines()[0]}") from error
        columns = compiled.canvas.shape[2]
        found = np.concatenate(
            [
                _decoded(answer, stride, columns // stride, self._min_score)
                for stride, answer in zip(STRIDES, compiled.answers, strict=True)
            ]
        )
        if len(found) < 2:
            return found
        rectangles = found[:, :4].astype(np.int32)
        kept = cv2.dnn.NMSBoxes(rectangles.tolist(), found[:, 14].tolist(), self._min_score, OVERLAP, 1.0, CANDIDATES)
        return found[np.asarray(kept, np.int64)]

    def _for_size(self, rows: int, columns: int) -> _Compiled:
        size = (rows, columns)
        if size not in self._compiled:
            if len(self._compiled) == SIZES:
                self._compiled.popitem(last=False)
            self._compiled[size] = self._compile(-(-rows // 32) * 32, -(-columns // 32) * 32)
        self._compiled.move_to_end(size)
        return self._compiled[size]

    def _compile(self, rows: int, columns: int) -> _Compiled:
        self._model.reshape([1, rows, columns, 3])
        request = self._core.compile_model(self._model, "CPU", self._plugin).create_infer_request()
        canvas = request.get_input_tensor().data
        canvas[...] = 0
        parts = ("cls", "obj", "bbox", "kps")
        answers = [[request.get_tensor(f"{part}_{stride}").data[0] for part in parts] for stride in STRIDES]
        return _Compiled(request, canvas, tuple((a[:, 0], b[:, 0], c, d) for a, b, c, d in answers))


def _from_bytes(network: Any) -> Any:
    """The network, which takes f32[1, 3, rows, columns], for pictures as OpenCV holds them: u8[1, rows, columns, 3]."""
    from openvino import Layout, Type
    from openvino import preprocess as pre

    steps = pre.PrePostProcessor(network)
    steps.input().tensor().set_element_type(Type.u8).set_layout(Layout("NHWC"))
    steps.input().model().set_layout(Layout("NCHW"))
    return steps.build()


def _decoded(answer: tuple[F32, F32, F32, F32], stride: int, across: int, min_score: float) -> F32:
    """What one output says: f32[N, 15] of the places whose score is high enough."""
    classes, objects, boxes, landmarks = answer
    scores = np.sqrt(np.clip(classes, 0.0, 1.0) * np.clip(objects, 0.0, 1.0))
    places: NDArray[np.int64] = np.flatnonzero(scores >= min_score)
    corner = np.stack([places % across, places // across], axis=1).astype(np.float32)
    size = np.exp(boxes[places, 2:]) * stride
    middle = (corner + boxes[places, :2]) * stride
    points = (landmarks[places].reshape(-1, 5, 2) + corner[:, None]) * stride
    return np.concatenate([middle - size / 2, size, points.reshape(-1, 10), scores[places, None]], axis=1)
