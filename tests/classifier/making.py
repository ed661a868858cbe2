"""Data sets that a tiny network learns in seconds, and recipes for it."""

import csv
from pathlib import Path

import cv2
import msgspec
import numpy as np

from classifier.datasets import Examples
from classifier.datasets.pictures import InMemory
from classifier.recipe import Distortion, Phase, Recipe
from contracts.messages import U8

QUICK = Recipe(
    architecture="cnn2", phases=(Phase(epochs=8, rate=3e-3, averaged=0.03),), batch_size=32, votes=1.0,
    distortion=Distortion(shift=0.05, brightness=0.1),
)  # fmt: skip


def stripes(count: int, seed: int) -> Examples:
    """Seven patterns that a network can tell apart, with noise; the last fifth is PublicTest."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 7, count)
    votes = np.eye(7, dtype=np.float32)[labels]
    split = (np.arange(count) >= count * 4 // 5).astype(np.int64)
    return Examples(
        pictures=InMemory(pictures_of(labels, random)), labels=labels, votes=votes, split=split, head="fer2013"
    )


def pictures_of(labels: np.ndarray[tuple[int, ...], np.dtype[np.int64]], random: np.random.Generator) -> U8:
    """u8[N, 48, 48]: waves whose direction tells the label."""
    y, x = np.mgrid[:48, :48]
    waves = [np.sin((x * np.cos(a) + y * np.sin(a)) / 3) for a in np.linspace(0, np.pi, 7, endpoint=False)]
    images = np.stack([waves[label] for label in labels]) * 60 + 128 + random.normal(0, 10, (len(labels), 48, 48))
    return np.asarray(images.clip(0, 255), np.uint8)


def write_npz(path: Path, data: Examples) -> Path:
    """The data without its votes."""
    np.savez(path, images=data.pictures.read(np.arange(len(data)), (48, 48)), labels=data.labels, split=data.split)
    return path


def write_csv(path: Path, labels: list[int], usages: list[str], seed: int = 0) -> Path:
    """A FER2013 CSV of stripes."""
    images = pictures_of(np.array(labels), np.random.default_rng(seed))
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["emotion", "pixels", "Usage"])
        for label, image, usage in zip(labels, images, usages, strict=True):
            writer.writerow([label, " ".join(map(str, image.ravel())), usage])
    return path


def write_tree(root: Path, folders: dict[str, int], size: tuple[int, int] = (48, 48), seed: int = 0) -> Path:
    """A tree with so many random pictures in each folder, each named as its number."""
    random = np.random.default_rng(seed)
    for folder, count in folders.items():
        (root / folder).mkdir(parents=True)
        for number in range(count):
            cv2.imwrite(str(root / folder / f"{number:03}.png"), random.integers(0, 256, size, np.uint8))
    return root


def with_phases(recipe: Recipe, *phases: Phase) -> Recipe:
    return msgspec.structs.replace(recipe, phases=phases)
