"""Pictures of a training and of a measurement, for people."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure

from classifier import metrics
from classifier.datasets import I64
from classifier.evaluation import Answers, Measured
from contracts.emotions import COLOURS

OURS: Final = "#0072B2"
OTHER: Final = "#D55E00"
MISTAKES: Final = 32


def draw(folder: Path, answers: Answers, measured: Measured, history: Sequence[dict[str, float]] = ()) -> list[Path]:
    """Writes the pictures as PNG files into a folder; returns their paths."""
    figures = {"confusion": _confusion(measured), "classes": _classes(measured), "calibration": _calibration(answers)}
    if (wrong := _mistakes(answers)) is not None:
        figures["mistakes"] = wrong
    if measured.robustness:
        figures["robustness"] = _robustness(measured)
    if history:
        figures["history"] = _history(history)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, figure in figures.items():
        paths.append(folder / f"{name}.png")
        figure.savefig(paths[-1], dpi=110)
    return paths


def _history(history: Sequence[dict[str, float]]) -> Figure:
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    epochs = [row["epoch"] for row in history]
    for axes, name in zip(figure.subplots(1, 2), ("accuracy", "loss"), strict=True):
        axes.plot(epochs, [row[name] for row in history], color=OTHER, label="training, as it learns")
        if f"held_out_{name}" in history[0]:
            axes.plot(epochs, [row[f"held_out_{name}"] for row in history], color=OURS, label="held-out")
        axes.set(xlabel="epoch", title=name)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=8)
    return figure


def _confusion(measured: Measured) -> Figure:
    names = list(measured.per_class)
    figure = Figure(figsize=(6.4, 5.6), layout="constrained")
    axes = figure.subplots()
    draw_matrix(axes, np.array(measured.confusion), names)
    axes.set(xlabel="answer", ylabel="label")
    axes.set_title(f"{measured.images:,} pictures, accuracy {measured.accuracy:.3f}")
    return figure


def draw_matrix(axes: Any, matrix: I64, names: Sequence[str]) -> None:
    """A confusion matrix i64[classes, classes], in per cent of its rows."""
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(shares.shape):
        share = shares[row, column]
        axes.text(
            column, row, f"{100 * share:.0f}", ha="center", va="center", color="white" if share > 0.5 else "black"
        )
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right")
    axes.set_yticks(range(len(names)), names)


def _classes(measured: Measured) -> Figure:
    columns = ["images", "precision", "recall", "specificity", "f1"]
    cells = [
        [f"{row[name]:,}" if name == "images" else f"{row[name]:.3f}" for name in columns]
        for row in measured.per_class.values()
    ]
    figure = Figure(figsize=(6.4, 0.5 + 0.32 * (len(cells) + 1)), layout="constrained")
    axes = figure.subplots()
    axes.axis("off")
    table = axes.table(cells, rowLabels=list(measured.per_class), colLabels=columns, loc="center")
    table.scale(1, 1.4)
    axes.set_title(f"macro F1 {measured.macro_f1:.3f}")
    return figure


def _calibration(answers: Answers) -> Figure:
    counts, confidence, right = metrics.calibration(answers.probabilities, answers.labels)
    full = counts > 0
    figure = Figure(figsize=(4.6, 4.6), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":", label="as sure as right")
    axes.plot(confidence[full], right[full], color=OURS, marker="o", label="the model")
    axes.bar(confidence[full], counts[full] / counts.sum(), 0.03, color=OURS, alpha=0.25, label="share of the pictures")
    error = metrics.calibration_error(answers.probabilities, answers.labels)
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    axes.set_title(f"expected calibration error {error:.3f}")
    axes.legend(frameon=False, fontsize=8)
    return figure


def _mistakes(answers: Answers) -> Figure | None:
    """The pictures that the model was most sure about, and wrong."""
    taken = answers.probabilities.argmax(axis=1)
    sure = answers.probabilities.max(axis=1)
    wrong = np.flatnonzero(taken != answers.labels)
    wrong = wrong[np.argsort(-sure[wrong], kind="stable")][:MISTAKES]
    if not len(wrong):
        return None
    images = answers.pictures.read(wrong, answers.size)
    rows = math.ceil(len(wrong) / 8)
    figure = Figure(figsize=(9.6, 1.6 * rows + 0.3), layout="constrained")
    grid: Any = figure.subplots(rows, 8, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for axes, place, image in zip(grid.flat, wrong, images, strict=False):
        axes.imshow(image, cmap="gray", vmin=0, vmax=255)
        label, answer = answers.classes[answers.labels[place]], answers.classes[taken[place]]
        axes.set_title(f"{label} →\n{answer} {sure[place]:.2f}", fontsize=8)
    figure.suptitle("label → answer, where the model was most sure and differs from the label", fontsize=9)
    return figure


def _robustness(measured: Measured) -> Figure:
    bars = {"as they are": measured.accuracy, **measured.robustness}
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.barh(list(bars), list(bars.values()), color=[OURS, *[COLOURS["surprise"]] * len(measured.robustness)])
    for place, value in enumerate(bars.values()):
        axes.text(value, place, f" {value:.3f}", va="center", fontsize=8)
    axes.invert_yaxis()
    axes.set(xlabel="accuracy", xlim=(0, 1))
    return figure
