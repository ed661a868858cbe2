"""The model card: everything that the detector and the engine need to know about a model, and what a person should.

It is `model.json` beside the weights, so that a model is a folder that can be copied.
"""

import hashlib
import math
from pathlib import Path
from typing import Final, Literal

import msgspec

from contracts.emotions import EMOTIONS
from contracts.errors import ModelError
from contracts.stages import CropSpec

CARD_FILE = "model.json"
WEIGHTS_FILE = "model.keras"
FORMAT: Final = 1


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
    format: int = FORMAT
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
    """Writes `model.json` into the folder: the whole card, or none where the disk is full."""
    fresh = folder / f"{CARD_FILE}.new"
    try:
        fresh.write_bytes(msgspec.json.format(msgspec.json.encode(card), indent=2) + b"\n")
        fresh.replace(folder / CARD_FILE)
    finally:
        fresh.unlink(missing_ok=True)


def read_card(folder: Path) -> ModelCard:
    """Reads and checks a model folder: the card, and that the weights are the ones that it speaks of."""
    path, weights = folder / CARD_FILE, folder / WEIGHTS_FILE
    try:
        text = path.read_bytes()
        if (known := msgspec.json.decode(text, type=_Format).format) != FORMAT:
            raise ModelError(f"the model card {path} is of format {known}, this version of affectstream reads {FORMAT}")
        card = msgspec.json.decode(text, type=ModelCard)
        if (wrong := _wrong(card)) is not None:
            raise ModelError(f"the model card {path} is damaged: {wrong}")
        if not weights.is_file():
            raise ModelError(f"the model in {folder} is incomplete: {WEIGHTS_FILE} is missing")
        if file_sha256(weights) != card.sha256:
            raise ModelError(
                f"the model in {folder} is damaged: {WEIGHTS_FILE} is not the file that {CARD_FILE} speaks of"
            )
    except FileNotFoundError:
        raise ModelError(f"no model in {folder}: {CARD_FILE} is missing") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"the model card {path} is damaged: {error}") from None
    except OSError as error:
        raise ModelError(f"the model in {folder} cannot be read: {error.strerror}") from None
    return card


class _Format(msgspec.Struct):
    """What is read of a card first: the rest may be of another kind."""

    format: int = FORMAT


def _wrong(card: ModelCard) -> str | None:
    """What a card says that cannot be."""
    if card.default_head not in card.heads:
        return f"it has no head {card.default_head!r}"
    for name, head in card.heads.items():
        if not 0 < head.temperature < math.inf:
            return f"the temperature of the head {name} is {head.temperature}, and must be more than 0"
        if unknown := [one for one in head.classes if one not in EMOTIONS]:
            return f"the head {name} names {unknown[0]!r}, which is no emotion: there are {', '.join(EMOTIONS)}"
        if len(head.classes) < 2 or len(set(head.classes)) < len(head.classes):
            return f"the head {name} needs two classes or more, each once: it has {', '.join(head.classes) or 'none'}"
    return None
