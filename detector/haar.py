"""Haar cascades: the detector that comes with OpenCV itself and needs no model file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from contracts.errors import ModelError, StageError
from contracts.messages import F32, Faces, Picture
from contracts.settings import DetectorSettings, ModelsSettings
from contracts.stages import CropSpec
from detector import crops, search

CASCADE: Final = "haarcascade_frontalface_alt2.xml"
"""Of OpenCV's frontal cascades, the one that finds the most faces at the same number of false alarms."""

_STEP: Final = 1.1  # ratio of the sizes that are tried
# Raw hits that a face needs: with three, 5 % more faces are found, and 5 % of the boxes are no face.
_HITS: Final = 5
_SMALLEST: Final = 20  # pixels of the working picture: the cascade's own window

# The cascade draws squares, YuNet upright boxes. Crops and tracks are laid out in YuNet's, so that they are the same
# under both: medians over faces that both detectors found at default settings.
_SIDE: Final = 1 / 1.085  # YuNet's geometric mean side / the square's side
_DOWN: Final = 0.012  # how far YuNet's middle lies below the square's, in YuNet's sides
_ASPECT: Final = 0.758  # YuNet's width / height


class Haar:
    """Finds upright frontal faces with a Haar cascade; no landmarks.

    One object serves one thread: a cascade keeps the pyramid of the picture it works on. `min_score` does not apply,
    it is about YuNet's scores; here a score says by how many neighbouring windows the face was seen.
    """

    name = "haar"

    def __init__(self, settings: DetectorSettings, crop: CropSpec) -> None:
        """Raises ModelError where OpenCV came without its cascades."""
        crops.check(crop)
        self._settings = settings
        self._crop = crop
        path = Path(cv2.__file__).parent / "data" / CASCADE
        self._cascade = cv2.CascadeClassifier()
        if not path.is_file() or not self._cascade.load(str(path)):
            raise ModelError(f"OpenCV's cascade {path} is missing or damaged: install opencv-python-headless again")

    def detect(self, pictures: Sequence[Picture]) -> list[Faces]:
        """Finds the faces of each picture, u8[rows, columns, 3] BGR. Raises StageError for one that it cannot take."""
        return [self._detect(picture) for picture in pictures]

    def close(self) -> None:
        """Nothing is held open."""

    def _detect(self, picture: Picture) -> Faces:
        working = search.shrink(picture, self._settings.working_width)
        grey = cv2.cvtColor(working.picture, cv2.COLOR_BGR2GRAY)
        smallest = max(_SMALLEST, round(self._settings.min_face / (_SIDE * working.x)))
        try:
            squares, neighbours = self._cascade.detectMultiScale2(
                grey, scaleFactor=_STEP, minNeighbors=_HITS - 1, minSize=(smallest, smallest)
            )
        except cv2.error as error:
            raise StageError(f"OpenCV could not search a picture of {picture.shape[1]}x{picture.shape[0]}") from error
        found = np.asarray(squares, np.float64).reshape(-1, 4) * (working.x, working.y, working.x, working.y)
        scores = confidence(np.asarray(neighbours, np.float64).ravel())
        boxes = face_boxes(found)
        return search.faces(picture, boxes, scores, None, min_face=self._settings.min_face, spec=self._crop)


def face_boxes(squares: NDArray[np.float64]) -> F32:
    """The cascade's squares [N, 4] -> boxes f32[N, 4] as YuNet would draw them around the same faces."""
    mean = np.sqrt(squares[:, 2] * squares[:, 3]) * _SIDE
    size = np.stack([mean * np.sqrt(_ASPECT), mean / np.sqrt(_ASPECT)], axis=1)
    middle = squares[:, :2] + squares[:, 2:] / 2
    middle[:, 1] += _DOWN * mean
    return np.concatenate([middle - size / 2, size], axis=1).astype(np.float32)


def confidence(neighbours: NDArray[np.float64]) -> F32:
    """Raw hits on a face -> a score: 0.5 at the fewest that are accepted, halfway nearer to 1 with each five more."""
    return (1.0 - 0.5 ** (neighbours / _HITS)).astype(np.float32)


def open_detector(settings: DetectorSettings, models: ModelsSettings, crop: CropSpec) -> Haar:
    """Raises ModelError where OpenCV came without its cascades. `models` is not needed: OpenCV brings its own."""
    return Haar(settings, crop)
