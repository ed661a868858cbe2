"""Worker processes on a real Redis that are killed, stopped, started twice and given cameras while they run."""

import json
import signal
import threading
import time
import urllib.request
from collections import Counter
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from contracts.messages import FrameEmotions, RunEnded, RunStarted
from contracts.settings import RedisSettings, Settings
from ingest import open_source
from pipeline.link import Link
from pipeline.workers import replay as replaying
from tests.pipeline.distributed.crew import (
    Looker,
    crew,
    feed_demo,
    haar,
    nothing_left,
    process,
    seqs,
)
from tests.pipeline.distributed.redis_side import (
    link_to,
    stream,
)
from tests.services.rtsp import RtspServer, why_not


def test_a_replay_killed_in_the_middle_goes_on_and_is_not_done_twice(
    settings: RedisSettings, redis: "Redis", tmp_path: Path
) -> None:
    small = settings.model_copy(update={"backlog": 15})
    with crew(small) as workers:
        first = process(small, tmp_path, "replay", "demo:3", "--camera", "cam")
        workers.wait_for(lambda: redis.xlen(stream(small, "frames")) >= 15)
        first.kill()
        first.communicate()
        second = process(small, tmp_path, "replay", "demo:3", "--camera", "cam")
        time.sleep(1)
        workers.classify()
        workers.detect(Looker())
        out, err = second.communicate(timeout=30)
        assert second.returncode == 0, err
        assert "75 frames published" in out
        workers.wait_for(nothing_left(redis, small))
        messages = workers.topic.messages
        assert Counter(seqs(messages)) == Counter(range(75))
        assert Counter(map(type, messages)) == {FrameEmotions: 75, RunStarted: 1, RunEnded: 1}
        assert len({message.run_id for message in messages}) == 1
        third = process(small, tmp_path, "replay", "demo:3", "--camera", "cam", "--json")
        out, err = third.communicate(timeout=30)
        assert "replayed before" in err
        assert json.loads(out) == {"run_ids": [messages[0].run_id], "published": 75, "complete": True}
        assert len(workers.topic.raw) == 77
        again = process(small, tmp_path, "replay", "demo:3", "--camera", "cam", "--again")
        out, err = again.communicate(timeout=30)
        assert again.returncode == 0, err
        workers.wait_for(lambda: len(workers.topic.raw) == 2 * 77)


def test_a_replay_of_what_was_done_before_is_gone_on_with_too(
    settings: RedisSettings, redis: "Redis", tmp_path: Path
) -> None:
    small = settings.model_copy(update={"backlog": 15})
    with crew(small) as workers:
        first = process(small, tmp_path, "replay", "demo:1", "--camera", "cam", "--again")
        workers.wait_for(lambda: redis.xlen(stream(small, "frames")) >= 15)
        first.send_signal(signal.SIGTERM)
        _, err = first.communicate(timeout=20)
        assert (first.returncode, "the same command goes on from there" in err) == (130, True)
        workers.classify()
        workers.detect(Looker())
        for times in (1, 2):
            again = process(small, tmp_path, "replay", "demo:1", "--camera", "cam", "--again")
            out, err = again.communicate(timeout=30)
            assert "25 frames published" in out, err
            workers.wait_for(nothing_left(redis, small))
            assert Counter(seqs(workers.topic.messages)) == Counter(list(range(25)) * times)
            assert len({message.run_id for message in workers.topic.messages}) == times


def test_a_replay_that_nobody_works_on_asks_for_the_workers(
    settings: RedisSettings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replaying, "STILL", 0.5)
    with crew(settings.model_copy(update={"backlog": 15})) as workers:
        source = open_source("demo:1", camera_id="cam", settings=workers.settings.ingest)
        work = partial(replaying.replay, "demo:1", source, workers.settings, again=False, store=None)
        thread = threading.Thread(target=work)
        thread.start()
        wanted = "(15 messages wait in Redis); do detect, classify and aggregate run?"
        workers.wait_for(lambda: wanted in capsys.readouterr().err)
        workers.classify()
        workers.detect(Looker())
        thread.join(30)
        assert not thread.is_alive()


