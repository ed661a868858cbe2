"""A crop shows exactly the square that the model's card asks for, whatever the picture's size."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.errors import ModelError, StageError
from contracts.messages import F32, U8, Picture
from contracts.stages import CropSpec
from detector.crops import cut, tilts, turns

COLOUR = CropSpec(channels=3)


def boxes(*rows: tuple[float, float, float, float]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.array(rows, np.float32).reshape(-1, 4)


@pytest.fixture(scope="module")
def noise() -> Picture:
    return np.random.default_rng(1).integers(0, 256, (200, 300, 3), dtype=np.uint8)


def ramp(rows: int = 200, columns: int = 200) -> Picture:
    """Each pixel's value is its column."""
    return np.repeat(np.tile(np.arange(columns, dtype=np.uint8), (rows, 1))[:, :, None], 3, axis=2)


def test_a_square_of_the_crops_own_size_is_copied_exactly(noise: Picture) -> None:
    crops = cut(noise, boxes((10, 20, 48, 48), (200, 100, 48, 48)), COLOUR)
    assert np.array_equal(crops[0], noise[20:68, 10:58])
    assert np.array_equal(crops[1], noise[100:148, 200:248])


def test_shrinking_averages_over_areas(noise: Picture) -> None:
    (crop,) = cut(noise, boxes((10, 20, 96, 96)), COLOUR)
    mean = noise[20:116, 10:106].reshape(48, 2, 48, 2, 3).mean(axis=(1, 3))
    assert np.abs(crop - mean).max() <= 1


def test_shrinking_does_not_alias() -> None:
    stripes = np.zeros((480, 480, 3), np.uint8)
    stripes[:, ::2] = 255
    (crop,) = cut(stripes, boxes((17.3, 9.1, 431, 431)), CropSpec())
    assert np.ptp(crop.astype(int)) <= 30


def test_enlarging_keeps_positions() -> None:
    (crop,) = cut(ramp(), boxes((100, 50, 24, 24)), CropSpec())
    expected = 100 + (np.arange(48) + 0.5) / 2 - 0.5
    assert np.abs(crop[:, :, 0] - expected).max() <= 0.6


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (1.5, 0.0), (1.13, -0.1), (0.8, 0.25)])
def test_scale_and_shift_are_in_units_of_the_geometric_mean_side(scale: float, shift: float) -> None:
    box = boxes((80, 60, 30, 1.44 * 30))  # geometric mean side 36
    spec = CropSpec(scale=scale, shift_y=shift)
    (across,) = cut(ramp(), box, spec)
    (down,) = cut(np.ascontiguousarray(ramp().transpose(1, 0, 2)), box, spec)
    side = 36 * scale
    steps = (np.arange(48) + 0.5) / 48 * side - 0.5 - side / 2
    assert np.abs(across[24, :, 0] - (95 + steps)).max() <= 1.0
    assert np.abs(down[:, 24, 0] - (60 + 1.44 * 15 + 36 * shift + steps)).max() <= 1.0


def test_what_lies_outside_repeats_the_edge(noise: Picture) -> None:
    (crop,) = cut(noise, boxes((-24, -10, 48, 48)), COLOUR)
    padded = cv2.copyMakeBorder(noise, 48, 48, 48, 48, cv2.BORDER_REPLICATE)
    assert np.array_equal(crop, padded[38:86, 24:72])
    (beyond,) = cut(noise, boxes((400, 60, 48, 48)), COLOUR)
    assert np.array_equal(beyond, np.repeat(noise[60:108, -1:], 48, axis=1))


@pytest.mark.parametrize("factor", [0.5, 2.0, 3.0])
def test_the_framing_does_not_depend_on_the_pictures_size(astronaut: Picture, factor: float) -> None:
    other = np.asarray(cv2.resize(astronaut, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8)
    box = boxes((170, 60, 110, 120))
    one, two = (cut(p, b, CropSpec(scale=1.2))[0].astype(int) for p, b in ((astronaut, box), (other, box * factor)))
    assert np.abs(one - two).mean() < 2.0


def test_a_grey_crop_is_the_grey_of_the_colour_crop(astronaut: Picture) -> None:
    box = boxes((170, 60, 110, 120))
    (colour,), (grey,) = cut(astronaut, box, COLOUR), cut(astronaut, box, CropSpec())
    assert np.abs(cv2.cvtColor(colour, cv2.COLOR_BGR2GRAY).astype(int) - grey[:, :, 0]).max() <= 2


@pytest.mark.parametrize(("height", "width", "channels"), [(48, 48, 1), (96, 64, 3), (1, 1, 1)])
def test_the_shape_is_the_cards(noise: Picture, height: int, width: int, channels: int) -> None:
    spec = CropSpec(height=height, width=width, channels=channels)
    for many in (0, 1, 5):
        crops = cut(noise, boxes(*[(10, 10, 40, 50)] * many), spec)
        assert crops.shape == (many, height, width, channels)
        assert crops.dtype == np.uint8


def test_the_same_inputs_give_the_same_bytes(noise: Picture) -> None:
    crowd = np.random.default_rng(2).uniform(1, 150, (50, 4)).astype(np.float32)
    before: U8 = cut(noise, crowd, CropSpec(scale=1.13, shift_y=-0.01))
    assert np.array_equal(before, cut(noise.copy(), crowd.copy(), CropSpec(scale=1.13, shift_y=-0.01)))
    assert np.array_equal(before[17:18], cut(noise, crowd[17:18], CropSpec(scale=1.13, shift_y=-0.01)))


number = st.floats(-1e9, 1e9, width=32)


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(number, number, number, number),
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from([1, 3]),
)
def test_any_box_gives_a_crop(box: tuple[float, float, float, float], rows: int, columns: int, channels: int) -> None:
    picture = np.full((rows, columns, 3), 77, np.uint8)
    crops = cut(picture, boxes(box), CropSpec(channels=channels))
    assert (crops == 77).all()


