"""YuNet: a small convolutional face detector with landmarks, run by OpenCV's own network engine."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from contracts.errors import ModelError, StageError
from contracts.messages import F32, Faces, Picture
from contracts.settings import DetectorSettings, ModelsSettings
from contracts.stages import CropSpec
from detector import crops, models, search

_OVERLAP = 0.3  # boxes that overlap more (intersection over union) are the same face
_CANDIDATES = 5000


class YuNet:
    """Finds faces with YuNet; boxes come with five landmarks.

    One object serves one thread, since the network holds the state of the picture it works on: give each worker its
    own. Pictures may change size from one to the next.
    """

    name = "yunet"

    def __init__(self, model: Path, settings: DetectorSettings, crop: CropSpec) -> None:
        """Raises ModelError where OpenCV cannot read the file."""
        crops.check(crop)
        self._settings = settings
        self._crop = crop
        self._size = (320, 320)
        try:
            self._net = cv2.FaceDetectorYN.create(str(model), "", self._size, settings.min_score, _OVERLAP, _CANDIDATES)
        except cv2.error as error:
            raise ModelError(f"OpenCV {cv2.__version__} cannot read {model}: fetch it again ({models.PULL})") from error

    def detect(self, pictures: Sequence[Picture]) -> list[Faces]:
        """Finds the faces of each picture, u8[rows, columns, 3] BGR. Raises StageError for one that it cannot take."""
        return [self._detect(picture) for picture in pictures]

    def close(self) -> None:
        """Nothing is held open."""

    def _detect(self, picture: Picture) -> Faces:
        working = search.shrink(picture, self._settings.working_width)
        found = self._search(working.picture)
        boxes = found[:, :4] * np.array([working.x, working.y] * 2, np.float32)
        landmarks = found[:, 4:14].reshape(-1, 5, 2) * np.array([working.x, working.y], np.float32)
        return search.faces(picture, boxes, found[:, 14], landmarks, min_face=self._settings.min_face, spec=self._crop)

    def _search(self, picture: Picture) -> F32:
        """f32[N, 15]: box, five landmarks, score, in pixels of `picture`."""
        size = (picture.shape[1], picture.shape[0])
        try:
            if size != self._size:  # setting it rebuilds the network's buffers
                self._net.setInputSize(size)
                self._size = size
            found: Any = self._net.detect(picture)[1]
        except cv2.error as error:
            self._size = (0, 0)
            raise StageError(f"OpenCV could not search a picture of {size[0]}x{size[1]}: {error.err}") from error
        if found is None:
            return np.empty((0, 15), np.float32)
        table = np.asarray(found, np.float32)
        return table[np.isfinite(table).all(axis=1)]


def open_detector(settings: DetectorSettings, where: ModelsSettings, crop: CropSpec) -> YuNet:
    """Raises ModelError where the model is damaged, `models.UnavailableError` where it cannot be had."""
    return YuNet(models.yunet_path(where), settings, crop)
