"""FER2013 as one file: an `.npz` of arrays, with FER+ votes where it has them, or the CSV of the Kaggle competition."""

import csv
import sys
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from textwrap import shorten
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from classifier.datasets.examples import SPLITS, UNSPLIT, Examples
from classifier.datasets.pictures import I64, InMemory
from contracts.emotions import EMOTIONS
from contracts.errors import InputError
from contracts.messages import F32, U8

SIDE: Final = 48
CONTEMPT: Final = len(EMOTIONS)  # CK+ in the same CSV format has an eighth label
USAGES: Final = {"training": "train", "publictest": "public", "privatetest": "private"}

# The columns of FER+ (Barsoum et al., 2016) that vote for one of our seven, in the order of EMOTIONS. The rest are
# contempt, unknown and "not a face".
PLUS_COLUMNS: Final = (4, 5, 6, 1, 3, 2, 0)
PLUS_NAMES: Final = (
    "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "nf",
)  # fmt: skip
PLUS_FILE: Final = "fer2013new.csv"
MOST_VOTES: Final = 255  # what a byte holds: FER+ asked ten people

ARRAYS: Final = ("images", "labels", "split", "plus_votes")
NUMBERS: Final = "iuf"  # kinds of numpy's types


def read_npz(path: Path) -> Examples:
    """Arrays `images` u8[N, 48, 48], `labels` [N], `split` [N] and, where there are any, `plus_votes` u8[N, 10]."""
    arrays = _arrays(path)
    if missing := {"images", "labels", "split"} - set(arrays):
        raise InputError(f"{path} is no FER2013 data set: it has no array {', '.join(sorted(missing))}")
    images, labels, split = arrays["images"], arrays["labels"], arrays["split"]
    if images.ndim != 3 or images.shape[1:] != (SIDE, SIDE) or images.dtype != np.uint8:
        raise InputError(f"{path}: images are {images.dtype}{list(images.shape)}, expected uint8[N, {SIDE}, {SIDE}]")
    if not len(images):
        raise InputError(f"{path} has no picture")
    for name, values in (("labels", labels), ("split", split)):
        if values.ndim != 1:
            raise InputError(f"{path}: {name} are {values.dtype}{list(values.shape)}, expected a number for each image")
    if not len(labels) == len(split) == len(images):
        raise InputError(f"{path}: images, labels and split differ in length")
    if not _are(labels, range(len(EMOTIONS))):
        raise InputError(f"{path}: labels must lie between 0 and {len(EMOTIONS) - 1}, as whole numbers")
    if not _are(split, SPLITS.values()):
        raise InputError(f"{path}: the values of split must be 0 (train), 1 (public) or 2 (private)")
    plus = arrays.get("plus_votes", np.zeros((len(images), len(PLUS_NAMES)), np.uint8))
    if plus.shape != (len(images), len(PLUS_NAMES)):
        raise InputError(f"{path}: plus_votes are {list(plus.shape)}, expected [{len(images)}, {len(PLUS_NAMES)}]")
    if plus.dtype.kind not in NUMBERS or not ((plus >= 0) & (plus <= MOST_VOTES)).all():
        raise InputError(f"{path}: plus_votes must be numbers between 0 and {MOST_VOTES}")
    return Examples(
        pictures=InMemory(images), labels=labels.astype(np.int64), votes=_shares(plus), split=split.astype(np.int64),
        head="fer2013",
    )  # fmt: skip


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with zipfile.ZipFile(path), np.load(path, allow_pickle=False) as arrays:
            return {name: np.asarray(arrays[name]) for name in ARRAYS if name in arrays}
    except Exception as error:  # noqa: BLE001  (damaged bytes can break zipfile, zlib and numpy in any way)
        why = shorten(str(error), 100) or "it is damaged"
        raise InputError(f"{path} cannot be read as an .npz file: {why}") from None


