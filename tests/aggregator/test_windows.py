"""What a window says, and when."""

import pytest

from tests.aggregator.scenes import SECOND, START, Face, camera, ended, film, frame, make, shows, watch


def half_happy(t: float) -> list[Face]:
    return [(200, 200, 80, shows(happy=1.0) if t % 4 < 2 else shows(sad=1.0))]


def test_windows_are_tumbling_and_aligned_to_the_epoch() -> None:
    frames = [frame(seq, 3 + seq / 10, [(200, 200, 80, shows())]) for seq in range(240)]  # from second 3 to 27
    rows = camera(watch(frames), 10)
    assert [(w.window_start - START) // SECOND for w in rows] == [0, 10, 20]
    assert [w.frames for w in rows] == [70, 100, 70]
    assert [w.seconds_observed for w in rows] == pytest.approx([7, 10, 7])


def test_the_lengths_agree_with_each_other() -> None:
    rows = watch(film(half_happy, seconds=60, fps=10))
    tens, sixty = camera(rows, 10), camera(rows, 60)[0]
    assert sixty.seconds_observed == pytest.approx(sum(w.seconds_observed for w in tens))
    assert sixty.observations == sum(w.observations for w in tens) == 600
    assert sixty.transitions == sum(w.transitions for w in tens)
    assert sixty.mean is not None
    assert sixty.mean[3] == pytest.approx(sum(w.seconds_observed * w.mean[3] for w in tens if w.mean) / 60)


@pytest.mark.parametrize("fps", [4.0, 10.0, 25.0, 50.0])
def test_shares_are_of_time_whatever_the_frame_rate(fps: float) -> None:
    window = camera(watch(film(half_happy, seconds=60, fps=fps)), 60)[0]
    assert window.mean is not None
    assert window.mean[3] == pytest.approx(0.5, abs=0.001)
    assert window.seconds_observed == pytest.approx(60)
    assert window.happiness_ratio == pytest.approx(0.5, abs=0.02)


def test_an_uneven_frame_rate_changes_no_share() -> None:
    # happy for 10 s at 50 frames/s, then sad for 10 s at 5 frames/s
    times = [i / 50 for i in range(500)] + [10 + i / 5 for i in range(50)]
    frames = [
        frame(n, t, [(200, 200, 80, shows(happy=1.0) if t < 10 else shows(sad=1.0))]) for n, t in enumerate(times)
    ]
    window = camera(watch(frames), 60)[0]
    assert window.mean is not None
    assert window.mean[3] == pytest.approx(0.5, abs=0.001)


def test_an_observation_stands_for_one_second_at_most() -> None:
    frames = [frame(n, t, [(200, 200, 80, shows())]) for n, t in enumerate([0, 1, 2, 3, 7, 8])]
    assert camera(watch(frames, make(lost_after=10)), 60)[0].seconds_observed == pytest.approx(3 + 1 + 1 + 1)


def test_where_nobody_is_the_windows_say_so() -> None:
    rows = watch(film(lambda t: [], seconds=25))
    assert not rows.observations
    assert not rows.people
    windows = camera(rows, 10)
    assert [w.frames for w in windows] == [250, 250, 125]
    assert all(
        (w.people, w.observations, w.seconds_observed, w.mean, w.dominant) == (0, 0, 0, None, None) for w in windows
    )
    assert all(w.stress_ratio is None and w.happiness_ratio is None for w in windows)


def test_a_camera_is_all_of_its_people() -> None:
    rows = watch(film(lambda t: [(100, 100, 50, shows(happy=1.0)), (400, 100, 50, shows(sad=1.0))], seconds=10))
    whole = camera(rows, 10)[0]
    each = [w for w in rows.windows if w.window_seconds == 10 and w.person_id]
    assert whole.people == len(each) == 2
    assert whole.seconds_observed == pytest.approx(20)
    assert whole.mean is not None
    assert whole.mean[3] == pytest.approx(0.5)
    assert {w.dominant for w in each} == {"happy", "sad"}


def test_a_window_closes_as_soon_as_event_time_has_settled_it() -> None:
    aggregator = make(windows=[10])
    closed_at = None
    for one in film(lambda t: [(200, 200, 80, shows())], seconds=12):
        if aggregator.add(one).windows and closed_at is None:
            closed_at = (one.captured_at - START) / SECOND
    assert closed_at == pytest.approx(10.0)


def test_a_face_that_may_come_back_keeps_its_window_open() -> None:
    aggregator = make(windows=[10])
    closed_at = None
    for one in film(lambda t: [(200, 200, 80, shows())] if t < 9.8 else [], seconds=12):
        if aggregator.add(one).windows and closed_at is None:
            closed_at = (one.captured_at - START) / SECOND
    assert closed_at == pytest.approx(9.76 + 1.0, abs=0.05)


def test_transitions_count_the_changes_of_the_dominant_emotion() -> None:
    window = camera(watch(film(half_happy, seconds=20)), 60)[0]
    assert window.transitions == 9  # every 2 s, in 20 s


def test_a_run_without_frames_has_no_rows() -> None:
    assert not make().finish(ended([]))
