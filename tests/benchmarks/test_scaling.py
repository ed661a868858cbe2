"""What the benchmark of scaling shows is what it says: so many faces, cameras and pixels, and the line through them."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from benchmarks import plots, scaling, scaling_memory, scaling_videos
from benchmarks.end_to_end import searched
from benchmarks.law import law
from benchmarks.result import Column, Result, Spread, Table, machine, middle, result
from benchmarks.scaling_memory import Endless
from benchmarks.scaling_videos import RATE, Recordings, encode, faces_of, scene
from contracts.errors import AffectstreamError, InputError
from contracts.messages import Frame, Picture, RunEnded, RunStarted
from contracts.settings import Settings
from docs.make_performance import written
from ingest import open_source
from tests.pipeline.conftest import Command, affectstream  # noqa: F401  (a fixture)

pytestmark = [pytest.mark.xdist_group("tensorflow"), pytest.mark.timeout(180)]

HAAR = Settings.model_validate({"detector": {"name": "haar"}})
SMALL = (640, 360)
PERIOD = 5  # frames; as long as a test wants to wait


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recordings of a few frames, faces from a few frames of the demo, and two points on each curve."""
    monkeypatch.setattr(scaling_videos, "PERIOD", PERIOD)
    monkeypatch.setattr(scaling_videos, "LOOKED_AT", (60, 20))
    monkeypatch.setattr(scaling, "FACES", (0, 2))
    monkeypatch.setattr(scaling, "SIZES", {"180p": (320, 180), "360p": SMALL})
    monkeypatch.setattr(scaling, "SIZE", "360p")
    monkeypatch.setattr(scaling, "CAMERAS", (1, 2))


@pytest.fixture(scope="module")
def people() -> list[Picture]:
    return faces_of("demo:3", HAAR)


def test_a_recording_shows_as_many_faces_as_are_asked_for_in_every_size(people: list[Picture], tmp_path: Path) -> None:
    recordings = Recordings(tmp_path, people)
    for size, faces in ((SMALL, 0), (SMALL, 1), (SMALL, 6), ((1280, 720), 30)):
        seen = searched(recordings.get(size, faces, 0.2), HAAR)
        assert seen.frames == PERIOD
        assert seen.faces / seen.frames == pytest.approx(faces, abs=0.15 * faces)  # Haar sees one in the clouds


def test_more_faces_than_there_are_places_are_refused(people: list[Picture]) -> None:
    with pytest.raises(InputError, match="32 faces"):
        next(scene(SMALL, people[:1] * 33))


def test_faces_are_not_taken_from_a_recording_that_shows_none(tmp_path: Path) -> None:
    video = Recordings(tmp_path, []).get(SMALL, 0, 0.2)
    with pytest.raises(InputError, match="no face"):
        faces_of(str(video), HAAR)


def test_the_same_recording_is_made_every_time(people: list[Picture], tmp_path: Path) -> None:
    for name in ("one.mp4", "other.mp4"):
        encode(tmp_path / name, scene(SMALL, people), SMALL)
    assert (tmp_path / "one.mp4").read_bytes() == (tmp_path / "other.mp4").read_bytes()


def test_a_longer_recording_repeats_the_scene_in_even_steps(tmp_path: Path) -> None:
    video = Recordings(tmp_path, []).get(SMALL, 0, 4 * PERIOD / RATE)
    source = open_source(str(video), camera_id="door", settings=HAAR.ingest)
    frames = [event for event in source.events() if isinstance(event, Frame)]
    assert len(frames) == 4 * PERIOD
    assert np.diff([frame.captured_at for frame in frames]) == pytest.approx(1e9 / RATE, rel=0.01)
    assert np.array_equal(frames[1].picture, frames[1 + 3 * PERIOD].picture)
    assert not np.array_equal(frames[1].picture, frames[2].picture)


def test_a_recording_played_again_and_again_is_one_run_in_which_time_goes_on(tmp_path: Path) -> None:
    video = tmp_path / "short.mp4"
    encode(video, scene(SMALL, []), SMALL)
    endless = Endless(open_source(str(video), camera_id="door", settings=HAAR.ingest), seconds=60)
    events = []
    for event in endless.events():
        events.append(event)
        if len(events) == 1 + 3 * PERIOD:
            endless.close()
    started, *frames, ended = events
    assert isinstance(started, RunStarted)
    assert isinstance(ended, RunEnded)
    assert ended.frames == len(frames) == 3 * PERIOD
    times = [frame.captured_at - started.started_at for frame in frames if isinstance(frame, Frame)]
    assert times == pytest.approx([number * 1e9 / RATE for number in range(3 * PERIOD)], abs=1e6)
    assert {event.run_id for event in events} == {started.run_id}


def test_the_law_is_the_line_and_says_where_a_curve_leaves_it() -> None:
    straight = law([0, 1, 6, 12], [4.0, 4.5, 7.0, 10.0])
    assert (straight.a, straight.b, straight.at(30)) == pytest.approx((4.0, 0.5, 19.0))
    assert straight.deviation == pytest.approx(0, abs=1e-9)
    assert straight.bend is None
    bent = law([0, 1, 6, 12], [4.0, 4.5, 7.0, 13.0])
    assert bent.bend is not None
    assert bent.bend.point == 3
    assert bent.bend.off == pytest.approx(0.3)
    assert bent.deviation > 0.05
    assert law([0, 1, 6], [4.0, 4.5, 70.0]).bend is None, "two points make any line"
    assert law([2, 2], [1.0, 3.0])[:2] == (2.0, 0.0)


