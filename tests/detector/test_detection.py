"""Faces are found where they are, in source pixels, by both detectors, at every size."""

import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.detectors import accuracy, watch
from contracts.errors import InputError, StageError
from contracts.messages import Faces, Picture
from contracts.settings import DetectorSettings, ModelsSettings
from contracts.stages import CropSpec
from detector import open_detector
from detector.yunet_network import CANDIDATES, OVERLAP, Network
from tests.detector.conftest import Open

ASTRONAUT, HOPPER = (224, 113), (265, 224)


def middle(faces: Faces) -> tuple[float, float]:
    (box,) = faces.boxes.tolist()
    return box[0] + box[2] / 2, box[1] + box[3] / 2


def resized(picture: Picture, factor: float) -> Picture:
    return np.asarray(cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8)


def test_exactly_the_face_of_a_portrait_is_found(opened: Open, astronaut: Picture, hopper: Picture) -> None:
    one, two = opened().detect([astronaut, hopper])
    assert middle(one) == pytest.approx(ASTRONAUT, abs=12)
    assert middle(two) == pytest.approx(HOPPER, abs=20)
    assert (one.boxes[:, 2:] > 60).all()
    assert (one.boxes[:, 2:] < 160).all()
    assert 0.3 < one.scores[0] <= 1.0


def test_the_value_has_the_promised_shapes(opened: Open, astronaut: Picture) -> None:
    blank = np.full((100, 120, 3), 90, np.uint8)
    for faces in opened(CropSpec(height=40, width=32, channels=3)).detect([astronaut, blank]):
        many = len(faces)
        assert faces.boxes.shape == (many, 4)
        assert faces.scores.shape == (many,)
        assert faces.crops.shape == (many, 40, 32, 3)
        assert faces.boxes.dtype == faces.scores.dtype == np.float32
        assert faces.crops.dtype == np.uint8
        if faces.landmarks is not None:
            assert faces.landmarks.shape == (many, 5, 2)
            assert faces.landmarks.dtype == np.float32


@pytest.mark.parametrize("factor", [0.7, 1.5, 3.0])
def test_boxes_grow_with_the_picture(opened: Open, astronaut: Picture, factor: float) -> None:
    detector = opened()
    same, other = detector.detect([astronaut, resized(astronaut, factor)])
    assert other.boxes == pytest.approx(same.boxes * factor, abs=16 * factor)


@pytest.mark.parametrize("width", [320, 400, 480])
def test_boxes_are_in_source_pixels_at_any_working_width(opened: Open, hopper: Picture, width: int) -> None:
    (faces,) = opened(working_width=width).detect([hopper])
    assert middle(faces) == pytest.approx(HOPPER, abs=20)


def test_pictures_of_different_sizes_in_one_call(opened: Open, astronaut: Picture, hopper: Picture) -> None:
    pictures = [astronaut, resized(hopper, 2.0), np.zeros((40, 60, 3), np.uint8), resized(astronaut, 0.6), astronaut]
    detector = opened()
    together = detector.detect(pictures)
    assert [len(faces) for faces in together] == [1, 1, 0, 1, 1]
    for faces, picture in zip(together, pictures, strict=True):
        (alone,) = detector.detect([picture])
        assert np.array_equal(faces.boxes, alone.boxes)
        assert np.array_equal(faces.crops, alone.crops)


def test_yunet_answers_as_opencvs_own_does(model_folder: Path, shared: Path) -> None:
    model = model_folder / "face_detection_yunet_2023mar.onnx"
    network = Network(model, min_score=0.7, threads=1)
    capture = cv2.VideoCapture(str(shared / "videos" / "people.mp4"))
    faces = 0
    for number in range(20):
        picture = np.asarray(capture.read()[1], np.uint8)
        picture = resized(picture, 0.6 if number % 2 else 0.39)  # sizes that are no multiples of 32
        size = (picture.shape[1], picture.shape[0])
        expected = cv2.FaceDetectorYN.create(str(model), "", size, 0.7, OVERLAP, CANDIDATES).detect(picture)[1]
        found = network.search(picture)
        np.testing.assert_allclose(found, np.empty((0, 15)) if expected is None else expected, atol=1e-3)
        faces += len(found)
    assert faces > 100


def test_landmarks_lie_in_the_face(model_folder: Path, hopper: Picture) -> None:
    where = ModelsSettings(folder=model_folder, download=False)
    detector = open_detector(DetectorSettings(name="yunet"), where, CropSpec(), note=print)
    (faces,) = detector.detect([resized(hopper, 2.0)])
    assert faces.landmarks is not None
    low, size = faces.boxes[0, :2], faces.boxes[0, 2:]
    assert (faces.landmarks[0] > low).all()
    assert (faces.landmarks[0] < low + size).all()
    right_eye, left_eye, nose, *_ = faces.landmarks[0]
    assert right_eye[0] < nose[0] < left_eye[0]


