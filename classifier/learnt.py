"""Which pictures a model has learnt from: who measures it on the data that it was made of is told so."""

import hashlib
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from classifier.datasets import Examples, Mask
from contracts.errors import ModelError

LEARNT_FILE: Final = "learnt.npy"


def write_learnt(folder: Path, learnt: Examples, begun: Path | None = None) -> None:
    """Writes the pictures' digests beside the model, and those of the model whose weights it began with.

    Raises ModelError where what that one says cannot be read.
    """
    before = _known(begun) if begun is not None else np.zeros(0, np.uint64)
    np.save(folder / LEARNT_FILE, np.union1d(_digests(learnt), before))


def learnt_by(folder: Path, examples: Examples) -> Mask:
    """bool[N]: which of these the model has learnt from; none where its folder does not say.

    Raises ModelError where what it says cannot be read.
    """
    return np.isin(_digests(examples), _known(folder))


def contents(examples: Examples) -> str:
    """A digest of a data set: its pictures, labels and splits, in their order."""
    parts = (examples.pictures.prints[0], examples.labels, examples.split, examples.votes)
    return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()


def _known(folder: Path) -> NDArray[np.uint64]:
    try:
        known: NDArray[np.uint64] = np.load(folder / LEARNT_FILE)
    except FileNotFoundError:
        return np.zeros(0, np.uint64)
    except (OSError, ValueError, EOFError) as error:
        raise ModelError(f"{folder / LEARNT_FILE} is damaged: {str(error).splitlines()[0]}") from None
    return known


def _digests(examples: Examples) -> NDArray[np.uint64]:
    return np.array([int(print_[:16], 16) for print_ in examples.pictures.prints[0]], np.uint64)
