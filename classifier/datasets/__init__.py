"""Labelled faces for training and measuring. `load` is the door: it tells what a path holds and reads it."""

from pathlib import Path

from classifier.datasets.examples import FRAMING, SPLITS, Examples
from classifier.datasets.pictures import I64, Mask
from contracts.errors import InputError

__all__ = ["FRAMING", "I64", "SPLITS", "Examples", "Mask", "load"]


def load(path: Path) -> Examples:
    """Reads a data set: FER2013 as an `.npz` or as Kaggle's CSV, or a folder with a folder of images for each class.

    Raises InputError, in one line, for what is missing, unreadable, damaged, or of the wrong shape.
    """
    from classifier.datasets import fer2013, trees

    path = path.expanduser()
    if path.is_dir():
        return trees.read(path)
    readers = {".npz": fer2013.read_npz, ".csv": fer2013.read_csv}
    if path.suffix.lower() not in readers:
        raise InputError(f"{path} is no data set: expected a folder, or a file that ends in {' or '.join(readers)}")
    if not path.is_file():
        raise InputError(f"no data set at {path}")
    return readers[path.suffix.lower()](path)
