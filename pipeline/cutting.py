"""Photographs -> the faces in them, as the pipeline shows them to a model: what one of one's own is to learn from."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import msgspec
import numpy as np

from contracts.errors import InputError, StageError
from contracts.messages import U8, Picture
from contracts.stages import Detector


class Cutting(msgspec.Struct, kw_only=True):
    """What came of a folder of photographs, whose paths are told relative to it."""

    photographs: int
    faces: int = 0
    several: int = 0  # of which the largest face was taken
    left_out: dict[str, list[str]] = {}  # why -> photographs

    def leave_out(self, name: str, why: str) -> None:
        self.left_out.setdefault(why, []).append(name)


def make_empty(folder: Path) -> None:
    """Makes the folder, if need be. Raises InputError where it holds something or cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        filled = any(folder.iterdir())
    except OSError as error:
        raise InputError(f"{folder} cannot be written to: {error.strerror}") from None
    if filled:
        raise InputError(f"{folder} holds something already: name another folder")


def cut_tree(
    source: Path, output: Path, photographs: Sequence[Path], detector: Detector, report: Callable[[int, int], None]
) -> Cutting:
    """Writes the largest face of each photograph below `source` to the same place below `output`, as PNG.

    A photograph that cannot be searched and one without a face are left out, and named. `report` is told how many of
    how many are done. Raises InputError where `output` cannot be written to.
    """
    done = Cutting(photographs=len(photographs))
    targets = _targets([path.relative_to(source) for path in photographs])
    for number, (path, target) in enumerate(zip(photographs, targets, strict=True), 1):
        crop = _largest(path, str(path.relative_to(source)), detector, done)
        if crop is not None:
            _write(output / target, crop)
            done.faces += 1
        report(number, len(photographs))
    return done


def _targets(paths: Sequence[Path]) -> list[Path]:
    """a/b.jpg -> a/b.png, but a/b.jpg.png where another photograph may be called a/b.png."""
    short = [path.with_suffix(".png") for path in paths]
    long = [path.with_name(f"{path.name}.png") for path in paths]
    often = Counter(short + long)
    return [one if often[one] == 1 else other for one, other in zip(short, long, strict=True)]


def _largest(path: Path, name: str, detector: Detector, done: Cutting) -> U8 | None:
    """The crop u8[H, W, C] of the largest face; None where there is none to be had, which is noted."""
    picture = _read(path)
    if picture is None:
        done.leave_out(name, "cannot be read")
        return None
    try:
        (faces,) = detector.detect([picture])
    except StageError:
        done.leave_out(name, "is too small or too large to be searched")
        return None
    if not len(faces):
        done.leave_out(name, "has no face")
        return None
    done.several += len(faces) > 1
    largest = int(np.argmax(faces.boxes[:, 2] * faces.boxes[:, 3]))
    return np.asarray(faces.crops[largest], np.uint8)


def _read(path: Path) -> Picture | None:
    """u8[rows, columns, 3] BGR, upright as the camera says; None where that cannot be."""
    try:
        picture = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    except (OSError, cv2.error):
        return None
    return None if picture is None else np.asarray(picture, np.uint8)


def _write(path: Path, crop: U8) -> None:
    _, data = cv2.imencode(".png", crop)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from None
