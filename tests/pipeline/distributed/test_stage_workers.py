"""The workers on a real Redis, with a topic in memory: each frame comes out once, whatever goes away meanwhile."""

import threading
import time
from collections import Counter
from collections.abc import Generator, Sequence
from functools import partial
from unittest.mock import Mock

import numpy as np
import pytest
from redis import Redis

from contracts.messages import FrameEmotions, RunEnded, RunStarted, Tombstone
from contracts.settings import IngestSettings, RedisSettings
from ingest.live import LiveSource, Shot
from pipeline.jpeg import to_jpeg, to_picture
from pipeline.link import Link
from pipeline.streams import fields
from pipeline.workers import detect, ingest
from pipeline.workers.ingest import Feed
from tests.pipeline.distributed.crew import Looker, add, crew, feed_demo, haar, nothing_left, seqs
from tests.pipeline.distributed.redis_side import (
    JPEG,
    faces,
    leftovers,
    link_to,
    picture,
    stream,
)
from tests.services.redis import RedisServer


def test_the_demo_goes_through_whole_and_leaves_nothing_behind(
    settings: RedisSettings, link: Link, redis: "Redis"
) -> None:
    with crew(settings) as workers:
        workers.classify()
        for _ in range(2):
            workers.detect(haar())
        feed = feed_demo(link, workers.settings, 4)
        other = feed_demo(link, workers.settings, 2, camera="door")
        workers.wait_for(lambda: Counter(map(type, workers.topic.messages))[RunEnded] == 2 and not feed.alive)
        workers.wait_for(nothing_left(redis, settings))
        mine = [message for message in workers.topic.messages if message.camera_id == "cam"]
        assert sorted(seqs(mine)) == list(range(100))
        assert {message.run_id for message in mine} == {feed.run_id}
        begun = next(message for message in mine if isinstance(message, RunStarted))
        assert (begun.detector, begun.model, begun.live) == ("haar", "brightness", False)
        assert next(message.frames for message in mine if isinstance(message, RunEnded)) == 100
        assert sum(len(message.boxes) for message in mine if isinstance(message, FrameEmotions)) > 100
        assert {name for name, _ in workers.topic.raw} == {"cam", "door"}
        assert not other.error
        assert max(workers.reader.batches) > 3  # faces of several frames in one call
    assert sum(len(redis.xinfo_consumers(name, group)) for name, group in _groups(settings)) == 0


