"""What the detectors find and how fast: precision and recall, faces per frame, frames per second.

    python -m benchmarks.detectors [--json FILE]

Precision and recall are of the boxes that dlib's example photographs are labelled with (43 faces, frontal, some small),
matched greedily, best score first, each label once. Frames are decoded beforehand: the speed is the detectors' own,
crops included, on one thread of OpenCV unless --threads says otherwise.
"""

import argparse
import json
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.result import from_shell, positive
from contracts.errors import InputError
from contracts.messages import F32, Picture
from contracts.settings import DetectorSettings, ModelsSettings
from contracts.stages import CropSpec, Detector
from detector import open_detector

OVERLAPS = (0.4, 0.5)
VIDEOS = (
    "people.mp4",
    "stage_dark.mp4",
    "walk_by.mp4",
    "smile.mp4",
    "single_face.mp4",
    "no_face.mp4",
    "face_leaves.mov",
)
BATCH = 32


def labelled(folder: Path) -> Iterator[tuple[Picture, F32]]:
    """The photographs and their boxes f32[N, 4]; what dlib marks as to be ignored is left out."""
    for name in ("testing.xml", "training.xml"):
        for image in ET.parse(folder / name).iter("image"):
            boxes = [
                [float(box.get(key, "nan")) for key in ("left", "top", "width", "height")]
                for box in image.iter("box")
                if box.get("ignore") != "1"
            ]
            picture = cv2.imread(str(folder / image.get("file", "")))
            if picture is None:
                raise InputError(f"there is no picture {folder / image.get('file', '')}")
            yield np.asarray(picture, np.uint8), np.array(boxes, np.float32).reshape(-1, 4)


def overlaps(one: F32, other: F32) -> NDArray[np.float64]:
    """Intersection over union of boxes [N, 4] and [M, 4] -> f64[N, M]."""
    a, b = one[:, None].astype(np.float64), other[None].astype(np.float64)
    low = np.maximum(a[..., :2], b[..., :2])
    high = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    shared = np.prod(np.maximum(high - low, 0.0), axis=-1)
    union = np.prod(a[..., 2:], axis=-1) + np.prod(b[..., 2:], axis=-1) - shared
    return np.asarray(shared / np.maximum(union, 1e-9), np.float64)


def matches(found: F32, truth: F32, least: float) -> int:
    """How many of the boxes found, best first, take a label of their own."""
    table = overlaps(found, truth)
    hits = 0
    for row in range(len(found)):
        if table.shape[1] and table[row].max() >= least:
            table[:, table[row].argmax()] = 0.0
            hits += 1
    return hits


def accuracy(detector: Detector, folder: Path) -> dict[str, float]:
    pairs = [(detector.detect([picture])[0].boxes, truth) for picture, truth in labelled(folder)]
    found, there = sum(len(boxes) for boxes, _ in pairs), sum(len(truth) for _, truth in pairs)
    result: dict[str, float] = {"labelled": there, "found": found}
    for least in OVERLAPS:
        hits = sum(matches(boxes, truth, least) for boxes, truth in pairs)
        result[f"precision_{least}"] = round(hits / max(found, 1), 4)
        result[f"recall_{least}"] = round(hits / max(there, 1), 4)
    return result


def decode(path: Path) -> Iterator[list[Picture]]:
    """The frames of a recording, in batches. Raises InputError where it has none."""
    capture = cv2.VideoCapture(str(path))
    if not capture.grab():  # OpenCV takes what is not there for a recording of no frames
        raise InputError(f"{path} is no recording")
    capture = cv2.VideoCapture(str(path))
    batch: list[Picture] = []
    while True:
        more, picture = capture.read()
        if more:
            batch.append(np.asarray(picture, np.uint8))
        if batch and (not more or len(batch) == BATCH):
            yield batch
            batch = []
        if not more:
            return


def watch(detectors: list[Detector], path: Path) -> dict[str, float]:
    """Faces per frame and frames per second, the frames shared out among the detectors, one thread each."""
    frames = faces = 0
    seconds = 0.0
    with ThreadPoolExecutor(len(detectors)) as pool:
        for batch in decode(path):
            shares = [batch[i :: len(detectors)] for i in range(len(detectors))]
            begin = time.perf_counter()
            answers = list(pool.map(lambda pair: pair[0].detect(pair[1]), zip(detectors, shares, strict=True)))
            seconds += time.perf_counter() - begin
            frames += len(batch)
            faces += sum(len(found) for answer in answers for found in answer)
    return {
        "frames": frames,
        "faces": faces,
        "faces_per_frame": round(faces / max(frames, 1), 3),
        "fps": round(frames / max(seconds, 1e-9), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path(__file__).parents[2] / "shared")
    parser.add_argument("--detector", action="append", choices=("yunet", "haar"), help="only this one")
    parser.add_argument("--videos", nargs="*", default=VIDEOS, help="only these")
    parser.add_argument("--working-width", type=positive, help="instead of the default")
    parser.add_argument("--min-score", type=float, help="instead of the default")
    parser.add_argument("--workers", type=positive, default=1, help="detectors side by side, a thread each")
    parser.add_argument("--threads", type=positive, default=1, help="threads of OpenCV, for all workers together")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    cv2.setNumThreads(options.threads)
    chosen = {"working_width": options.working_width, "min_score": options.min_score}
    result: dict[str, Any] = {}
    for name in options.detector or ("yunet", "haar"):
        settings = DetectorSettings(name=name, **{k: v for k, v in chosen.items() if v is not None})
        models = ModelsSettings(folder=options.shared / "models", download=False)
        detectors = [open_detector(settings, models, CropSpec(), note=print) for _ in range(options.workers)]
        row = accuracy(detectors[0], options.shared / "images" / "labelled_boxes")
        print(f"{name}: working width {settings.working_width}, {options.workers} x {options.threads} threads")
        print(f"  {row['labelled']} labelled faces, {row['found']} found")
        for least in OVERLAPS:
            print(f"  IoU >= {least}: precision {row[f'precision_{least}']:.3f}  recall {row[f'recall_{least}']:.3f}")
        result[name] = {"labelled_boxes": row, "videos": {}, "settings": settings.model_dump()}
        for video in options.videos:
            seen = watch(detectors, options.shared / "videos" / video)
            result[name]["videos"][video] = seen
            print(
                f"  {video:16}{seen['frames']:6} frames {seen['faces_per_frame']:7.3f} faces each {seen['fps']:8.1f}/s"
            )
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    from_shell(main)