def _are(values: NDArray[Any], allowed: Iterable[int]) -> bool:
    return values.dtype.kind in NUMBERS and bool(np.isin(values, [*allowed]).all())


def read_csv(path: Path) -> Examples:
    """Columns `emotion` (0 to 6), `pixels` (2,304 numbers) and `Usage`; FER+'s `fer2013new.csv` beside it is used."""
    images: list[U8] = []
    labels: list[int] = []
    usages: list[int] = []  # of all rows
    places: list[int] = []  # of the rows that are taken
    for where, row in _rows(path, {"emotion", "pixels"}, "FER2013 data set"):
        usages.append(_usage(row.get("usage"), where))
        label = _label(row["emotion"], where)
        if label == CONTEMPT:
            continue
        images.append(_pixels(row["pixels"], where))
        labels.append(label)
        places.append(len(usages) - 1)
    if not images:
        raise InputError(f"{path} has no picture")
    plus, split, contempt = path.with_name(PLUS_FILE), np.array(usages, np.int64), len(usages) - len(images)
    votes = _plus(plus, path, split)[places] if plus.is_file() else np.zeros((len(images), len(EMOTIONS)), np.float32)
    notes = (f"left out: {contempt:,} of contempt, which is none of the seven emotions",) if contempt else ()
    return Examples(
        pictures=InMemory(np.stack(images)), labels=np.array(labels, np.int64), votes=votes, split=split[places],
        head="labels" if contempt else "fer2013", notes=notes,
    )  # fmt: skip


def _rows(path: Path, needed: set[str], what: str) -> Iterator[tuple[str, dict[str, str | None]]]:
    """The rows of a CSV, by column in small letters, each with the words for where it stands."""
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
            reader = csv.DictReader(file)
            reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or []]
            if missing := needed - set(reader.fieldnames):
                raise InputError(f"{path} is no {what}: it has no column {', '.join(sorted(missing))}")
            for row in reader:
                yield f"{path}, line {reader.line_num}", row
    except (OSError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a CSV file: {error}") from None


def _label(text: str | None, where: str) -> int:
    try:
        label = int(text or "")
    except ValueError:
        label = -1
    if not 0 <= label <= CONTEMPT:
        raise InputError(f"{where}: emotion is {text!r:.40}, expected 0 to {len(EMOTIONS) - 1}")
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
        raise InputError(f"{where}: Usage is {text!r:.40}, expected Training, PublicTest or PrivateTest")
    return SPLITS[name]


def _plus(path: Path, beside: Path, split: I64) -> F32:
    """FER+'s own CSV, a row for each of FER2013's: f32[N, 7]. The rows have nothing in common but order and `Usage`."""
    votes: list[list[float]] = []
    usages: list[int] = []
    for where, row in _rows(path, {"usage", *PLUS_NAMES}, "file of FER+ votes"):
        usages.append(_usage(row["usage"], where))
        votes.append([_vote(row[name], name, where) for name in PLUS_NAMES])
    if len(votes) != len(split):
        why = f"it has {len(votes):,} rows, and not {len(split):,}"
    elif len(others := np.flatnonzero(np.array(usages) != split)):
        why = f"row {others[0] + 1:,} has another Usage"
    else:
        return _shares(np.array(votes))
    raise InputError(f"{path} does not belong to {beside.name} beside it: {why}; move it away, or take the right one")


def _vote(text: str | None, name: str, where: str) -> float:
    try:
        vote = float(text or "")
    except ValueError:
        vote = -1
    if not 0 <= vote <= MOST_VOTES:
        raise InputError(f"{where}: {name} is {text!r:.40}, expected a number of votes")
    return vote


def _shares(plus: NDArray[Any]) -> F32:
    votes = plus[:, PLUS_COLUMNS].astype(np.float32)
    totals = votes.sum(axis=1, keepdims=True)
    return np.asarray(votes / np.where(totals > 0, totals, 1), dtype=np.float32)
