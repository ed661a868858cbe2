"""A frame's picture -> its faces. Importing the room is cheap: OpenCV is loaded when the first detector is opened.

A new detector is one file with an `open_detector(settings, models, crop)` of its own and one line in DETECTORS.
"""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Final, cast

from contracts.errors import SettingsError
from contracts.settings import DetectorSettings, ModelsSettings
from contracts.stages import CropSpec, Detector
from detector import models as _models

DETECTORS: Final = {
    "yunet": "detector.yunet",
    "haar": "detector.haar",
}

HAAR_COSTS: Final = (
    "until then the Haar detector steps in, which finds 88 % of frontal faces where YuNet finds all, "
    "and a quarter of those that are small or turned away"
)

_Opener = Callable[[DetectorSettings, ModelsSettings, CropSpec], Detector]


def choose(settings: DetectorSettings, models: ModelsSettings, *, note: Callable[[str], None]) -> DetectorSettings:
    """Settles `auto` for all workers together: YuNet where its model can be had, else Haar and a line to `note`.

    The result names a detector, so that opening it says nothing more. Raises ModelError for a damaged model file:
    that is repaired, not worked around.
    """
    if settings.name != "auto":
        return settings
    try:
        _models.yunet_path(models)
    except _models.UnavailableError as error:
        note(f"{error}; {HAAR_COSTS}")
        return settings.model_copy(update={"name": "haar"})
    return settings.model_copy(update={"name": "yunet"})


def open_detector(
    settings: DetectorSettings, models: ModelsSettings, crop: CropSpec, *, note: Callable[[str], None]
) -> Detector:
    """A detector for one thread. With `auto`, see `choose`, which several workers call once between them.

    Raises ModelError where the model file cannot be had or is damaged, or `crop` asks for crops that cannot
    be made; SettingsError for a name that is not in DETECTORS.
    """
    settings = choose(settings, models, note=note)
    if settings.name not in DETECTORS:
        raise SettingsError(f"there is no detector {settings.name!r}; there are auto, {', '.join(DETECTORS)}")
    opener = cast(_Opener, importlib.import_module(DETECTORS[settings.name]).open_detector)
    return opener(settings, models, crop)


def open_detectors(
    settings: DetectorSettings, models: ModelsSettings, crop: CropSpec, *, note: Callable[[str], None]
) -> list[Detector]:
    """As many detectors as `settings.workers` says, each for a thread of its own. Raises what `open_detector` does."""
    if settings.workers > 1:
        import cv2

        cv2.setNumThreads(1)  # the detectors share the cores among themselves, better than each of them could
    settings = choose(settings, models, note=note)
    return [open_detector(settings, models, crop, note=note) for _ in range(settings.workers)]


def pull(models: ModelsSettings) -> Path:
    """Fetches YuNet's model into the models folder, replacing a damaged one; returns where it lies.

    Raises ModelError in one line where it cannot be fetched.
    """
    return _models.pull(models)


def yunet_path(models: ModelsSettings) -> Path:
    """Where YuNet's checked model lies, fetched first if need be.

    Raises ModelError where it is damaged or not to be had.
    """
    return _models.yunet_path(models)
