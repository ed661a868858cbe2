"""The detector's model file: where it is kept, how it is fetched once, and what is said where it cannot be had."""

import hashlib
import threading
from pathlib import Path
from typing import NamedTuple

from contracts.errors import ModelError
from contracts.settings import ModelsSettings

PULL = "`affectstream models pull`"


class UnavailableError(ModelError):
    """The file is not here and could not be fetched. (One that is here and damaged is a plain ModelError.)"""

    exit_code = 1


class ModelFile(NamedTuple):
    name: str
    url: str
    sha256: str


YUNET = ModelFile(
    name="face_detection_yunet_2023mar.onnx",
    # OpenCV Zoo keeps its models in Git LFS: raw.githubusercontent.com would answer with the pointer, not the model.
    url="https://media.githubusercontent.com/media/opencv/opencv_zoo/main/models/face_detection_yunet/"
    "face_detection_yunet_2023mar.onnx",
    sha256="8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
)

_fetching = threading.Lock()
_failed: dict[tuple[Path, str], str] = {}
"""Why a fetch failed, so that the next worker of this process does not wait for the same time-out again."""


def folder(models: ModelsSettings) -> Path:
    """Where model files are kept: the setting, or the user's cache."""
    if models.folder is not None:
        return models.folder.expanduser()
    from platformdirs import user_cache_path  # the room imports cheaply

    return user_cache_path("affectstream") / "models"


def yunet_path(models: ModelsSettings, file: ModelFile = YUNET) -> Path:
    """The checked model file, fetched first where it is missing and `models.download` allows it.

    Raises ModelError for a file with another checksum (it is never replaced unasked, nor silently passed over) and
    UnavailableError where there is none to be had.
    """
    path = folder(models) / file.name
    with _fetching:  # of several workers that start together, one fetches
        if path.exists():
            _verify(path, file)
            return path
        if not models.download:
            raise UnavailableError(f"there is no {path}, and models.download is off; {PULL} gets it")
        if reason := _failed.get((path, file.url)):
            raise UnavailableError(reason)
        try:
            return _fetch(path, file)
        except UnavailableError as error:
            _failed[path, file.url] = str(error)
            raise


def pull(models: ModelsSettings, file: ModelFile = YUNET) -> Path:
    """Fetches the model, whatever failed before; a good file is left alone, a damaged one replaced.

    Raises UnavailableError where it cannot be fetched; what was there stays as it was.
    """
    path = folder(models) / file.name
    with _fetching:
        if path.is_file() and _sha256(path) == file.sha256:
            return path
        _failed.pop((path, file.url), None)
        return _fetch(path, file)


def _verify(path: Path, file: ModelFile) -> None:
    try:
        actual = _sha256(path)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}") from error
    if actual != file.sha256:
        raise ModelError(
            f"{path} is damaged: SHA-256 {actual}, expected {file.sha256}; {PULL} replaces it (or delete it)"
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _fetch(path: Path, file: ModelFile) -> Path:
    from detector.fetching import fetch  # requests is slow to import and hardly ever needed

    try:
        fetch(file.url, path, file.sha256)
    except (OSError, ValueError) as error:
        raise UnavailableError(
            f"{file.name} could not be fetched from {file.url} ({_one_line(error)}); try again with {PULL}"
        ) from error
    return path


def _one_line(error: Exception) -> str:
    from requests import ConnectionError as NoConnectionError
    from requests import HTTPError, Timeout
    from requests.exceptions import ChunkedEncodingError

    match error:
        case HTTPError() if error.response is not None:
            return f"the server answered {error.response.status_code}"
        case Timeout():
            return "the server did not answer in time"
        case ChunkedEncodingError():
            return "the connection broke half-way"
        case NoConnectionError():
            return "no connection"
        case ValueError() if not isinstance(error, OSError):
            return "what came has another checksum"
    return getattr(error, "strerror", None) or str(error).partition("\n")[0]