def turned(picture: Picture, degrees: float, about: tuple[float, float]) -> Picture:
    """Clockwise."""
    turn = cv2.getRotationMatrix2D(about, -degrees, 1)
    return np.asarray(cv2.warpAffine(picture, turn, picture.shape[1::-1], borderMode=cv2.BORDER_REPLICATE), np.uint8)


def face(degrees: float, *, middle: tuple[float, float] = (224.0, 113.0), size: float = 40.0) -> F32:
    """f32[1, 5, 2]: the landmarks of a face that is tilted clockwise."""
    upright = np.array([(-0.5, -0.4), (0.5, -0.4), (0.0, 0.1), (-0.35, 0.6), (0.35, 0.6)]) * size
    x, y = upright.T
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.asarray(np.stack([x * cosine - y * sine, x * sine + y * cosine], axis=1)[None] + middle, np.float32)


@pytest.mark.parametrize("degrees", [-170, -90, -30, -10, 10, 45, 120])
def test_a_tilted_head_gives_the_crop_of_an_upright_one(astronaut: Picture, degrees: float) -> None:
    box, spec = boxes((169, 53, 110, 120)), CropSpec(scale=1.13, shift_y=-0.01, upright=10)
    (upright,), (back,) = (
        cut(turned(astronaut, angle, (223.5, 112.5)), box, spec, face(angle))[:, 6:-6, 6:-6].astype(int)
        for angle in (0, degrees)
    )
    assert np.abs(back - upright).mean() < 3
    (left,) = cut(turned(astronaut, degrees, (223.5, 112.5)), box, CropSpec(scale=1.13, shift_y=-0.01), face(degrees))
    assert np.abs(left[6:-6, 6:-6].astype(int) - upright).mean() > 6


def test_a_head_that_is_hardly_tilted_is_cut_as_it_is(noise: Picture) -> None:
    box, spec = boxes((60, 40, 50, 60)), CropSpec(upright=10)
    for degrees in (-4.9, 0.0, 4.9):
        assert np.array_equal(cut(noise, box, spec, face(degrees)), cut(noise, box, spec))


@given(st.floats(-179, 179), st.floats(-2, 2), st.sampled_from([0.0, 1.0, 10.0, 60.0]))
def test_heads_are_turned_back_gradually_and_never_too_far(degrees: float, more: float, upright: float) -> None:
    spec = CropSpec(upright=upright)
    (tilt,) = tilts(face(degrees))
    assert tilt == pytest.approx(degrees, abs=0.01)
    (one,), (other,) = turns(face(degrees), spec), turns(face(degrees + more), spec)
    assert -1e-9 <= one * np.sign(degrees) <= abs(degrees) + 0.01  # by hardly anything, rounding has the sign
    assert abs(degrees) < upright or one == pytest.approx(degrees, abs=0.01)
    if abs(degrees + more) < 179:
        assert abs(one - other) <= 4 * abs(more) + 0.01
    assert turns(face(degrees), CropSpec()) == [0.0]


def test_in_profile_the_line_from_the_eyes_to_the_mouth_tells_the_tilt() -> None:
    profile = face(0)
    profile[0, :, 0] = [10, 14, 22, 11, 14]  # eyes and corners of the mouth nearly behind each other
    profile[0, 1, 1] += 3  # so that their lines may have any direction: the eyes' falls by 37 degrees
    assert abs(tilts(profile)[0]) < 10


def test_any_landmarks_give_a_crop(noise: Picture) -> None:
    spec = CropSpec(upright=10)
    for landmarks in (np.zeros((1, 5, 2)), np.full((1, 5, 2), 1e9), np.random.default_rng(3).normal(0, 1e6, (1, 5, 2))):
        assert cut(noise, boxes((10, 20, 48, 48)), spec, landmarks.astype(np.float32)).shape == (1, 48, 48, 1)


def test_a_landmark_that_is_not_finite_is_the_frames_fault(noise: Picture) -> None:
    with pytest.raises(StageError, match="not finite"):
        cut(noise, boxes((0, 0, 10, 10)), CropSpec(upright=10), np.full((1, 5, 2), np.inf, np.float32))


def test_a_box_that_is_not_finite_is_the_frames_fault(noise: Picture) -> None:
    with pytest.raises(StageError, match="not finite"):
        cut(noise, boxes((0, 0, float("nan"), 10)), CropSpec())


@pytest.mark.parametrize(
    "spec", [CropSpec(channels=2), CropSpec(height=0), CropSpec(scale=0.0), CropSpec(upright=-1.0)]
)
def test_a_card_that_cannot_be_met_is_the_models_fault(noise: Picture, spec: CropSpec) -> None:
    with pytest.raises(ModelError, match="card"):
        cut(noise, boxes((0, 0, 10, 10)), spec)
