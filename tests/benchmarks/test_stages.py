"""What a stage costs by itself is the cost of what the stage does."""

import numpy as np

from benchmarks.stages import _cut
from contracts.messages import Faces, Frame
from contracts.stages import CropSpec
from detector import crops


def test_tilted_heads_are_cut_out_as_the_detector_cuts_them() -> None:
    picture = np.random.default_rng(1).integers(0, 255, (200, 200, 3), np.uint8)
    boxes = np.array([[60, 60, 80, 80]], np.float32)
    landmarks = np.array([[[80, 80], [110, 110], [90, 105], [75, 110], [100, 130]]], np.float32)
    spec = CropSpec(upright=10)
    cut = crops.cut(picture, boxes, spec, landmarks)
    faces = Faces(boxes=boxes, scores=np.ones(1, np.float32), landmarks=landmarks, crops=cut)
    frame = Frame(camera_id="bench", run_id="run", seq=0, captured_at=0, picture=picture)
    assert np.array_equal(_cut(frame, faces, spec), cut)
    assert not np.array_equal(crops.cut(picture, boxes, spec), cut)