@pytest.mark.parametrize("as_jpeg", [False, True], ids=["a picture", "JPEG"])
def test_a_picture_is_encoded_once_if_at_all_and_decoded_once(
    as_jpeg: bool, settings: RedisSettings, link: Link, redis: "Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, decoder = Mock(wraps=to_jpeg), Mock(wraps=to_picture)
    monkeypatch.setattr(ingest, "to_jpeg", encoder)
    monkeypatch.setattr(detect, "to_picture", decoder)

    def shots(stop: threading.Event) -> Generator[Shot, None, None]:
        while not stop.wait(0.02):
            yield lambda: (picture(), JPEG if as_jpeg else b"")

    with crew(settings) as workers:
        workers.classify()
        workers.detect(Looker())
        feed = Feed(LiveSource("x", "live", IngestSettings(), shots), link, workers.settings, say=workers.said.append)
        feed.start()
        workers.wait_for(lambda: feed.published > 10)
        feed.stop()
        workers.wait_for(lambda: not feed.alive)
        workers.wait_for(nothing_left(redis, settings))
    assert encoder.call_count == (0 if as_jpeg else feed.published)
    assert decoder.call_count == feed.published
    assert not as_jpeg or {call.args[0] for call in decoder.call_args_list} == {JPEG}


def _groups(settings: RedisSettings) -> list[tuple[str, str]]:
    pairs = (("frames", "detect"), ("faces", "classify"))
    return [(f"{{{settings.prefix}:{n}}}:{what}", group) for n in range(settings.shards) for what, group in pairs]


def test_while_kafka_is_away_nothing_is_given_up_taken_over_or_lost(settings: RedisSettings, redis: "Redis") -> None:
    for seq in range(20):
        add(redis, stream(settings, "faces"), fields(faces(seq)))
    with crew(settings) as workers:
        workers.topic.away = True
        shells = [workers.classify() for _ in range(2)]
        time.sleep(0.5)
        assert not any(shell.ready.is_set() for shell in shells)
        workers.topic.away = False
        workers.wait_for(lambda: len(workers.topic.raw) == 20)
        workers.topic.away = True
        for seq in range(20, 40):
            add(redis, stream(settings, "faces"), fields(faces(seq)))
        time.sleep(4 * settings.take_over_after)
        shells[0].stopping.set()
        shells[1].stopping.set()
        workers.dismiss()
        assert leftovers(redis, settings)[stream(settings, "faces")][0] == 20
        workers.topic.away = False
        began = time.monotonic()
        workers.classify()
        workers.wait_for(lambda: len(workers.topic.raw) >= 40)
        assert time.monotonic() - began < 2  # handed back, not waited for
        workers.wait_for(nothing_left(redis, settings))
        assert Counter(seqs(workers.topic.messages, FrameEmotions)) == Counter(range(40))


def _beyond(feed: Feed, frames: int) -> bool:
    return feed.published > frames


def test_redis_killed_twice_in_mid_replay_loses_nothing(server: RedisServer, settings: RedisSettings) -> None:
    link = link_to(settings)
    with crew(settings) as workers:
        workers.classify()
        workers.detect(Looker(0.004))
        workers.detect(Looker(0.004))
        feed = feed_demo(link, workers.settings, 8)
        for _ in range(2):
            workers.wait_for(partial(_beyond, feed, feed.published + 30))
            server.restart(away=0.5)
        workers.wait_for(lambda: not feed.alive)
        assert feed.error is None
        client = server.client()
        workers.wait_for(nothing_left(client, settings))
        counts = Counter(seqs(workers.topic.messages))
        assert sorted(counts) == list(range(200))
        assert not any(isinstance(message, Tombstone) for message in workers.topic.messages)
        assert [m.frames for m in workers.topic.messages if isinstance(m, RunEnded)] == [200]
        assert len([line for line in workers.said if "no Redis answers" in line]) <= 6
    link.close()


def test_a_camera_faster_than_the_workers_skips_stays_fresh_and_says_how_often(
    settings: RedisSettings, link: Link, redis: "Redis"
) -> None:
    def shots(stop: threading.Event) -> Generator[Shot, None, None]:
        picture = np.full((240, 320, 3), 90, np.uint8)
        while not stop.wait(0.01):
            yield lambda: (picture, b"")

    with crew(settings, ingest={"reconnect_first": 0.1}) as workers:
        workers.classify()
        workers.detect(Looker(0.04))
        source = LiveSource("rtsp://x", "live", IngestSettings(), shots)
        feed = Feed(source, link, workers.settings, say=workers.said.append)
        arrivals: list[tuple[int, float]] = []
        original = workers.topic.publish

        def stamped(messages: Sequence[tuple[str, bytes]]) -> None:
            original(messages)
            arrivals.extend((len(workers.topic.raw), time.time()) for _ in messages)

        workers.topic.publish = stamped  # type: ignore[method-assign]
        feed.start()
        time.sleep(5)
        feed.stop()
        workers.wait_for(lambda: not feed.alive)
        workers.wait_for(nothing_left(redis, settings))
        messages = workers.topic.messages
        end = next(message for message in messages if isinstance(message, RunEnded))
        frames = [message for message in messages if isinstance(message, FrameEmotions)]
        assert sorted(seqs(frames)) == list(range(end.frames))
        assert end.dropped > 150
        assert end.error is None
        delays = sorted(
            at - message.captured_at / 1e9
            for message, (_, at) in zip(messages, arrivals, strict=True)
            if isinstance(message, FrameEmotions)
        )
        assert delays[int(len(delays) * 0.95)] < 1.0
        assert len(frames) > 80  # of the 125 that the detector could have done
