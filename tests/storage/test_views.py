"""The views answer what people ask, the same in both databases, and look only at what they are asked about."""

import re

import pytest
from sqlalchemy import create_engine, text

from contracts.rows import Rows
from storage.cameras import Cameras
from storage.choosing import choose
from storage.store import Store
from tests.storage.samples import (
    SECOND,
    START,
    dead_letter,
    empty_window,
    episode,
    observation,
    opened,
    person,
    run,
    select,
    some_rows,
    window,
)

MINUTE = 60 * SECOND


def text_of(url: str, column: str) -> str:
    """A moment as text, to the second, in both databases."""
    return f"substr({column}, 1, 19)" if url.startswith("sqlite") else f"to_char({column}, 'YYYY-MM-DD HH24:MI:SS')"


def test_an_episode_says_how_long_it_lasted(store: Store, url: str) -> None:
    ended = START + 61 * SECOND + 250_000_000
    store.write(Rows(episodes=[episode(started_at=START + SECOND // 2, ended_at=ended)]))
    assert select(url, "SELECT person_id, camera_id, run_id, seconds, stress_mean, stress_max FROM episode") == [
        ("door-1-p1", "door", "door-1", 60.75, 0.5, 0.875)
    ]


def test_the_moments_of_people_leave_out_faces_that_were_not_followed(store: Store, url: str) -> None:
    store.write(Rows(observations=[observation(0), observation(1, person_id=""), observation(2)]))
    query = (
        "SELECT seq, p_happy, s_neutral, dominant, stress FROM person_moment WHERE person_id = 'door-1-p1' ORDER BY 1"
    )
    assert select(url, query) == [(0, 0.25, 0.125, "sad", 0.5), (2, 0.25, 0.125, "sad", 0.5)]
    assert select(url, "SELECT count(*) FROM person_moment") == [(2,)]


def test_dead_frames_and_runs_are_there_to_be_read(store: Store, url: str) -> None:
    store.start_run(run())
    store.write(Rows(dead_letters=[dead_letter()]))
    query = "SELECT camera_id, run_id, seq, stage, reason FROM dead_frame"
    assert select(url, query) == [("door", "door-1", 7, "detector", "the picture is empty")]
    assert select(url, "SELECT run_id, source, status, ended_at FROM camera_run") == [
        ("door-1", "rtsp://door/", "running", None)
    ]


SUMMARY = "SELECT camera_id, runs, live, status, frames, dropped, faces, people, dead_letters FROM camera_summary"


def test_a_camera_is_summed_up_over_its_runs_and_stands_as_its_latest(store: Store, url: str) -> None:
    first = {"frames": 100, "dropped": 5, "faces": 40, "ended_at": START + MINUTE}
    store.finish_run(run(live=False, status="failed", **first))
    later = {"run_id": "door-2", "started_at": START + 5 * MINUTE, "frames": 10, "faces": 2}
    store.finish_run(run(status="interrupted", **later, ended_at=START + 6 * MINUTE))
    store.finish_run(run(run_id="hall-1", camera_id="hall", frames=7))
    store.write(Rows(people=[person(), person(person_id="p2")], dead_letters=[dead_letter(), dead_letter(seq=8)]))
    door, hall = select(url, f"{SUMMARY} ORDER BY camera_id")
    assert door == ("door", 2, True, "interrupted", 110, 5, 42, 2, 2)
    assert hall == ("hall", 1, True, "running", 7, 0, 0, 0, 0)
    seen = f"SELECT {text_of(url, 'last_seen')} FROM camera_summary WHERE camera_id = 'door'"
    assert select(url, seen) == [("2026-01-01 00:06:00",)]


def test_a_camera_that_runs_was_seen_until_its_latest_window(store: Store, url: str) -> None:
    seen = f"SELECT {text_of(url, 'last_seen')} FROM camera_summary"
    store.start_run(run())
    assert select(url, seen) == [("2026-01-01 00:00:00",)]
    windows = [window(), empty_window(window_start=START + 70 * SECOND), window(window_seconds=60)]
    store.write(Rows(windows=[*windows, window(run_id="door-0", window_start=START + 900 * SECOND)]))
    assert select(url, seen) == [("2026-01-01 00:01:20",)]


def test_a_camera_without_runs_is_there_and_says_nothing_of_itself(store: Store, url: str) -> None:
    Cameras(store).add("door", "rtsp://door/")
    assert select(url, SUMMARY) == [("door", 0, None, None, 0, 0, 0, 0, 0)]
    assert select(url, "SELECT last_seen FROM camera_summary") == [(None,)]


def test_a_person_in_two_runs_counts_each_moment_once(store: Store, url: str) -> None:
    """Also where the runs have windows of different lengths."""
    mine = {"person_id": "a", "people": 1}
    one = [window(window_seconds=seconds, seconds_observed=4.0, stress_ratio=1.0, **mine) for seconds in (10, 60)]
    other = [window(run_id="door-2", window_seconds=60, seconds_observed=12.0, stress_ratio=0.0, **mine)]
    store.write(Rows(windows=one + other, people=[person(person_id="a")]))
    assert select(url, "SELECT stress_ratio, transitions FROM person_summary") == [(0.25, 6)]


def test_counts_stay_whole_numbers(store: Store, url: str) -> None:
    store.write(some_rows())
    (counts,) = select(
        url, "SELECT frames, observations, people, transitions FROM camera_window WHERE frames > 0 LIMIT 1"
    )
    assert [type(count) for count in counts] == [int] * 4


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("person_moment WHERE person_id = 'door-1-p1'", "observation_20260101_person_id_idx"),
        ("person_window WHERE person_id = 'door-1-p1' AND window_seconds = 10", "window_stat_by_person"),
        ("person_summary WHERE person_id = 'door-1-p1'", "window_stat_by_person"),
        ("person_summary ORDER BY last_seen DESC LIMIT 100", "person_by_time"),
        ("camera_window WHERE window_seconds = 900", "window_stat_by_camera"),
        (
            "camera_window WHERE camera_id = 'door' AND window_seconds = 60 AND window_start > '2026-01-01'",
            "window_stat_by_camera",
        ),
        ("episode WHERE camera_id = 'door' AND started_at > '2026-01-01'", "stress_episode_by_camera"),
        ("dead_frame WHERE camera_id = 'door'", "dead_letter_by_camera"),
    ],
)
def test_a_question_about_a_part_looks_at_that_part_alone(postgres_url: str, query: str, index: str) -> None:
    with opened(postgres_url) as store:
        store.write(some_rows())
    engine = create_engine(choose(postgres_url).engine.url)
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL enable_seqscan = off"))  # else a small table is read as a whole
        plan = "\n".join(connection.scalars(text(f"EXPLAIN SELECT * FROM {query}")))
    engine.dispose()
    assert index in plan
    assert "Seq Scan" not in plan
    if "WHERE" in query:
        column = query.split()[2]
        assert re.search(rf"Index Cond: .*\({column} = ", plan)
