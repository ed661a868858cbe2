"""How FER2013's pictures are framed relative to the box that a detector draws around the face.

Live crops have to be framed as the training pictures are. Two ways of measuring it, which should agree:

- directly: each picture is enlarged with its edge repeated around it (so that a box may reach over the edge), searched,
  and the picture's own square is measured in units of the box's geometric mean side: how large it is
  (`CropSpec.scale`) and how far its centre lies below the box's (`CropSpec.shift_y`). FER2013 often cuts off the chin,
  which moves YuNet's boxes, and differently at each size;
- over Haar: FER2013 was collected with such a detector, and its squares lie in the pictures with the least spread;
  where they lie relative to YuNet's boxes is measured on photographs of whole people, where YuNet is at home.

    python -m benchmarks.framing [--json FILE]
"""

import argparse
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.result import from_shell, positive
from detector.haar import CASCADE

Find = Callable[[NDArray[np.uint8]], NDArray[np.float64]]
"""A picture u8[H, W, 3] -> boxes f64[N, 4], best first."""

BORDER = 24  # source pixels repeated on each side
COLUMNS = ("scale", "shift_x", "shift_y", "aspect")


def canvas(small: NDArray[np.uint8], enlarge: int) -> NDArray[np.uint8]:
    """u8[48, 48] -> u8[S, S, 3], the picture in the middle half."""
    large = cv2.resize(small, None, fx=enlarge, fy=enlarge, interpolation=cv2.INTER_CUBIC)
    edge = BORDER * enlarge
    framed = cv2.copyMakeBorder(large, edge, edge, edge, edge, cv2.BORDER_REPLICATE)
    return np.asarray(cv2.cvtColor(framed, cv2.COLOR_GRAY2BGR), np.uint8)


def yunet(model: Path, min_score: float) -> Find:
    net = cv2.FaceDetectorYN.create(str(model), "", (320, 320), min_score, 0.3, 100)

    def find(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
        net.setInputSize((picture.shape[1], picture.shape[0]))
        found: Any = net.detect(picture)[1]
        if found is None:
            return np.empty((0, 4))
        return np.asarray(found[np.argsort(-found[:, 14]), :4], np.float64)

    return find


def haar() -> Find:
    net = cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data" / CASCADE))

    def find(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
        grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
        boxes, neighbours = net.detectMultiScale2(grey, scaleFactor=1.05, minNeighbors=3, minSize=(40, 40))
        return np.asarray(boxes, np.float64).reshape(-1, 4)[np.argsort(-np.asarray(neighbours).ravel())]

    return find


def relation(inner: NDArray[np.float64], outer: NDArray[np.float64]) -> list[float]:
    """A box and the one to be expressed in it: scale, shift_x, shift_y, and the first one's aspect."""
    mean = np.sqrt(inner[2] * inner[3])
    shift = (outer[:2] + outer[2:] / 2 - inner[:2] - inner[2:] / 2) / mean
    return [float(np.sqrt(outer[2] * outer[3]) / mean), float(shift[0]), float(shift[1]), float(inner[2] / inner[3])]


def summary(rows: list[list[float]], tried: int) -> dict[str, float]:
    """Medians and interquartile ranges."""
    low, median, high = np.percentile(np.array(rows), [25, 50, 75], axis=0)
    result: dict[str, float] = {}
    for i, name in enumerate(COLUMNS):
        result |= {name: round(float(median[i]), 4), f"{name}_iqr": round(float(high[i] - low[i]), 4)}
    return result | {"found": round(len(rows) / tried, 4), "faces": len(rows)}


def direct(pictures: NDArray[np.uint8], find: Find, enlarge: int) -> dict[str, float]:
    square = np.array([BORDER, BORDER, 48.0, 48.0]) * enlarge
    found = [find(canvas(small, enlarge)) for small in pictures]
    return summary([relation(boxes[0], square) for boxes in found if len(boxes)], len(pictures))


def compared(pictures: Iterable[NDArray[np.uint8]], find: Find, find_square: Find) -> dict[str, float]:
    """Haar's squares in units of YuNet's boxes, over the faces that both found."""
    rows, tried = [], 0
    for picture in pictures:
        boxes, squares = find(picture), find_square(picture)
        tried += len(boxes)
        for box in boxes:
            middle = box[:2] + box[2:] / 2
            reach = 0.4 * np.sqrt(box[2] * box[3])
            near = [s for s in squares if np.hypot(*(s[:2] + s[2:] / 2 - middle)) < reach]
            rows += [relation(box, square) for square in near[:1]]
    return summary(rows, tried)


def photographs(folder: Path) -> Iterator[NDArray[np.uint8]]:
    """Every JPEG below the folder, at most 1,000 pixels wide."""
    for path in sorted(folder.rglob("*.jpg")):
        picture = cv2.imread(str(path))
        if picture is not None:
            ratio = min(1.0, 1000 / picture.shape[1])
            yield np.asarray(cv2.resize(picture, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA), np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shared = Path(__file__).parents[2] / "shared"
    parser.add_argument("--shared", type=Path, default=shared, help="folder with data/fer2013.npz, images and models")
    parser.add_argument("--pictures", type=positive, default=1500)
    parser.add_argument("--min-score", type=float, default=0.7)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    with np.load(options.shared / "data" / "fer2013.npz") as data:
        images = data["images"]
    chosen = np.random.default_rng(0).choice(len(images), min(options.pictures, len(images)), replace=False)
    find = yunet(options.shared / "models" / "face_detection_yunet_2023mar.onnx", options.min_score)
    square = haar()
    result = {
        "yunet": direct(images[chosen], find, 4),
        "yunet_small": direct(images[chosen], find, 2),
        "haar": direct(images[chosen], square, 4),
        "haar_in_yunet": compared(photographs(options.shared / "images"), find, square),
    }
    over, fer = result["haar_in_yunet"], result["haar"]
    chained = {
        "scale": round(fer["scale"] * over["scale"], 4),
        "shift_y": round(over["shift_y"] + fer["shift_y"] * over["scale"], 4),
    }
    print(f"{'':14}{'found':>7}" + "".join(f"{name:>9}{'(iqr)':>8}" for name in COLUMNS))
    for name, row in result.items():
        print(f"{name:14}{row['found']:7.3f}" + "".join(f"{row[c]:9.3f}{row[c + '_iqr']:8.3f}" for c in COLUMNS))
    print(f"{'over haar':14}{'':7}{chained['scale']:9.3f}{'':25}{chained['shift_y']:9.3f}")
    if options.json:
        options.json.write_text(json.dumps({**result, "yunet_over_haar": chained}, indent=2) + "\n")


if __name__ == "__main__":
    from_shell(main)