def test_a_detect_process_killed_is_replaced_and_a_stopped_one_leaves_nothing_in_its_hand(
    settings: RedisSettings, redis: "Redis", link: Link, tmp_path: Path
) -> None:
    with crew(settings) as workers:
        workers.classify()
        feed = feed_demo(link, workers.settings, 12)
        killed = process(settings, tmp_path, "detect")
        workers.wait_for(lambda: len(workers.topic.raw) > 30)
        killed.kill()
        killed.communicate()
        seen = len(workers.topic.raw)
        stopped = process(settings, tmp_path, "detect")
        assert stopped.stderr is not None
        line = stopped.stderr.readline()
        address = line.split()[-1]
        workers.wait_for(lambda: len(workers.topic.raw) > seen + 30)
        assert urllib.request.urlopen(f"{address}/ready").status == 200
        metrics = urllib.request.urlopen(f"{address}/metrics").read().decode()
        assert 'affectstream_frames_total{camera="cam",stage="detect"}' in metrics
        stopped.send_signal(signal.SIGTERM)
        _, err = stopped.communicate(timeout=10)
        assert (stopped.returncode, err) == (0, "")
        assert len(redis.xpending_range(stream(settings, "frames"), "detect", "-", "+", 100)) <= 8  # the killed one's
        workers.detect(haar())
        workers.wait_for(lambda: not feed.alive)
        workers.wait_for(nothing_left(redis, settings))
        assert Counter(seqs(workers.topic.messages)) == Counter(range(300))


def test_two_ingest_workers_do_not_publish_one_camera(settings: RedisSettings, link: Link, redis: "Redis") -> None:
    slow = Settings.model_validate({"redis": settings, "ingest": {"pace": "realtime"}})
    first = feed_demo(link, slow, 20)
    while first.published < 5:
        time.sleep(0.02)
    second = feed_demo(link, slow, 20)
    while second.published < 10:
        time.sleep(0.02)
    first.join(5)
    assert not first.alive
    assert "published by another worker" in str(first.error)
    second.stop()
    second.join(5)
    entries: Any = redis.xrange(stream(settings, "frames"))
    numbers = [int(content[b"seq"]) for _, content in entries if content[b"seq"]]
    assert numbers == list(range(len(numbers)))


def test_a_recording_begun_now_keeps_its_beginning_when_it_is_gone_on_with(
    settings: RedisSettings, link: Link, redis: "Redis"
) -> None:
    small = Settings.model_validate(
        {"redis": settings.model_copy(update={"backlog": 10}), "ingest": {"start": "now"}}
    )  # fmt: skip
    narrow = link_to(small.redis)
    first = feed_demo(narrow, small, 1)
    while first.published < 9:
        time.sleep(0.02)
    first.stop()
    first.join(5)
    time.sleep(0.5)
    second = feed_demo(link, Settings.model_validate({"redis": settings, "ingest": {"start": "now"}}), 1)
    second.join(10)
    entries: Any = redis.xrange(stream(settings, "frames"))
    times = [int(content[b"at"]) for _, content in entries if content[b"seq"]]
    assert len(times) == 25
    assert {later - earlier for earlier, later in pairwise(times)} == {40_000_000}
    narrow.close()


@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
def test_a_camera_is_added_and_removed_while_an_ingest_worker_runs(
    settings: RedisSettings, redis: "Redis", tmp_path: Path
) -> None:
    def cameras(*arguments: str) -> None:
        out, err = process(settings, tmp_path, "cameras", *arguments).communicate(timeout=30)
        assert not err, (out, err)

    with RtspServer(width=160, height=120) as camera, crew(settings) as workers:
        workers.classify()
        workers.detect(Looker())
        worker = process(settings, tmp_path, "ingest")
        cameras("add", "door", camera.url)
        workers.wait_for(lambda: len(workers.topic.raw) > 30)
        cameras("remove", "door")
        workers.wait_for(lambda: any(isinstance(message, RunEnded) for message in workers.topic.messages))
        worker.send_signal(signal.SIGTERM)
        _, err = worker.communicate(timeout=20)
        assert worker.returncode == 0, err
        end = next(message for message in workers.topic.messages if isinstance(message, RunEnded))
        assert (end.camera_id, end.error) == ("door", None)
        workers.wait_for(nothing_left(redis, settings))
        assert sorted(seqs(workers.topic.messages)) == list(range(end.frames))
