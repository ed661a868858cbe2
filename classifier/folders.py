"""Where models are found and made: those that come with the package, and folders of the user's."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Final

from classifier.card import CARD_FILE
from contracts.errors import InputError, ModelError
from contracts.settings import ModelsSettings

COPY: Final = "copy it to a folder of yours, and name that with --model"


def bundled() -> dict[str, Path]:
    """The models that come with the package, by name."""
    root = Path(str(resources.files("classifier"))) / "models"
    return {folder.name: folder for folder in sorted(root.iterdir()) if (folder / CARD_FILE).is_file()}


def all_models(models: ModelsSettings) -> dict[str, Path]:
    """The bundled models and those in the models folder of the settings, by name."""
    own = models.folder.expanduser() if models.folder is not None else None
    found = sorted(own.iterdir()) if own is not None and own.is_dir() else []
    return {folder.name: folder for folder in found if (folder / CARD_FILE).is_file()} | bundled()


def make_folder(folder: Path) -> None:
    """Makes a folder that can be written to. Raises InputError where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"{folder} cannot be written to: {error.strerror}") from None


def find_model(name: str, models: ModelsSettings) -> Path:
    """The folder of the model with this name, or at this path.

    A name is looked up among the bundled models, then in the models folder of the settings.
    """
    known = bundled()
    if name in known:
        return known[name]
    candidates = [Path(name).expanduser()]
    if models.folder is not None:
        candidates.append(models.folder.expanduser() / name)
    for folder in candidates:
        if folder.is_dir():
            return folder
    raise ModelError(f"no model {name!r}: it is neither a folder nor one of {', '.join(known)}")


def check_writable(folder: Path) -> None:
    """Raises ModelError for a model that may not be changed: the package's own, where another user has installed it."""
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ModelError(f"the model's folder {folder} is read-only: {COPY}")


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Around what writes into a model's folder. Raises ModelError where that fails, because the disk is full say."""
    check_writable(folder)
    try:
        yield
    except OSError as error:
        raise ModelError(f"the model's folder {folder} cannot be written: {error.strerror or error}; {COPY}") from None
