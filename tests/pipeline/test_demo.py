"""The main job on the built-in scene: nothing is needed but the packages."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from contracts.emotions import EMOTIONS
from ingest.demo_scene import ACTORS, Scene
from tests.pipeline.conftest import Command, assert_same_rows, contents, select

pytestmark = pytest.mark.xdist_group("tensorflow")


def test_the_main_job_in_one_command(affectstream: Command, tmp_path: Path) -> None:
    done = affectstream("run", "demo:12", "--json")
    assert (done.code, done.err) == (0, "")
    said = done.object
    assert set(said) >= {
        "run_ids", "frames", "dropped", "faces", "people", "windows", "seconds", "wall_seconds", "fps", "detector",
        "model", "mean", "stress_ratio", "happiness_ratio",
    }  # fmt: skip
    assert (said["frames"], said["dropped"], said["detector"], said["model"]) == (300, 0, "haar", "default/ferplus")
    assert said["seconds"] == pytest.approx(12, abs=0.1)
    assert list(said["mean"]) == list(EMOTIONS)
    assert sum(said["mean"].values()) == pytest.approx(1, abs=1e-4)
    assert 2 <= said["people"] <= 8
    database = tmp_path / "affectstream.db"
    assert select(database, "SELECT count(*) FROM observation") == [(said["faces"],)]
    assert select(database, "SELECT count(*) FROM person") == [(said["people"],)]
    assert select(database, "SELECT count(*) FROM window_stat WHERE person_id = ''") == [(said["windows"],)]
    frames = "SELECT sum(frames) FROM window_stat WHERE person_id = '' AND window_seconds = "
    for seconds in (10, 60, 900):
        assert select(database, frames + str(seconds)) == [(300,)]
    assert select(database, "SELECT status, frames, error FROM run") == [("finished", 300, None)]


def test_the_same_video_twice_gives_the_same_rows(affectstream: Command, tmp_path: Path) -> None:
    for name in ("one.db", "two.db"):
        assert affectstream("run", "demo:8", "--db", name).code == 0
    assert_same_rows(contents(tmp_path / "one.db", "demo"), contents(tmp_path / "two.db", "demo"))


def test_two_sources_at_once_give_the_same_rows_as_one_after_the_other(affectstream: Command, tmp_path: Path) -> None:
    at_once = ("demo:6", "demo:4", "--camera", "door", "--camera", "hall", "--db", "once.db")
    assert affectstream("run", *at_once).code == 0
    assert affectstream("run", "demo:6", "--camera", "door", "--db", "turns.db").code == 0
    assert affectstream("run", "demo:4", "--camera", "hall", "--db", "turns.db").code == 0
    for camera in ("door", "hall"):
        assert_same_rows(contents(tmp_path / "once.db", camera), contents(tmp_path / "turns.db", camera))


def test_two_sources_of_one_name_become_two_cameras(affectstream: Command, tmp_path: Path) -> None:
    assert len(affectstream("run", "demo:1", "demo:1", "--json").object["run_ids"]) == 2
    cameras = select(tmp_path / "affectstream.db", "SELECT camera_id FROM camera ORDER BY 1")
    assert cameras == [("demo",), ("demo-2",)]


def test_a_second_run_adds_to_the_database(affectstream: Command, tmp_path: Path) -> None:
    for runs in (1, 2):
        assert affectstream("run", "demo:2").code == 0
        assert select(tmp_path / "affectstream.db", "SELECT count(DISTINCT run_id) FROM observation") == [(runs,)]


def test_windows_are_those_that_were_asked_for(affectstream: Command, tmp_path: Path) -> None:
    assert affectstream("run", "demo:4", "--window", "1", "--window", "3").code == 0
    lengths = select(tmp_path / "affectstream.db", "SELECT DISTINCT window_seconds FROM window_stat ORDER BY 1")
    assert lengths == [(1,), (3,)]


def test_aggregate_privacy_stores_nothing_about_any_one_person(affectstream: Command, tmp_path: Path) -> None:
    assert affectstream("run", "demo:6", "--privacy", "aggregate").code == 0
    database = tmp_path / "affectstream.db"
    for table in ("person", "observation", "stress_episode"):
        assert select(database, f"SELECT count(*) FROM {table}") == [(0,)]
    assert select(database, "SELECT DISTINCT person_id FROM window_stat") == [("",)]
    assert select(database, "SELECT sum(people) > 0 FROM window_stat") == [(1,)]


def test_the_summary_says_who_was_seen_and_where_to_ask_for_more(affectstream: Command) -> None:
    done = affectstream("run", "demo:6")
    assert done.err == ""
    for word in ("demo", "people", "stressed", "happy", "neutral", "sqlite3", "affectstream.db", "frames/s"):
        assert word in done.out


def test_without_colours_the_summary_says_which_letter_is_which_emotion(affectstream: Command) -> None:
    assert "H happy  S sad  ! surprise" in affectstream("run", "demo:6").out
    nobody = affectstream("run", "demo:6", "--privacy", "aggregate", "--db", "aggregate.db").out
    assert "frames/s" in nobody
    assert "! surprise" not in nobody  # nor are there bars of letters


def test_the_summary_has_the_times_of_this_machine_as_history_has(
    affectstream: Command, in_zone: Callable[[str], None]
) -> None:
    in_zone("Asia/Tokyo")
    done = affectstream("run", "demo:6", "--start", "2026-01-31T09:00:00Z", "--db", "my data.db")
    assert " 18:00:0" in done.out
    assert "09:00:0" not in done.out
    assert " 18:00:0" in affectstream("history", "--window", "10", "--db", "my data.db").out
    assert "sqlite3 -box 'my data.db' " in done.out  # to be pasted


@pytest.mark.parametrize("interrupt", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_a_run_cleanly_and_keeps_what_was_done(tmp_path: Path, interrupt: signal.Signals) -> None:
    command = [
        sys.executable,
        "-m",
        "pipeline",
        "run",
        "demo:600",
        "--pace",
        "realtime",
        "--detector",
        "haar",
        "--json",
    ]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AFFECTSTREAM_")}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    # A shell that runs the tests in the background has them ignore Ctrl-C, and whatever they start.
    heard = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    signal.signal(signal.SIGINT, heard)
    database = tmp_path / "affectstream.db"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        time.sleep(0.5)
        if database.exists() and _count(database, "observation") > 30:
            break
    process.send_signal(interrupt)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")
    assert select(database, "SELECT status FROM run") == [("interrupted",)]
    frames = select(database, "SELECT frames FROM run")[0][0]
    assert f'"frames": {frames}' in out
    assert select(database, "SELECT sum(frames) FROM window_stat WHERE person_id = '' AND window_seconds = 10") == [
        (frames,)
    ]


def _count(database: Path, table: str) -> int:
    try:
        return int(select(database, f"SELECT count(*) FROM {table}")[0][0])
    except Exception:  # noqa: BLE001  (not made yet, or busy)
        return 0


def test_each_appearance_of_somebody_is_one_person(affectstream: Command, tmp_path: Path) -> None:
    """The demo knows who is where: people cross, hide each other, leave and come back."""
    assert affectstream("run", "demo").code == 0
    started = select(tmp_path / "affectstream.db", "SELECT min(captured_at) FROM observation")[0][0]
    rows = select(
        tmp_path / "affectstream.db",
        "SELECT seq, x, y, width, height, person_id FROM observation WHERE person_id <> '' ORDER BY seq",
    )
    assert started.startswith("2025-01-01 00:00:00")
    scene, people = Scene(), defaultdict(Counter)  # type: ignore[var-annotated]
    for seq, x, y, width, height, person in rows:
        for face in scene.seen(seq / 25):
            left, top, wide, high = face.box
            if abs(left + wide / 2 - x - width / 2) < wide / 3 and abs(top + high / 2 - y - height / 2) < high / 3:
                people[face.name][person] += 1
    assert set(people) == {actor.name for actor in ACTORS}
    expected = {actor.name: len(actor.walks) for actor in ACTORS}
    for name, seen in people.items():
        assert len([person for person, times in seen.items() if times >= 5]) <= expected[name] + 1, (name, seen)
        assert sum(times for _, times in seen.most_common(expected[name])) >= 0.9 * seen.total(), (name, seen)
    main_people = [person for name, seen in people.items() for person, _ in seen.most_common(expected[name])]
    assert len(main_people) == len(set(main_people)), "two people were taken for one"
