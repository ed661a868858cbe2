"""What the two heads mean is counted against labels and against voters, to be kept and to be looked at."""

from pathlib import Path

import cv2
import msgspec
import numpy as np

from benchmarks.heads import LABELLED, agreement, answered, draw, tables
from benchmarks.result import conclude, machine, read
from classifier.datasets import Examples
from classifier.evaluation import VOTED
from tests.classifier.making import stripes

HOT = np.eye(7, dtype=np.float32)


def tied() -> Examples:
    """70 pictures whose voters say what comes after the label, but for the first two: nobody, and two at once."""
    tested = stripes(350, 1).of("public")
    votes = np.roll(HOT[tested.labels], 1, axis=1)
    votes[0] = 0
    votes[1] = (HOT[0] + HOT[1]) / 2
    return msgspec.structs.replace(tested, votes=votes)


def test_labels_voters_and_heads_meet_on_pictures_with_one_majority(tmp_path: Path) -> None:
    tested = tied()
    scores = {LABELLED: HOT[tested.labels], VOTED: np.roll(HOT[tested.labels], 1, axis=1)}
    matrices = agreement(tested, scores)
    made = tables(matrices, {"film.mp4, head ferplus": scores[VOTED]})
    conclude("heads", "heads", machine(), made, tmp_path / "heads.json")
    kept = read(tmp_path / "heads.json").tables
    assert kept == made
    assert [table.note for table in kept[:4]] == [f"the same on {share:.3f}" for share in (0, 1, 1, 0)]
    assert {sum(matrix.sum(axis=1)) for matrix in matrices.values()} == {len(tested) - 2}
    for row in kept[1].rows:
        assert sum(float(str(cell)) for cell in row[1:8]) == 100.0
    assert kept[4].rows[0][-1] == len(tested)


def test_a_picture_is_drawn_with_recordings_and_without(tmp_path: Path) -> None:
    tested = tied()
    scores = {LABELLED: HOT[tested.labels], VOTED: np.roll(HOT[tested.labels], 1, axis=1)}
    matrices = agreement(tested, scores)
    heights = []
    for seen in ({}, {"film.mp4, head ferplus": scores[VOTED]}):
        draw(matrices, seen, tmp_path / "heads.png")
        picture = cv2.imread(str(tmp_path / "heads.png"))
        assert picture is not None
        heights.append(picture.shape[0])
    assert heights[0] < heights[1]


def test_a_recording_without_a_face_answers_nothing() -> None:
    assert answered(np.empty((0, 7), np.float32)) == [0.0] * 7
