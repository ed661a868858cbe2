"""The model card: everything that the detector and the engine need to know about a model, and what a person should.

It is `model.json` beside the weights, so that a model is a folder that can be copied.
"""

import hashlib
from pathlib import Path
from typing import Literal

import msgspec

from contracts.errors import ModelError
from contracts.stages import CropSpec

CARD_FILE = "model.json"
WEIGHTS_FILE = "model.keras"


class Training(msgspec.Struct, frozen=True, kw_only=True):
    """How the weights came to be."""

    command: str
    data: str
    images: int
    epochs: int
    seconds: float
    device: str
    without: str = ""  # this part of the pictures was left out: 2/3 is the second of three


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of the network: scores of `classes`, divided by `temperature` before the softmax."""

    meaning: str
    classes: tuple[str, ...]
    temperature: float = 1.0
    gives: Literal["logits", "probabilities"] = "logits"  # probabilities: the network ends in a softmax of its own


class ModelCard(msgspec.Struct, frozen=True, kw_only=True):
    format: int = 1
    name: str
    architecture: str
    parameters: int
    heads: dict[str, Head]
    default_head: str
    crop: CropSpec
    preprocessing: str
    training: Training
    accuracy: dict[str, float]
    accuracy_note: str
    limits: list[str]
    licence: str
    sha256: str  # of the weights file
    exports: dict[str, dict[str, str]] = {}  # runtime -> {file: SHA-256}


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_card(folder: Path, card: ModelCard) -> None:
    """Writes `model.json` into the folder."""
    (folder / CARD_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(card), indent=2) + b"\n")


def read_card(folder: Path) -> ModelCard:
    """Reads and checks a model folder: the card, and that the weights are the ones that it speaks of."""
    path = folder / CARD_FILE
    try:
        card = msgspec.json.decode(path.read_bytes(), type=ModelCard)
    except FileNotFoundError:
        raise ModelError(f"no model in {folder}: {CARD_FILE} is missing") from None
    except msgspec.DecodeError as error:
        raise ModelError(f"the model card {path} is damaged: {error}") from None
    except OSError as error:
        raise ModelError(f"the model card {path} cannot be read: {error.strerror}") from None
    if card.default_head not in card.heads:
        raise ModelError(f"the model card {path} is damaged: it has no head {card.default_head!r}")
    weights = folder / WEIGHTS_FILE
    if not weights.is_file():
        raise ModelError(f"the model in {folder} is incomplete: {WEIGHTS_FILE} is missing")
    if file_sha256(weights) != card.sha256:
        raise ModelError(f"the model in {folder} is damaged: {WEIGHTS_FILE} is not the file that {CARD_FILE} speaks of")
    return card
