"""What tilted heads cost, and what setting them upright by the detector's landmarks gives back (`CropSpec.upright`).

    python -m benchmarks.tilt --data fer2013.npz [--model default] [--degrees 20 ...] [--enlarged 4] [--upright 10]
        [--json tilt.json]

The faces are those that `train --preset ours` holds out of the training split, so that no test picture is looked at.
Each is enlarged with its edge repeated around it, tilted to one side or the other, found again by YuNet and cut out as
a live one is. Rows of the same tilt are of the same faces: those that were found. How large they are is in the table
because YuNet's landmarks follow the tilt of large faces only; so is the tilt that they show, as a median.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from benchmarks.framing import canvas
from benchmarks.result import Cell, Column, Table, conclude, from_shell, machine, positive, shell_command
from benchmarks.trainings import FIGURES, figures
from classifier.card import ModelCard, read_card
from classifier.datasets import Examples, load
from classifier.engine import Engine
from classifier.evaluation import VOTED, label_head
from classifier.folders import find_model
from classifier.quiet import choose_backend, native_stderr_held_back
from classifier.recipe import ours
from contracts.errors import InputError
from contracts.loading import load_settings
from contracts.messages import U8, Picture
from contracts.settings import DetectorSettings
from contracts.stages import CropSpec, Detector
from detector import crops, open_detector

COLUMNS: Final = (
    Column("heads"), Column("faces", digits=0), Column("side", "pixels", digits=0), Column("tilt", "degrees"), *FIGURES
)  # fmt: skip
DEGREES: Final = (0.0, 10.0, 20.0, 30.0, 45.0)
SCORE: Final = 0.6
"""FER2013's pictures are small and cut close: with the pipeline's 0.7 fewer of them are found."""


class Found(msgspec.Struct, frozen=True):
    """N faces that YuNet found again."""

    places: NDArray[np.int64]  # [N], among all that were searched for
    crops: list[U8]  # [N, H, W, C] by each way of cutting them out
    side: float  # the median of their boxes' mean sides, in pixels
    tilt: float  # the median of what the landmarks show, in degrees towards the side that a face was tilted to


def tilted(small: U8, degrees: float, enlarged: int) -> Picture:
    """u8[48, 48] -> u8[S, S, 3], enlarged and tilted by so many degrees, to the side that `side_of` says."""
    picture = canvas(small, enlarged)
    size = len(picture)
    turn = cv2.getRotationMatrix2D(((size - 1) / 2, (size - 1) / 2), -degrees * side_of(small), 1)
    return np.asarray(cv2.warpAffine(picture, turn, (size, size), borderMode=cv2.BORDER_REPLICATE), np.uint8)


def side_of(small: U8) -> int:
    """1 for clockwise, -1 for the other way: always the same for a picture."""
    return -1 if int(small.sum()) % 2 else 1


def find(detector: Detector, images: U8, degrees: float, enlarged: int, specs: Sequence[CropSpec]) -> Found:
    """Searches each of u8[N, 48, 48], tilted, for its face, and cuts it out by each of the specs.

    Raises InputError where none is found.
    """
    places: list[int] = []
    sides: list[float] = []
    shown: list[float] = []
    cuts: list[list[U8]] = [[] for _ in specs]
    for place, small in enumerate(images):
        picture = tilted(small, degrees, enlarged)
        (faces,) = detector.detect([picture])
        if not len(faces) or faces.landmarks is None:
            continue
        places.append(place)
        sides.append(float(np.sqrt(faces.boxes[0, 2] * faces.boxes[0, 3])))
        shown.append(float(crops.tilts(faces.landmarks)[0]) * side_of(small))
        for cut, spec in zip(cuts, specs, strict=True):
            cut.append(crops.cut(picture, faces.boxes[:1], spec, faces.landmarks[:1]))
    if not places:
        raise InputError(f"YuNet finds none of these faces tilted by {degrees:g} degrees")
    crops_of = [np.concatenate(cut) for cut in cuts]
    return Found(np.array(places), crops_of, float(np.median(sides)), float(np.median(shown)))


def rows(engine: Engine, found: Found, ways: Sequence[str], of: Examples, *, votes: bool) -> list[list[Cell]]:
    """A row for each way of cutting them out, against the labels or the votes of the faces that were found."""
    said = {way: engine.classify(cut) for way, cut in zip(ways, found.crops, strict=True)}
    compared = figures(said, of, votes=votes).items()
    return [[way, float(len(of)), found.side, found.tilt, *cells] for way, cells in compared]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="FER2013")
    parser.add_argument("--model", default="default", help="a model's folder or name")
    parser.add_argument("--degrees", type=float, action="append", help="of tilt; may be given several times")
    parser.add_argument("--enlarged", type=positive, default=4, help="so many times; 4 unless given")
    parser.add_argument("--upright", type=float, help="instead of what the model's card says")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    choose_backend()
    with native_stderr_held_back():
        from classifier.lessons import DIVISION, shares

    where, settings = machine(), load_settings(None, os.environ, {})
    folder = find_model(options.model, settings.models)
    card = read_card(folder)
    spec = _spec(card, options.upright)
    never = msgspec.structs.replace(spec, upright=None)
    detector = open_detector(DetectorSettings(name="yunet", min_score=SCORE), settings.models, never, note=print)
    _, held_out = shares(load(options.data).divided(DIVISION), ours("fern"))
    images = held_out.pictures.read(np.arange(len(held_out)), (48, 48))
    engines = {votes: Engine(folder, head=head) for votes, head in _heads(card, held_out).items()}
    measured: dict[bool, list[list[Cell]]] = {votes: [] for votes in engines}
    for degrees in options.degrees or DEGREES:
        met = find(detector, images, degrees, options.enlarged, (never, spec))
        ways = [f"{degrees:g} degrees, {way}" for way in ("as they are", f"upright from {spec.upright:g} on")]
        for votes, engine in engines.items():
            measured[votes] += rows(engine, met, ways, held_out.where(met.places), votes=votes)
    note = f"{len(held_out):,} pictures of {options.data.name} that training holds out"
    tables = [
        Table(title=f"tilted heads, against {'voters' if votes else 'labels'}", columns=COLUMNS, rows=table, note=note)
        for votes, table in measured.items()
    ]
    conclude("tilt", shell_command("tilt", arguments), where, tables, options.json)


def _spec(card: ModelCard, upright: float | None) -> CropSpec:
    chosen = card.crop.upright if upright is None else upright
    if chosen is None:
        raise InputError(f"the card of {card.name} leaves tilted heads as they are: try --upright 10")
    return msgspec.structs.replace(card.crop, upright=chosen)


def _heads(card: ModelCard, examples: Examples) -> dict[bool, str]:
    """{votes: the head that is compared with them}."""
    voted = {True: VOTED} if examples.voted and VOTED in card.heads else {}
    return {False: label_head(card), **voted}


if __name__ == "__main__":
    from_shell(main)
