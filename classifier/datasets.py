"""Labelled faces for training and measuring: FER2013 as an `.npz`, with FER+ votes where the file has them."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from contracts.emotions import EMOTIONS
from contracts.errors import InputError
from contracts.messages import F32, U8
from contracts.stages import CropSpec

I64: TypeAlias = NDArray[np.int64]
Mask: TypeAlias = NDArray[np.bool_]

SPLITS: Final = {"train": 0, "public": 1, "private": 2}

# The columns of FER+ (Barsoum et al., 2016) that vote for one of our seven, in the order of EMOTIONS. The rest are
# contempt, unknown and "not a face".
PLUS_COLUMNS: Final = (4, 5, 6, 1, 3, 2, 0)


FRAMING: Final = CropSpec(height=48, width=48, channels=1, scale=1.13, shift_y=-0.01)
"""How FER2013 is cut, relative to YuNet's face boxes: the medians that benchmarks/framing.py measures."""


class Examples(msgspec.Struct, frozen=True, kw_only=True):
    """N labelled faces."""

    images: U8  # [N, 48, 48]
    labels: I64  # [N], indices into EMOTIONS
    votes: F32  # [N, 7] FER+ votes for the seven as shares; all 0 where nobody voted for one of them
    split: I64  # [N], values of SPLITS

    def __len__(self) -> int:
        return len(self.images)

    def where(self, mask: Mask) -> "Examples":
        """The examples for which the mask is true."""
        return Examples(
            images=self.images[mask], labels=self.labels[mask], votes=self.votes[mask], split=self.split[mask]
        )

    def of(self, split: str) -> "Examples":
        """The examples of one split, by name; `all` for all."""
        return self if split == "all" else self.where(self.split == SPLITS[split])

    def twins_in(self, other: "Examples") -> Mask:
        """bool[N]: which of these have an exact duplicate among the others."""
        known = {image.tobytes() for image in other.images}
        return np.fromiter((image.tobytes() in known for image in self.images), dtype=bool, count=len(self))

    def blank(self) -> Mask:
        """bool[N]: which pictures are one even colour."""
        flat = self.images.reshape(len(self), -1)
        return np.asarray(flat.min(axis=1) == flat.max(axis=1))


def load(path: Path) -> Examples:
    """Reads a data set. Raises InputError, in one line, for what is missing, unreadable or of the wrong shape."""
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path} is no data set: expected a file that ends in {', '.join(_READERS)}")
    if not path.is_file():
        raise InputError(f"no data set at {path}")
    return reader(path)


def _read_npz(path: Path) -> Examples:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            images, labels = arrays["images"], arrays["labels"].astype(np.int64)
            split = arrays["split"].astype(np.int64)
            plus = arrays["plus_votes"] if "plus_votes" in arrays else np.zeros((len(images), 10), np.uint8)
    except KeyError as error:
        raise InputError(f"{path} is no FER2013 data set: {error.args[0]}") from None
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} cannot be read as an .npz file: {error}") from None
    if images.ndim != 3 or images.shape[1:] != (48, 48) or images.dtype != np.uint8:
        raise InputError(f"{path}: images are {images.dtype}{list(images.shape)}, expected uint8[N, 48, 48]")
    if len(labels) != len(images) or len(split) != len(images) or len(plus) != len(images):
        raise InputError(f"{path}: images, labels and split differ in length")
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(EMOTIONS):
        raise InputError(f"{path}: labels must lie between 0 and {len(EMOTIONS) - 1}")
    return Examples(images=images, labels=labels, votes=_shares(plus), split=split)


def _shares(plus: U8) -> F32:
    votes = plus[:, PLUS_COLUMNS].astype(np.float32)
    totals = votes.sum(axis=1, keepdims=True)
    return np.asarray(votes / np.maximum(totals, 1), dtype=np.float32)


_READERS: Final[dict[str, Callable[[Path], Examples]]] = {".npz": _read_npz}
