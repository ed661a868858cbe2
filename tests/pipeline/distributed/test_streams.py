"""The streams on a real Redis: nothing is lost, nothing has two successors, nothing is left over."""

import threading
import time
from typing import Any

import pytest
from redis import Redis

from contracts.messages import FrameMessage
from contracts.settings import RedisSettings
from pipeline.link import Link
from pipeline.publishing import Publisher
from pipeline.streams import Consumer, Outcome, shard_of
from tests.pipeline.distributed.redis_side import (
    add,
    consumer,
    ended,
    faces,
    frame,
    leave,
    leftovers,
    read_until,
    started,
    stream,
    vanish,
)  # fmt: skip
from tests.services.redis import MISSING, redis_program

pytestmark = pytest.mark.skipif(redis_program() is None, reason=MISSING)


def test_the_shard_of_a_camera_is_the_same_everywhere() -> None:
    assert [shard_of(name, 1024) for name in ("cam", "door", "Küche")] == [872, 45, 292]


def test_what_is_published_is_delivered_once_in_order_and_gone_when_done(
    link: Link, redis: "Redis", settings: RedisSettings
) -> None:
    publisher = Publisher(link, "cam")
    publisher.begin(started())
    for seq in range(5):
        publisher.frame(frame(seq))
    publisher.end(ended(5))
    one, other = consumer(link), consumer(link)
    entries = one.read(3, 0.1) + other.read(10, 0.1)
    assert [type(entry.open(FrameMessage)).__name__ for entry in entries] == [
        "RunStarted", *["JpegFrame"] * 5, "RunEnded"
    ]  # fmt: skip
    one.settle([Outcome(entry=entry, successor=entry.open(FrameMessage)) for entry in entries[:3]])
    other.settle([Outcome(entry=entry) for entry in entries[3:]])
    assert leftovers(redis, settings) == {stream(settings, "faces"): (3, 0)}
    leave(one)
    leave(other)
    assert redis.xinfo_consumers(stream(settings, "frames"), "detect") == []


def test_what_a_vanished_worker_held_is_taken_over_and_has_one_successor(
    link: Link, redis: "Redis", settings: RedisSettings
) -> None:
    for seq in range(3):
        add(redis, settings, frame(seq))
    dead_one, heir = consumer(link), consumer(link)
    held = dead_one.read(10, 0.1)
    vanish(dead_one)
    assert heir.read(10, 0.1) == []  # not yet
    time.sleep(1.1)
    taken = read_until(heir, 3)
    assert sorted(entry.id for entry in taken) == sorted(entry.id for entry in held)
    assert {entry.deliveries for entry in taken} == {2}
    heir.settle([Outcome(entry=entry, successor=entry.open(FrameMessage)) for entry in taken])
    dead_one.settle([Outcome(entry=entry, successor=entry.open(FrameMessage)) for entry in held])  # it was only slow
    assert leftovers(redis, settings) == {stream(settings, "faces"): (3, 0)}
    leave(heir)


def test_a_slow_worker_that_lives_keeps_what_it_holds(link: Link, redis: "Redis", settings: RedisSettings) -> None:
    add(redis, settings, frame(0))
    slow, other = consumer(link), consumer(link)
    (entry,) = slow.read(10, 0.1)
    assert read_until(other, 1, seconds=2.5) == []
    slow.settle([Outcome(entry=entry)])
    assert leftovers(redis, settings) == {}
    leave(slow)
    leave(other)


def test_a_worker_that_leaves_hands_back_what_it_holds_and_that_is_no_try(
    link: Link, redis: "Redis", settings: RedisSettings
) -> None:
    add(redis, settings, frame(0))
    leaver, heir = consumer(link), consumer(link)
    assert len(leaver.read(10, 0.1)) == 1
    leave(leaver)
    began = time.monotonic()
    (entry,) = read_until(heir, 1)
    assert time.monotonic() - began < 0.5
    assert entry.deliveries == 1
    heir.settle([Outcome(entry=entry)])
    leave(heir)
    assert leftovers(redis, settings) == {}


def test_the_entries_that_a_vanished_worker_held_come_one_at_a_time(
    link: Link, redis: "Redis", settings: RedisSettings
) -> None:
    for seq in range(4):
        add(redis, settings, frame(seq))
    dead_one, heir = consumer(link), consumer(link)
    dead_one.read(10, 0.1)
    vanish(dead_one)
    time.sleep(1)
    batches = [heir.read(10, 0.1) for _ in range(4)]
    assert [len(batch) for batch in batches] == [1, 1, 1, 1]
    leave(heir)


def test_groups_and_streams_are_made_again_after_a_flush(link: Link, redis: "Redis", settings: RedisSettings) -> None:
    reader = consumer(link)
    assert reader.read(1, 0.05) == []
    redis.flushall()
    add(redis, settings, frame(7))
    (entry,) = read_until(reader, 1)
    assert entry.open(FrameMessage).seq == 7
    redis.flushall()
    reader.settle([Outcome(entry=entry, successor=faces(7))])  # it is gone, and so is its claim
    assert redis.exists(stream(settings, "faces")) == 0
    leave(reader)


def test_a_flush_during_a_blocking_read_is_survived(link: Link, redis: "Redis", settings: RedisSettings) -> None:
    reader = consumer(link)
    flush = threading.Timer(0.3, redis.flushall)
    flush.start()
    assert reader.read(1, 1.0) == []
    flush.join()
    add(redis, settings, frame(1))
    assert len(read_until(reader, 1)) == 1
    leave(reader)


def test_a_reply_that_was_lost_on_its_way_is_asked_for_again(
    link: Link, redis: "Redis", settings: RedisSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(redis, settings, frame(0))
    reader = consumer(link)
    original = Consumer._group_read
    failed: list[Any] = []

    def lossy(self: Consumer, *arguments: Any) -> Any:
        reply = original(self, *arguments)
        if reply and not failed:
            failed.append(reply)
            raise ConnectionResetError
        return reply

    from redis.exceptions import ConnectionError as LostConnectionError

    def translated(self: Consumer, *arguments: Any) -> Any:
        try:
            return lossy(self, *arguments)
        except ConnectionResetError:
            raise LostConnectionError("lost") from None

    monkeypatch.setattr(Consumer, "_group_read", translated)
    began = time.monotonic()
    assert len(reader.read(10, 0.2)) == 1
    assert time.monotonic() - began < 0.5  # not by taking it over
    assert failed
    assert reader.read(10, 0.05) == []
    leave(reader)
