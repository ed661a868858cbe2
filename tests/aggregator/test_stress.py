"""The stress score, the stressed state and its episodes."""

import math

import pytest

from tests.aggregator.scenes import SECOND, START, Face, Scene, camera, film, make, shows, watch


def stressed_between(begin: float, end: float, level: float = 1.0) -> Scene:
    def scene(t: float) -> list[Face]:
        return [(200, 200, 80, shows(angry=level) if begin <= t < end else shows())]

    return scene


def seconds(time: int) -> float:
    return (time - START) / SECOND


def test_the_score_follows_with_its_time_constant() -> None:
    rows = watch(film(stressed_between(5, 60), seconds=20))
    for row in rows.observations:
        after = seconds(row.captured_at) - 5
        expected = 0.0 if after < 0 else 1 - math.exp(-(after + 0.04) / 3)  # the first one counts for its own frame
        assert row.stress == pytest.approx(expected, abs=1e-5)


def test_an_episode_begins_after_two_seconds_and_ends_when_the_score_has_fallen() -> None:
    (episode,) = watch(film(stressed_between(5, 20), seconds=40)).episodes
    rise = 3 * math.log(2)  # until the score has reached 0.5
    top = 1 - math.exp(-15 / 3)
    fall = 3 * math.log(top / 0.35)
    assert seconds(episode.started_at) == pytest.approx(5 + rise + 2, abs=0.08)
    assert seconds(episode.ended_at) == pytest.approx(20 + fall, abs=0.08)
    assert episode.stress_max == pytest.approx(top, abs=0.01)
    assert 0.35 < episode.stress_mean < episode.stress_max


@pytest.mark.parametrize("fps", [5.0, 10.0, 25.0])
def test_the_stress_ratio_is_the_time_in_the_episode_at_any_frame_rate(fps: float) -> None:
    rows = watch(film(stressed_between(5, 20), seconds=40, fps=fps))
    (episode,) = rows.episodes
    ratio = camera(rows, 60)[0].stress_ratio
    assert ratio == pytest.approx((episode.ended_at - episode.started_at) / SECOND / 40, abs=0.01)
    assert ratio == pytest.approx((3 * math.log(0.9933 / 0.35) + 20 - (5 + 3 * math.log(2) + 2)) / 40, abs=0.03)


def test_an_episode_of_a_face_that_is_not_a_person_yet_waits_for_it() -> None:
    def brief(t: float) -> list[Face]:
        return [(200, 200, 80, shows(angry=0.9) if t < 8 else shows())]

    rows = watch(film(brief, seconds=16, fps=0.25))  # stressed in the second frame, a person in the third
    (episode,) = rows.episodes
    assert (episode.person_id, seconds(episode.started_at)) == ("run.1", 4)
    alone = watch(film(lambda t: brief(t) if t < 12 else [], seconds=40, fps=0.25), make(min_hits=4))
    assert not alone.episodes
    assert {row.person_id for row in alone.observations} == {""}


def test_a_short_burst_is_no_stress() -> None:
    rows = watch(film(stressed_between(5, 8), seconds=20))
    assert not rows.episodes
    assert not any(row.stressed for row in rows.observations)


def test_between_the_thresholds_the_state_stays() -> None:
    def scene(t: float) -> list[Face]:
        return [(200, 200, 80, shows(sad=0.9) if t < 15 else shows(sad=0.42))]

    rows = watch(film(scene, seconds=60))
    (episode,) = rows.episodes
    assert seconds(episode.ended_at) == pytest.approx(60, abs=0.05)  # the person left, still stressed


def test_happiness_and_neutrality_are_no_stress() -> None:
    rows = watch(film(lambda t: [(200, 200, 80, shows(happy=0.5, surprise=0.3))], seconds=10))
    assert max(row.stress for row in rows.observations) == pytest.approx(0.0, abs=1e-6)


def test_smoothing_follows_with_its_time_constant_and_raw_is_kept() -> None:
    rows = watch(film(stressed_between(5, 60), seconds=10))
    for row in rows.observations:
        after = seconds(row.captured_at) - 5
        assert row.probabilities[0] == pytest.approx(0.0 if after < 0 else 1.0)
        assert row.smoothed[0] == pytest.approx(0.0 if after < 0 else 1 - math.exp(-(after + 0.04)), abs=1e-5)
        assert sum(row.smoothed) == pytest.approx(1.0)
