"""The distributed mode as a whole, on real Redis, Kafka and Postgres, with real worker processes."""

import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy.exc import SQLAlchemyError

from benchmarks.chaos import chaos
from tests.pipeline.conftest import Command, select
from tests.pipeline.distributed.accounting import WINDOWS, Account, account, differences, picture
from tests.pipeline.distributed.cluster import SERVERS, Cluster, until

pytestmark = [pytest.mark.xdist_group("kafka"), pytest.mark.timeout(600), pytest.mark.slow]
SCENE = "demo:24"
FRAMES = 24 * 25
START = ("--start", "2026-01-01T12:00:05Z")
"""Not the file's own time: a window that is cut down to a few faces may differ by more than a whole one."""
HAAR = {"detector_name": "haar", "detector_workers": 1, "aggregator_windows": "2,10"}


class Calm(msgspec.Struct):
    """What an undisturbed replay says."""

    settings: dict[str, object]
    picture: dict[str, list[tuple[Any, ...]]]


@pytest.fixture(scope="module")
def calm(place: Cluster) -> Calm:
    place.fresh(HAAR)
    with place.workers(1, sys.stderr):
        place.replay(SCENE, "door")
    return Calm(dict(HAAR), picture(place, "door"))


def observations(place: Cluster) -> int:
    with suppress(SQLAlchemyError):  # the tables are just being made, or Postgres started
        return int(place.ask("SELECT count(*) FROM observation")[0][0])
    return 0


def finished(place: Cluster) -> bool:
    return place.ask("SELECT count(*) FROM run WHERE status = 'finished'") == [(1,)]


@pytest.mark.parametrize("each", [1, 2, 3])
def test_the_workers_say_what_run_says(
    place: Cluster, shared: Path, affectstream: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, each: int
) -> None:
    video = shared / "videos" / "people.mp4"
    monkeypatch.setenv("AFFECTSTREAM_MODELS", str(shared / "models"))
    monkeypatch.delenv("AFFECTSTREAM_DETECTOR_NAME")
    alone = affectstream("run", video, *START, "--db", "alone.db", "--json").object
    place.fresh({"models": shared / "models"})
    with place.workers(each, sys.stderr):
        said = place.replay(video, "people", *START)
    assert (said["frames"], said["people"], said["windows"]) == (alone["frames"], alone["people"], alone["windows"])
    for emotion, mean in alone["mean"].items():
        assert said["mean"][emotion] == pytest.approx(mean, abs=0.02)
    ours = place.ask(WINDOWS.format(camera="people"))
    theirs = select(tmp_path / "alone.db", WINDOWS.format(camera="people"))
    assert [row[0] for row in ours] == [row[0] for row in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        assert mine[2] == other[2], "frames of a window"
        assert mine[5:-2] == pytest.approx(other[5:-2], abs=0.02), "means"
        # JPEG moves boxes by a pixel. Whose first face is as happy as it is neutral counts to the other side by that,
        # for all of the second that they pass by in.
        assert mine[-2:] == pytest.approx(other[-2:], abs=0.05), "ratios"
    assert place.waiting() == 0


def test_each_kind_may_be_killed_in_turn_in_mid_replay(place: Cluster, calm: Calm) -> None:
    place.fresh(calm.settings)
    with place.workers(1, sys.stderr, {"door": SCENE}) as supervisor:
        for kind in ("detect-1", "redis", "classify-1", "kafka", "aggregate-1", "postgres", "replay-door"):
            progress = observations(place)
            until(lambda progress=progress: observations(place) > progress or finished(place), 60)  # type: ignore[misc]
            if kind in SERVERS:
                place.restart(kind)
            elif not finished(place):
                assert supervisor.kill(kind), kind
        until(lambda: finished(place), 120)
    assert account(place, "door", sent=FRAMES) == Account(sent=FRAMES, stored=FRAMES, doubled=0, missing=0, dead=0)
    assert differences(picture(place, "door"), calm.picture, within=1e-3) == []
    assert place.waiting() == 0


def test_whatever_is_killed_every_two_seconds_each_frame_is_stored_once_and_the_windows_stay(place: Cluster) -> None:
    place.fresh(HAAR)
    bills, killed, found = chaos(place, "demo:16", cameras=3, seed=1, seconds=60, every=2, patience=240)
    assert sum(killed.values()) > 15
    assert [(bill.doubled, bill.missing, bill.stored + bill.dead) for bill in bills] == [(0, 0, 400)] * 3
    assert found == []
