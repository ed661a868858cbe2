"""FER2013 as one file: an `.npz` of arrays, with FER+ votes where it has them, or the CSV of the Kaggle competition."""

import csv
import sys
import zipfile
from pathlib import Path
from typing import Final

import numpy as np

from classifier.datasets.examples import SPLITS, UNSPLIT, Examples
from classifier.datasets.pictures import InMemory
from contracts.emotions import EMOTIONS
from contracts.errors import InputError
from contracts.messages import F32, U8

SIDE: Final = 48
CONTEMPT: Final = len(EMOTIONS)  # CK+ in the same CSV format has an eighth label
USAGES: Final = {"training": "train", "publictest": "public", "privatetest": "private"}

# The columns of FER+ (Barsoum et al., 2016) that vote for one of our seven, in the order of EMOTIONS. The rest are
# contempt, unknown and "not a face".
PLUS_COLUMNS: Final = (4, 5, 6, 1, 3, 2, 0)
PLUS_FILE: Final = "fer2013new.csv"


def read_npz(path: Path) -> Examples:
    """Arrays `images` u8[N, 48, 48], `labels` [N], `split` [N] and, where there are any, `plus_votes` u8[N, 10]."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            images, labels = arrays["images"], arrays["labels"].astype(np.int64)
            split = arrays["split"].astype(np.int64)
            plus = arrays["plus_votes"] if "plus_votes" in arrays else np.zeros((len(images), 10), np.uint8)
    except KeyError as error:
        raise InputError(f"{path} is no FER2013 data set: {error.args[0]}") from None
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} cannot be read as an .npz file: {error}") from None
    if images.ndim != 3 or images.shape[1:] != (SIDE, SIDE) or images.dtype != np.uint8:
        raise InputError(f"{path}: images are {images.dtype}{list(images.shape)}, expected uint8[N, {SIDE}, {SIDE}]")
    if not len(labels) == len(split) == len(plus) == len(images):
        raise InputError(f"{path}: images, labels and split differ in length")
    if not len(images):
        raise InputError(f"{path} has no picture")
    if not 0 <= labels.min() <= labels.max() < len(EMOTIONS):
        raise InputError(f"{path}: labels must lie between 0 and {len(EMOTIONS) - 1}")
    if not np.isin(split, [*SPLITS.values()]).all():
        raise InputError(f"{path}: the values of split must be 0 (train), 1 (public) or 2 (private)")
    return Examples(pictures=InMemory(images), labels=labels, votes=_shares(plus), split=split, head="fer2013")


def read_csv(path: Path) -> Examples:
    """Columns `emotion` (0 to 6), `pixels` (2,304 numbers) and `Usage`; FER+'s `fer2013new.csv` beside it is used."""
    images: list[U8] = []
    labels: list[int] = []
    split: list[int] = []
    rows: list[int] = []  # of the file, counting data rows from 0, for the votes
    contempt = 0
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    try:
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            reader = csv.DictReader(file)
            reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or []]
            if missing := {"emotion", "pixels"} - set(reader.fieldnames):
                raise InputError(f"{path} is no FER2013 data set: it has no column {', '.join(sorted(missing))}")
            for number, row in enumerate(reader):
                where = f"{path}, line {reader.line_num}"
                label = _label(row["emotion"], where)
                if label == CONTEMPT:
                    contempt += 1
                    continue
                images.append(_pixels(row["pixels"], where))
                labels.append(label)
                split.append(_usage(row.get("usage"), where))
                rows.append(number)
    except (OSError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a CSV file: {error}") from None
    if not images:
        raise InputError(f"{path} has no picture")
    plus = path.with_name(PLUS_FILE)
    votes = _plus(plus)[rows] if plus.is_file() else np.zeros((len(images), len(EMOTIONS)), np.float32)
    notes = (f"{contempt:,} pictures of contempt are left out: it is none of the seven emotions",) if contempt else ()
    return Examples(
        pictures=InMemory(np.stack(images)), labels=np.array(labels, np.int64), votes=votes,
        split=np.array(split, np.int64), head="labels" if contempt else "fer2013", notes=notes,
    )  # fmt: skip


def _label(text: str | None, where: str) -> int:
    label = int(text) if text is not None and text.strip().isdigit() else -1
    if not 0 <= label <= CONTEMPT:
        raise InputError(f"{where}: emotion is {text!r}, expected 0 to {len(EMOTIONS) - 1}")
    return label


def _pixels(text: str | None, where: str) -> U8:
    try:
        values = np.array((text or "").split(), np.int64)
    except (ValueError, OverflowError):
        raise InputError(f"{where}: pixels holds something that is no number") from None
    if len(values) != SIDE * SIDE:
        raise InputError(f"{where}: {len(values):,} pixels, expected {SIDE * SIDE:,} ({SIDE}x{SIDE})")
    if values.min() < 0 or values.max() > 255:
        raise InputError(f"{where}: a pixel is {values.min() if values.min() < 0 else values.max()}, expected 0 to 255")
    return values.astype(np.uint8).reshape(SIDE, SIDE)


def _usage(text: str | None, where: str) -> int:
    if text is None or not text.strip():
        return UNSPLIT
    name = USAGES.get(text.strip().lower())
    if name is None:
        raise InputError(f"{where}: Usage is {text!r}, expected Training, PublicTest or PrivateTest")
    return SPLITS[name]


def _plus(path: Path) -> F32:
    """FER+'s own CSV, a row for each of FER2013's: f32[N, 7]."""
    try:
        table = np.genfromtxt(path, delimiter=",", skip_header=1, usecols=range(2, 12), dtype=np.int64)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as FER+'s CSV: {str(error).splitlines()[0]}") from None
    return _shares(np.atleast_2d(table))


def _shares(plus: np.ndarray[tuple[int, ...], np.dtype[np.integer]]) -> F32:
    votes = plus[:, PLUS_COLUMNS].astype(np.float32)
    totals = votes.sum(axis=1, keepdims=True)
    return np.asarray(votes / np.maximum(totals, 1), dtype=np.float32)
