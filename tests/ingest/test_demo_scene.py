"""The demo: the same pictures every time, and the people in it are who the script says."""

import zlib
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from cv2 import data as cascades

from contracts.messages import Picture, RunStarted
from ingest.demo import START
from ingest.demo_scene import ACTORS, CYCLE, Scene, Seen
from tests.ingest.making import ending, frames, read


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene()


def test_it_is_a_recording_of_known_length_and_time() -> None:
    events = read("demo:1.2")
    first, shots, end = events[0], frames(events), ending(events)
    assert isinstance(first, RunStarted)
    assert (first.width, first.height, first.live, first.started_at) == (960, 540, False, START)
    assert [shot.seq for shot in shots] == list(range(30))
    assert [shot.captured_at - START for shot in shots] == [number * 40_000_000 for number in range(30)]
    assert (end.frames, end.dropped, end.ended_at - START, end.error) == (30, 0, 1_200_000_000, None)


def test_the_same_pictures_come_every_time() -> None:
    once, again = ([zlib.crc32(shot.picture.tobytes()) for shot in frames(read("demo:1"))] for _ in range(2))
    assert once == again
    assert len(set(once)) == 25  # and something moves in each


def test_the_cycle_ends_where_it_begins(scene: Scene) -> None:
    step = cv2.absdiff(scene.draw(CYCLE - 0.04), scene.draw(CYCLE)).mean()
    assert step < 3
    assert np.array_equal(scene.draw(CYCLE), scene.draw(0))


def test_people_come_leave_cross_and_come_back(scene: Scene) -> None:
    present: dict[str, list[bool]] = {actor.name: [] for actor in ACTORS}
    least: dict[str, float] = {}
    for tenth in range(int(CYCLE * 10)):
        seen = {face.name: face for face in scene.seen(tenth / 10)}
        for name, there in present.items():
            there.append(name in seen)
            least[name] = min(least.get(name, 1), seen[name].visible if name in seen else 1)
    comings = {name: sum(b and not a for a, b in pairwise(t)) for name, t in present.items()}
    assert comings == {"grace": 1, "eileen": 1, "mira": 1, "ada": 1}
    assert present["grace"][0]
    assert not all(present["grace"])  # there, away, and there again
    assert least["eileen"] < 0.2  # grace passes in front of eileen
    assert least["grace"] > 0.9
    assert {sum(column) for column in zip(*present.values(), strict=True)} == {1, 2, 3}


def haar(picture: Picture) -> list[tuple[float, ...]]:
    finder = cv2.CascadeClassifier(cascades.haarcascades + "haarcascade_frontalface_default.xml")
    grey = cv2.cvtColor(cv2.resize(picture, (480, 270)), cv2.COLOR_BGR2GRAY)
    return [tuple(2.0 * side for side in box) for box in finder.detectMultiScale(grey, 1.1, 4, minSize=(16, 16))]


def hit(face: Seen, boxes: list[tuple[float, ...]]) -> bool:
    x, y, width, height = face.box
    centres = [(box[0] + box[2] / 2, box[1] + box[3] / 2) for box in boxes]
    return any(x < across < x + width and y < down < y + height for across, down in centres)


def test_a_detector_finds_every_face_that_nobody_hides(scene: Scene) -> None:
    finds: dict[str, list[bool]] = {actor.name: [] for actor in ACTORS}
    for second in np.arange(0.1, CYCLE, 1.1):
        boxes = haar(scene.draw(second))
        for face in scene.seen(second):
            if face.visible > 0.9:
                finds[face.name].append(hit(face, boxes))
    assert all(len(found) >= 5 and np.mean(found) >= 0.9 for found in finds.values()), finds


def test_yunet_finds_them_too(scene: Scene, shared: Path) -> None:
    model = shared / "models" / "face_detection_yunet_2023mar.onnx"
    finder = cv2.FaceDetectorYN.create(str(model), "", (960, 540), 0.6)
    finds: dict[str, list[bool]] = {actor.name: [] for actor in ACTORS}
    for second in np.arange(0.1, CYCLE, 1.6):
        _, rows = finder.detect(scene.draw(second))
        boxes = [] if rows is None else [tuple(map(float, row[:4])) for row in rows]
        for face in scene.seen(second):
            if face.visible > 0.9:
                finds[face.name].append(hit(face, boxes))
    assert all(found and np.mean(found) >= 0.9 for found in finds.values()), finds