def test_each_curve_gives_its_points_and_a_law_and_pictures_of_them(tmp_path: Path) -> None:
    notes: list[str] = []
    tables = scaling.measure(
        HAAR, curves=("faces", "sizes", "cameras"), rounds=2, seconds=0.2, people=None, hours=None, note=notes.append
    )
    by_title = {table.title: table for table in tables}
    for title, names in (
        ("faces per frame", ["0 faces", "2 faces"]), ("picture size", ["180p", "360p"]),
        ("cameras at once", ["1 camera", "2 cameras"]),
    ):  # fmt: skip
        table = by_title[title]
        assert [row[0] for row in table.rows] == names
        assert all(number > 0 for name in ("speed", "cost", "processor") for number in scaling.numbers(table, name))
    assert scaling.numbers(by_title["faces per frame"], "found") == pytest.approx([0, 2], abs=0.1)
    assert scaling.numbers(by_title["faces per frame"], "classify")[1] > 0
    cameras = by_title["cameras at once"]
    each, together = scaling.numbers(cameras, "of each"), scaling.numbers(cameras, "speed")
    assert each == pytest.approx([together[0], together[1] / 2])
    assert len(by_title["the law"].rows) == 6
    assert len(notes) == 1 + 2 * 6, "the recordings, then each point in each round"
    made = result("scaling", "affectstream bench scaling", machine(), tables)
    pictures = plots.draw(made, tmp_path)
    assert [path.name for path in pictures] == ["scaling-faces.png", "scaling-sizes.png", "scaling-cameras.png"]


def test_memory_is_that_of_processes_of_their_own(tmp_path: Path) -> None:
    ballast = bytearray(600 * 2**20)  # what this process holds is in nobody's figures
    ballast[:: 2**12] = b"\1" * len(ballast[:: 2**12])
    video = Recordings(tmp_path, []).get(SMALL, 0, 0.2)
    table = scaling_memory.by_cameras(video, HAAR, (1,), note=lambda line: None)
    assert [row[0] for row in table.rows] == ["1 camera"]
    for way in ("recordings", "live cameras"):
        assert 50 < scaling.numbers(table, way)[0] < 600
    assert len(ballast) == 600 * 2**20


def test_memory_is_watched_for_as_long_as_is_said(tmp_path: Path) -> None:
    video = Recordings(tmp_path, []).get(SMALL, 0, 0.2)
    short, samples = scaling_memory.over_time(video, "clouds", HAAR, 4 / 3600, note=lambda line: None)
    hours, frames = scaling.numbers(samples, "time"), scaling.numbers(samples, "frames")
    assert hours[-1] >= 4 / 3600
    assert hours == sorted(hours)
    assert frames[-1] > PERIOD, "it began again"
    assert len(short.rows[0]) == len(short.columns)
    assert scaling.numbers(short, "frames") == [frames[-1]]


def test_a_process_that_fails_is_told_in_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AffectstreamError, match="why stands above"):
        scaling_memory.by_cameras(tmp_path / "none.mp4", HAAR, (1,), note=lambda line: None)
    assert [line for line in capfd.readouterr().err.splitlines() if "none.mp4" in line]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("walls",), "no curve 'walls'"),
        (("time",), "--hours"),
        (("faces", "--video", "none.mp4"), "no recording none.mp4"),
        (("faces", "--json", "none/x.json"), "no folder none"),
    ],
)
def test_a_wrong_call_is_refused_in_one_line(
    affectstream: Command,  # noqa: F811
    arguments: tuple[str, ...],
    why: str,
) -> None:
    ended = affectstream("bench", "scaling", *arguments)
    assert ended.code == 2
    assert why in ended.err
    assert len(ended.err.splitlines()) == 1


MEASURED = Table(
    title="the law", columns=(Column("curve"), Column("b", "ms", 2), Column("bends at")),
    rows=[["faces", Spread(0.25, 0.2, 0.31), "nowhere"], ["sizes", 4.0, None]], note="By least squares.",
)  # fmt: skip


def of(table: Table) -> Result:
    return result("scaling", "affectstream bench scaling", machine(), [table])


def test_figures_come_into_the_document_where_it_says_and_nothing_else_changes() -> None:
    document = (
        "# Speed\n\n<!-- table scaling: the law -->\nold\n<!-- end -->\n\nIn between.\n\n"
        "<!-- table e2e: the law -->\nkept\n<!-- end -->\n\n<!-- machine scaling: the law -->\n<!-- end -->\n"
    )
    left: list[str] = []
    made = written(document, [of(MEASURED)], note=left.append)
    assert "| curve | b, ms | bends at |\n| --- | ---: | ---: |\n| faces | 0.25 (0.20 to 0.31) | nowhere |\n" in made
    assert "| sizes | 4.00 | - |\n\nBy least squares.\n" in made
    assert "old" not in made
    assert "\n\nIn between.\n\n<!-- table e2e: the law -->\nkept\n<!-- end -->\n\n" in made
    assert "`affectstream bench scaling`" in made
    assert left == ["left as it was: table e2e: the law"]
    assert written(made, [of(MEASURED)], note=left.append) == made


def test_the_last_of_two_results_with_the_same_table_counts() -> None:
    later = msgspec.structs.replace(MEASURED, rows=[["faces", 0.5, "nowhere"]])
    made = written("<!-- table scaling: the law -->\n<!-- end -->\n", [of(MEASURED), of(later)], note=print)
    assert "| faces | 0.50 | nowhere |" in made
    assert "0.25" not in made


def test_points_of_the_tables_are_read_as_their_medians() -> None:
    assert scaling.numbers(MEASURED, "b") == [0.25, 4.0]
    assert middle(MEASURED.rows[0][1]) == 0.25
