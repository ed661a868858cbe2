"""Which face is which person, over time."""

import pytest

from contracts.messages import Tombstone
from tests.aggregator.scenes import START, Face, film, frame, make, people, shows, watch

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


def test_a_face_that_stands_still_is_not_handed_to_a_newcomer() -> None:
    def scene(t: float) -> list[Face]:
        there: list[Face] = [(200, 200, 100, HAPPY)]
        if t < 1:
            there.append((110, 200, 100, SAD))  # is hidden, and another comes out on the other side
        elif t >= 1.5:
            there.append((263, 200, 100, SAD))
        return there

    rows = watch(film(scene, seconds=4))
    (standing,) = {row.person_id for row in rows.observations if row.x == 150}
    assert people(rows)[standing] == 100


@pytest.mark.parametrize("together", [2, 3])
def test_frames_that_come_in_bursts_split_nobody(together: int) -> None:
    def scene(seq: int) -> list[Face]:
        shake = 1.5 * (-1) ** seq
        return [(200 + shake, 200, 60, HAPPY), (400 - shake, 210, 60, SAD)]

    frames = [
        frame(seq, seq // together * together / 25 + seq % together * 0.001, scene(seq))
        for seq in range(100 * together)
    ]
    assert people(watch(frames)) == {"run.1": len(frames), "run.2": len(frames)}


def dead(seq: int, seconds: float) -> Tombstone:
    at = START + round(seconds * 1e9)
    return Tombstone(camera_id="door", run_id="run", seq=seq, captured_at=at, stage="detect", reason="broken")


def test_a_frame_that_nobody_could_look_into_has_missed_nobody() -> None:
    faces = [(200.0, 200.0, 80.0, HAPPY)]
    frames = [dead(seq, 2 * seq) if seq == 5 else frame(seq, 2 * seq, faces) for seq in range(10)]
    assert people(watch(frames)) == {"run.1": 9}


def test_dead_frames_do_not_keep_windows_open_for_ever() -> None:
    aggregator = make()
    rows = watch([frame(seq, seq / 25, [(200, 200, 80, HAPPY)]) for seq in range(25)], aggregator)
    aggregator, closed = make(), 0
    for seq in range(25 * 60):
        one = frame(seq, seq / 25, [(200, 200, 80, HAPPY)]) if seq < 25 else dead(seq, seq / 25)
        closed += len(aggregator.add(one).windows)
    assert rows.windows
    assert closed >= 6  # of ten seconds each, of the camera and of who was there


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
