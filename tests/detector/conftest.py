"""Photographs that come with libraries we depend on, and the two detectors over them."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest

from contracts.messages import Picture
from contracts.settings import DetectorSettings, ModelsSettings
from contracts.stages import CropSpec, Detector
from detector import open_detector

Open = Callable[..., Detector]


def installed(package: str, path: str) -> Picture:
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    picture = cv2.imread(str(Path(spec.origin).parent / path))
    assert picture is not None
    return np.asarray(picture, np.uint8)


@pytest.fixture(scope="session")
def astronaut() -> Picture:
    """512x512, one face around (224, 113)."""
    return installed("skimage", "data/astronaut.png")


@pytest.fixture(scope="session")
def hopper() -> Picture:
    """512 wide, 600 high, one face around (265, 224)."""
    return installed("matplotlib", "mpl-data/sample_data/grace_hopper.jpg")


@pytest.fixture(scope="session")
def model_folder(shared: Path) -> Path:
    return shared / "models"


@pytest.fixture(params=["yunet", "haar"])
def opened(request: pytest.FixtureRequest) -> Open:
    """Opens the detector under test with other settings than the default ones, and crops if asked."""
    name: str = request.param
    models = ModelsSettings(download=False)
    if name == "yunet":
        models = ModelsSettings(folder=request.getfixturevalue("model_folder"), download=False)

    def opening(crop: CropSpec | None = None, **settings: float) -> Detector:
        chosen = DetectorSettings.model_validate({"name": name, "min_score": 0.7, **settings})
        return open_detector(chosen, models, crop or CropSpec(), note=pytest.fail)

    return opening