def test_a_tilted_head_is_cut_out_upright(model_folder: Path, hopper: Picture) -> None:
    turn = cv2.getRotationMatrix2D((265, 224), 25, 1)
    tilted = np.asarray(cv2.warpAffine(hopper, turn, hopper.shape[1::-1], borderMode=cv2.BORDER_REPLICATE), np.uint8)
    where = ModelsSettings(folder=model_folder, download=False)

    def crop(picture: Picture, upright: float | None) -> NDArray[np.float64]:
        spec = CropSpec(scale=1.13, shift_y=-0.01, upright=upright)
        (faces,) = open_detector(DetectorSettings(name="yunet"), where, spec, note=pytest.fail).detect([picture])
        return faces.crops[0, :, :, 0].astype(float)

    def alike(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
        return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])

    assert alike(crop(tilted, 10), crop(hopper, 10)) > alike(crop(tilted, None), crop(hopper, None)) + 0.2


def test_both_detectors_frame_a_face_alike(model_folder: Path, astronaut: Picture, hopper: Picture) -> None:
    where = ModelsSettings(folder=model_folder, download=False)
    by_yunet, by_haar = (
        open_detector(DetectorSettings.model_validate({"name": name}), where, CropSpec(), note=pytest.fail).detect(
            [astronaut, hopper]
        )
        for name in ("yunet", "haar")
    )
    for one, two in zip(by_yunet, by_haar, strict=True):
        side = float(np.sqrt(one.boxes[0, 2] * one.boxes[0, 3]))
        assert np.sqrt(two.boxes[0, 2] * two.boxes[0, 3]) == pytest.approx(side, rel=0.2)
        assert middle(two) == pytest.approx(middle(one), abs=0.15 * side)


def test_no_face_where_there_is_none(opened: Open) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (360, 640, 3), dtype=np.uint8)
    blank = np.full((360, 640, 3), 128, np.uint8)
    assert [len(faces) for faces in opened().detect([noise, blank, blank[:8, :8], noise[:, :9]])] == [0, 0, 0, 0]


def test_faces_below_the_smallest_size_are_ignored(opened: Open, astronaut: Picture) -> None:
    assert [len(opened(min_face=size).detect([astronaut])[0]) for size in (16, 60, 200)] == [1, 1, 0]


def test_no_pictures_give_no_answers(opened: Open) -> None:
    detector = opened()
    assert detector.detect([]) == []
    detector.close()


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((100, 100), np.uint8),
        np.zeros((100, 100, 4), np.uint8),
        np.zeros((100, 100, 3), np.float32),
        np.zeros((0, 100, 3), np.uint8),
        np.zeros((4, 4, 3), np.uint8),
        np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (50_000, 50_000, 3)),
    ],
    ids=["grey", "alpha", "float", "empty", "tiny", "gigantic"],
)
def test_what_is_no_picture_is_the_frames_fault_and_harms_no_other(
    opened: Open, astronaut: Picture, picture: Picture
) -> None:
    detector = opened()
    with pytest.raises(StageError, match="picture"):
        detector.detect([picture])
    assert len(detector.detect([astronaut])[0]) == 1


def test_a_view_that_is_not_contiguous_is_taken(opened: Open, astronaut: Picture) -> None:
    rgb = np.ascontiguousarray(astronaut[:, :, ::-1])
    (faces,) = opened().detect([rgb[:, :, ::-1]])
    assert middle(faces) == pytest.approx(ASTRONAUT, abs=12)


def test_the_labelled_faces_are_found(opened: Open, shared: Path) -> None:
    detector = opened()
    row = accuracy(detector, shared / "images" / "labelled_boxes")
    recall, precision = (1.0, 0.97) if detector.name == "yunet" else (0.88, 0.97)
    assert row["recall_0.4"] >= recall
    assert row["precision_0.4"] >= precision


def test_an_empty_room_stays_empty(opened: Open, shared: Path) -> None:
    assert watch([opened()], shared / "videos" / "no_face.mp4")["faces"] == 0


def test_a_recording_that_is_not_there_is_no_empty_room(opened: Open, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"film\.mp4 is no recording"):
        watch([opened()], tmp_path / "film.mp4")


@pytest.mark.slow
def test_a_crowd_is_seen(shared: Path, model_folder: Path) -> None:
    where = ModelsSettings(folder=model_folder, download=False)
    detector = open_detector(DetectorSettings(name="yunet"), where, CropSpec(), note=pytest.fail)
    begin = time.perf_counter()
    seen = watch([detector], shared / "videos" / "people.mp4")
    assert seen["frames"] == 460
    assert seen["faces_per_frame"] >= 5.0
    assert time.perf_counter() - begin < 120
