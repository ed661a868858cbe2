"""YuNet: a small convolutional face detector with landmarks."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from contracts.messages import Faces, Picture
from contracts.settings import DetectorSettings, ModelsSettings
from contracts.stages import CropSpec
from detector import crops, models, search
from detector.yunet_network import Network


class YuNet:
    """Finds faces with YuNet; boxes come with five landmarks.

    One object serves one thread, since the network holds the state of the picture it works on: give each worker its
    own. Pictures may change size from one to the next.
    """

    name = "yunet"

    def __init__(self, model: Path, settings: DetectorSettings, crop: CropSpec) -> None:
        """Raises ModelError where the file is not YuNet."""
        crops.check(crop)
        self._settings = settings
        self._crop = crop
        threads = max((os.cpu_count() or 1) // settings.workers, 1)  # the workers share the cores
        self._network = Network(model, min_score=settings.min_score, threads=threads)

    def detect(self, pictures: Sequence[Picture]) -> list[Faces]:
        """Finds the faces of each picture, u8[rows, columns, 3] BGR. Raises StageError for one that it cannot take."""
        return [self._detect(picture) for picture in pictures]

    def close(self) -> None:
        """Nothing is held open."""

    def _detect(self, picture: Picture) -> Faces:
        working = search.shrink(picture, self._settings.working_width)
        found = self._network.search(working.picture)
        found = found[np.isfinite(found).all(axis=1)]
        boxes = found[:, :4] * np.array([working.x, working.y] * 2, np.float32)
        landmarks = found[:, 4:14].reshape(-1, 5, 2) * np.array([working.x, working.y], np.float32)
        return search.faces(picture, boxes, found[:, 14], landmarks, min_face=self._settings.min_face, spec=self._crop)


def open_detector(settings: DetectorSettings, where: ModelsSettings, crop: CropSpec) -> YuNet:
    """Raises ModelError where the model is damaged, `models.UnavailableError` where it cannot be had."""
    return YuNet(models.yunet_path(where), settings, crop)
