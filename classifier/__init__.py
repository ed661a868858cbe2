"""Crops -> probabilities. `open_classifier` is the door; the rest is for training and measuring models.

Importing this room is cheap: TensorFlow or OpenVINO is loaded only when a model is.
"""

from contracts.settings import ClassifierSettings, ModelsSettings
from contracts.stages import Classifier

__all__ = ["open_classifier"]


def open_classifier(settings: ClassifierSettings, models: ModelsSettings) -> Classifier:
    """The classifier that the settings name, its batch shapes warmed up.

    Raises ModelError where the model is unknown, or its folder lacks a file or holds a damaged one.
    """
    from classifier.engine import Engine
    from classifier.folders import find_model

    folder = find_model(settings.model, models)
    return Engine(
        folder, head=settings.head, batch_size=settings.batch_size, runtime_name=settings.runtime,
        precision=settings.precision,
    )  # fmt: skip
