"""Which face is which person, over time."""

import pytest

from tests.aggregator.scenes import Face, film, people, shows, watch

HAPPY, SAD = shows(happy=0.9), shows(sad=0.9)


def at(
    t: float, start: tuple[float, float], velocity: tuple[float, float], side: float, mood: dict[str, float]
) -> Face:
    return (start[0] + velocity[0] * t, start[1] + velocity[1] * t, side, mood)


@pytest.mark.parametrize("fps", [5.0, 10.0, 25.0, 60.0])
def test_a_face_that_walks_by_is_one_person_at_any_frame_rate(fps: float) -> None:
    rows = watch(film(lambda t: [at(t, (50, 100), (150, 0), 60, HAPPY)], seconds=4, fps=fps))
    assert people(rows) == {"run.1": round(4 * fps)}


@pytest.mark.parametrize("fps", [10.0, 25.0])
def test_faces_that_cross_keep_their_people(fps: float) -> None:
    def scene(t: float) -> list[Face]:
        left, right = at(t, (100, 200), (100, 0), 60, HAPPY), at(t, (500, 210), (-100, 0), 60, SAD)
        if abs(left[0] - right[0]) < 35:  # who is behind is not seen
            return [left]
        return [right, left]  # the order in the frame tells nothing

    rows = watch(film(scene, seconds=4, fps=fps))
    assert set(people(rows)) == {"run.1", "run.2"}
    for person in people(rows):
        moods = {row.probabilities[3] > 0.5 for row in rows.observations if row.person_id == person}
        assert len(moods) == 1, f"{person} is both people"


@pytest.mark.parametrize(("away", "expected"), [(0.5, 1), (0.9, 1), (1.3, 2), (5.0, 2)])
def test_a_face_lost_for_less_than_the_setting_keeps_its_person(away: float, expected: int) -> None:
    rows = watch(film(lambda t: [] if 2 <= t < 2 + away else [(300 + 5 * t, 200, 80, HAPPY)], seconds=9))
    assert len(people(rows)) == expected


def test_two_neighbours_are_told_apart_for_minutes() -> None:
    rows = watch(film(lambda t: [(200, 200, 80, HAPPY), (270, 205, 80, SAD)], seconds=120, fps=10))
    assert people(rows) == {"run.1": 1200, "run.2": 1200}


def test_a_slow_camera_keeps_its_people() -> None:
    rows = watch(film(lambda t: [(200, 200, 80, HAPPY)], seconds=60, fps=0.5))
    assert people(rows) == {"run.1": 30}


def test_a_face_seen_too_briefly_is_stored_but_is_no_person() -> None:
    rows = watch(film(lambda t: [(200, 200, 80, HAPPY)] if 1 <= t < 1.06 else [], seconds=4))
    assert people(rows) == {"": 2}
    assert not rows.people
    assert all(window.people == 0 and window.observations == 0 for window in rows.windows)


def test_every_face_of_every_frame_is_one_observation() -> None:
    def scene(t: float) -> list[Face]:
        return [at(t, (40 + 90 * i, 100 + 10 * i), (20 - 7 * i, 3 * i), 50, HAPPY) for i in range(int(t * 2) % 6)]

    frames = film(scene, seconds=10)
    rows = watch(frames)
    expected = {(f.seq, face) for f in frames for face in range(len(f.boxes))}
    stored = [(row.seq, row.face) for row in rows.observations]
    assert len(stored) == len(expected)
    assert set(stored) == expected


def test_the_last_row_of_a_person_tells_how_long_they_were_seen() -> None:
    rows = watch(film(lambda t: [(200, 200, 80, HAPPY)], seconds=3))
    last = rows.people[-1]
    assert (last.person_id, last.observations) == ("run.1", 75)
    assert last.seconds_observed == pytest.approx(3.0)
    assert (last.last_seen - last.first_seen) / 1e9 == pytest.approx(2.96)
