"""Images in folders: a folder for each class, below a folder for each split where the data set has splits.

So come FER2013 (`train/`, `test/`) and CK+ (`anger/`, `contempt/`, …, 48x48) from where people get them.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from classifier.datasets.examples import SPLITS, UNSPLIT, Examples
from classifier.datasets.pictures import I64, OnDisk
from contracts.emotions import EMOTIONS
from contracts.errors import InputError

CLASSES: Final = {
    "angry": "angry", "anger": "angry",
    "disgust": "disgust", "disgusted": "disgust",
    "fear": "fear", "fearful": "fear", "afraid": "fear", "scared": "fear",
    "happy": "happy", "happiness": "happy", "joy": "happy",
    "sad": "sad", "sadness": "sad",
    "surprise": "surprise", "surprised": "surprise",
    "neutral": "neutral", "neutrality": "neutral",
    "contempt": None, "contemptuous": None,
}  # fmt: skip
"""folder name -> emotion; None for what is known and none of ours"""
TRAIN: Final = {"train", "training"}
VALIDATION: Final = {"val", "valid", "validation", "dev", "public", "publictest"}
TEST: Final = {"test", "testing", "private", "privatetest"}
IMAGES: Final = {".png", ".jpg", ".jpeg", ".bmp", ".pgm", ".tif", ".tiff", ".webp"}
HIDDEN: Final = (".", "__MACOSX")  # how the names begin of what programs keep beside pictures: previews, copies
CK_SUBJECT: Final = re.compile(r"S(\d{3})_\d{3}_\d{8}")


def read(root: Path) -> Examples:
    """Lists a tree; its pictures are decoded when they are used.

    A tree's only test folder is `public`, the split that a training looks at; beside a validation folder it is
    `private`. Raises InputError for a folder that names no emotion, a split without an image, or a tree without one.
    """
    root = _unwrapped(root)
    if {"cohn-kanade-images", "Emotion"} <= {folder.name for folder in _folders(root)}:
        raise InputError(
            f"{root} is CK+ with whole pictures: put them into a folder for each emotion and cut the faces out, "
            "with `affectstream data cut`"
        )
    names = {_plain(folder.name) for folder in _folders(root)}
    splits = [folder for folder in _folders(root) if _plain(folder.name) in TRAIN | VALIDATION | TEST]
    parts = [(_split(folder, names), folder) for folder in splits] or [(UNSPLIT, root)]
    if splits and (other := [folder for folder in _folders(root) if folder not in splits]):
        raise InputError(f"{other[0]} is neither a split nor a class: beside {splits[0].name}/ only splits can stand")
    paths: list[Path] = []
    labels: list[int] = []
    split: list[int] = []
    contempt = others = 0
    for number, folder in parts:
        before = len(paths)
        for emotion, path in _labelled(folder):
            if path.suffix.lower() not in IMAGES:
                others += 1
                continue
            if emotion is None:
                contempt += 1
                continue
            paths.append(path)
            labels.append(EMOTIONS.index(emotion))
            split.append(number)
        if len(paths) == before:
            raise InputError(f"{folder} has no image in a folder named like an emotion ({', '.join(EMOTIONS)})")
    notes = {
        f"left out: {contempt:,} of contempt, which is none of the seven emotions": contempt,
        f"left out: {others:,} whose names do not end as those of pictures do ({', '.join(sorted(IMAGES))})": others,
    }
    return Examples(
        pictures=OnDisk(paths), labels=np.array(labels, np.int64), split=np.array(split, np.int64),
        votes=np.zeros((len(paths), len(EMOTIONS)), np.float32), groups=_subjects(paths),
        notes=tuple(note for note, count in notes.items() if count),
    )  # fmt: skip


def _unwrapped(root: Path) -> Path:
    """Past folders that hold one folder and nothing else, as archives like to have them."""
    while len(inner := _folders(root)) == 1 and not _known(inner[0]):
        root = inner[0]
    return root


def _labelled(folder: Path) -> Iterator[tuple[str | None, Path]]:
    for inner in _folders(folder):
        name = _plain(inner.name)
        if name not in CLASSES:
            raise InputError(f"{inner} names no emotion: expected {', '.join(sorted(CLASSES))}")
        yield from ((CLASSES[name], path) for path in _files(inner))


def images(folder: Path) -> list[Path]:
    """The files in a folder, and in those in it, that are called like pictures.

    What is hidden is left out. Raises InputError for a folder that cannot be read.
    """
    return [path for path in _files(folder) if path.suffix.lower() in IMAGES]


def _files(folder: Path) -> list[Path]:
    found: list[Path] = []
    try:
        for name, folders, files in os.walk(folder, onerror=_raise):
            folders[:] = [inner for inner in folders if not inner.startswith(HIDDEN)]
            paths = (Path(name, file) for file in files if not file.startswith(HIDDEN))
            found.extend(path for path in paths if path.is_file())
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read: {error.strerror}") from None
    return sorted(found)


def _raise(error: OSError) -> None:
    raise error


def _split(folder: Path, names: set[str]) -> int:
    name = _plain(folder.name)
    if name in TRAIN:
        return SPLITS["train"]
    return SPLITS["private" if name in TEST and names & VALIDATION else "public"]


def _known(folder: Path) -> bool:
    return _plain(folder.name) in CLASSES.keys() | TRAIN | VALIDATION | TEST


def _plain(name: str) -> str:
    """`03_Happy` and `happy` are the same."""
    return re.sub(r"^[\d\W_]+(?=[a-z])", "", name.lower()).strip()


def _folders(root: Path) -> list[Path]:
    try:
        return sorted(path for path in root.iterdir() if path.is_dir() and path.name[0] not in "._")
    except OSError as error:
        raise InputError(f"{root} cannot be read: {error.strerror}") from None


def _subjects(paths: list[Path]) -> I64 | None:
    """Who is shown, where all files are named as CK+ names them; None where that is unknown."""
    found = [CK_SUBJECT.match(path.name) for path in paths]
    return np.array([int(match[1]) for match in found if match], np.int64) if all(found) else None
