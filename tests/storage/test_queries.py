"""What the summary says of a run, against sums made by hand."""

import pytest

from contracts.rows import Rows, Seven
from storage.store import Store
from tests.storage.samples import SECOND, START, empty_window, episode, person, run, select, window

HAPPY: Seven = (0, 0, 0, 1, 0, 0, 0)
SAD: Seven = (0, 0, 0, 0, 1, 0, 0)


@pytest.fixture
def filled(store: Store) -> Store:
    """A run of 20 s: 12 person-seconds happy, 4 sad and stressed; and another run that must not count."""
    first = {"window_start": START, "seconds_observed": 12.0, "mean": HAPPY, "dominant": "happy"}
    second = {"window_start": START + 10 * SECOND, "seconds_observed": 4.0, "mean": SAD, "dominant": "sad"}
    calm, tense = {"stress_ratio": 0.0, "happiness_ratio": 1.0}, {"stress_ratio": 1.0, "happiness_ratio": 0.0}
    store.finish_run(run(frames=500, faces=400, dropped=3))
    store.finish_run(run(run_id="other", frames=9))
    windows = [
        window(**first, **calm),
        window(**second, **tense),
        empty_window(window_start=START + 20 * SECOND),
        window(window_seconds=60, mean=SAD),
        window(person_id="a", **first, **calm),
        window(person_id="a", **second, **tense),
        window(person_id="a", window_seconds=60, mean=SAD),
        window(run_id="other", window_seconds=60, mean=SAD, person_id="b", seconds_observed=7.0),
        window(run_id="other", window_seconds=60, mean=SAD, seconds_observed=7.0),
    ]
    people = [
        person(person_id="a", seconds_observed=16.0, observations=400),
        person(person_id="unseen", seconds_observed=0.5),
        person(person_id="b", run_id="other", seconds_observed=7.0),
    ]
    store.write(Rows(windows=windows, people=people, episodes=[episode(person_id="a")]))
    return store


def test_totals_are_weighted_by_time_and_count_each_moment_once(filled: Store) -> None:
    totals = filled.totals(["door-1"])
    assert (totals.frames, totals.faces, totals.dropped, totals.people, totals.windows) == (500, 400, 3, 2, 4)
    assert totals.mean == pytest.approx((0, 0, 0, 0.75, 0.25, 0, 0))
    assert (totals.dominant, totals.seconds_observed) == ("happy", 16.0)
    assert (totals.stress_ratio, totals.happiness_ratio) == pytest.approx((0.25, 0.75))
    both = filled.totals(["door-1", "other"])
    assert (both.frames, both.people, both.seconds_observed) == (509, 3, 23.0)
    assert both.mean == pytest.approx((0, 0, 0, 12 / 23, 11 / 23, 0, 0))


def test_people_come_with_their_own_means_longest_seen_first(filled: Store) -> None:
    first, second = filled.people(["door-1"])
    assert (first.person_id, first.observations, first.seconds_observed) == ("a", 400, 16.0)
    assert first.mean == pytest.approx((0, 0, 0, 0.75, 0.25, 0, 0))
    assert (first.dominant, first.stress_ratio, first.happiness_ratio) == ("happy", 0.25, 0.75)
    assert first.first_seen.utcoffset() is not None
    assert (second.person_id, second.mean, second.dominant) == ("unseen", None, None)
    assert [someone.person_id for someone in filled.people(["other"])] == ["b"]


def test_a_run_without_anyone_has_no_mean(store: Store) -> None:
    store.finish_run(run(frames=10))
    store.write(Rows(windows=[empty_window()]))
    totals = store.totals(["door-1"])
    assert (totals.frames, totals.windows, totals.mean, totals.stress_ratio) == (10, 1, None, None)
    assert store.people(["door-1"]) == []
    assert store.totals([]).frames == 0


def test_a_moment_without_length_still_has_a_mean(store: Store) -> None:
    store.write(Rows(windows=[window(seconds_observed=0.0, mean=SAD)]))
    assert store.totals(["door-1"]).mean == SAD


def test_the_view_of_a_camera_merges_its_runs(filled: Store, url: str) -> None:
    calm = window(run_id="door-2", seconds_observed=4.0, mean=SAD, stress_ratio=1.0, happiness_ratio=0.0, frames=50)
    filled.write(Rows(windows=[calm]))
    rows = select(
        url,
        "SELECT frames, seconds_observed, mean_happy, mean_sad, dominant, stress_ratio FROM camera_window "
        "WHERE window_seconds = 10 ORDER BY window_start",
    )
    assert [int(row[0]) for row in rows] == [300, 250, 250]
    assert rows[0][1:] == (16.0, 0.75, 0.25, "happy", 0.25)
    assert rows[2][1:] == (0.0, None, None, None, None)


def test_the_views_of_people_agree_with_the_summary(filled: Store, url: str) -> None:
    query = "SELECT person_id, mean_happy, dominant, stress_ratio, stress_episodes FROM person_summary ORDER BY 1"
    assert select(url, query) == [
        ("a", 0.75, "happy", 0.25, 1),
        ("b", 0.0, "sad", 0.125, 0),
        ("unseen", None, None, None, 0),
    ]
    assert select(url, "SELECT count(*) FROM person_window WHERE person_id = 'a'") == [(3,)]
