"""Publishing on a real Redis, and what is kept of the dead: each message once, and memory has a bound."""

import threading
import time
from typing import Any

import pytest
from redis import Redis

from contracts import wire
from contracts.errors import StageError, TransportError
from contracts.messages import FacesMessage, FrameMessage, JpegFrame, RunEnded, Tombstone
from contracts.settings import RedisSettings
from pipeline import dead
from pipeline.link import Link
from pipeline.publishing import LOST, STOPPED_KEPT, Publisher, ReplacedError
from pipeline.streams import Outcome, fields
from tests.pipeline.distributed.redis_side import (
    add,
    consumer,
    ended,
    frame,
    leave,
    link_to,
    read_until,
    redis_settings,
    started,
    stream,
    vanish,
)  # fmt: skip
from tests.services.redis import MISSING, RedisServer, redis_program

pytestmark = pytest.mark.skipif(redis_program() is None, reason=MISSING)


def test_a_publish_whose_answer_was_lost_is_not_written_twice(
    link: Link, redis: "Redis", settings: RedisSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from redis.exceptions import TimeoutError as LateError

    publisher = Publisher(link, "cam")
    publisher.begin(started())
    original = link.redis.eval
    lost: list[Any] = []

    def lossy(*arguments: Any) -> Any:
        answer = original(*arguments)
        if len(lost) < 2:
            lost.append(answer)
            raise LateError("lost")
        return answer

    monkeypatch.setattr(link.redis, "eval", lossy)
    publisher.frame(frame(0))
    assert len(lost) == 2
    assert redis.xlen(stream(settings, "frames")) == 2  # RunStarted and one frame


def test_a_recording_is_gone_on_with_where_its_publisher_died(link: Link) -> None:
    first = Publisher(link, "cam")
    assert first.begin(started()).frames == 0
    for seq in range(4):
        first.frame(frame(seq))
    second = Publisher(link, "cam")
    assert second.begin(started()).frames == 4
    with pytest.raises(ReplacedError, match="'cam' is published by another worker"):
        first.frame(frame(4))  # it was not dead after all
    second.frame(frame(4))
    second.end(ended(5))
    assert Publisher(link, "cam").begin(started()).ended


def published(redis: "Redis", settings: RedisSettings) -> list[Any]:
    entries: Any = redis.xrange(stream(settings, "frames"))
    return [wire.unpack(content[b"m"], FrameMessage) for _, content in entries]


def test_the_run_of_a_dead_publisher_is_closed_before_the_next_begins(
    link: Link, redis: "Redis", settings: RedisSettings
) -> None:
    first = Publisher(link, "cam")
    first.begin(started(run="one", live=True))
    first.frame(frame(0, run="one"))
    Publisher(link, "cam").begin(started(run="two", live=True))
    messages = published(redis, settings)
    assert [(type(m).__name__, m.run_id) for m in messages] == [
        ("RunStarted", "one"), ("JpegFrame", "one"), ("RunEnded", "one"), ("RunStarted", "two"),
    ]  # fmt: skip
    assert (messages[2].frames, messages[2].error) == (1, LOST)


def test_a_recording_is_gone_on_with_although_others_came_between(
    link: Link, redis: "Redis", settings: RedisSettings
) -> None:
    first = Publisher(link, "cam")
    first.begin(started(run="monday"))
    first.frame(frame(0, run="monday"))
    for run, seqs in (("tuesday", [0, 1]), ("monday", [1]), ("tuesday", [2]), ("monday", [2])):
        publisher = Publisher(link, "cam")
        assert publisher.begin(started(run=run)).frames == seqs[0]
        for seq in seqs:
            publisher.frame(frame(seq, run=run))
    publisher.end(ended(3, run="monday"))
    messages = published(redis, settings)
    assert [(type(m).__name__, m.run_id) for m in messages if not isinstance(m, JpegFrame)] == [
        ("RunStarted", "monday"), ("RunStarted", "tuesday"), ("RunEnded", "monday"),
    ]  # fmt: skip
    assert Publisher(link, "cam").begin(started(run="tuesday")).frames == 3


def test_of_many_recordings_that_were_stopped_the_oldest_are_closed(
    link: Link, redis: "Redis", settings: RedisSettings
) -> None:
    for number in range(STOPPED_KEPT + 3):
        publisher = Publisher(link, "cam")
        publisher.begin(started(run=str(number)))
        publisher.frame(frame(0, run=str(number)))
    ends = [message for message in published(redis, settings) if isinstance(message, RunEnded)]
    assert [(end.run_id, end.frames, end.error) for end in ends] == [("0", 1, LOST), ("1", 1, LOST)]


def test_a_recording_waits_for_room_and_a_camera_waits_while_anything_grows_stale(
    server: RedisServer, redis: "Redis"
) -> None:
    settings = redis_settings(server, backlog=6)
    link = link_to(settings)
    publisher = Publisher(link, "cam")
    publisher.begin(started())
    never = threading.Event()
    assert publisher.room(live=True, give_up=never.is_set)
    for seq in range(5):
        assert publisher.room(live=False, give_up=never.is_set)
        publisher.frame(frame(seq))
    soon = time.monotonic() + 0.2
    assert not publisher.room(live=False, give_up=lambda: time.monotonic() > soon)
    first: Any = redis.xrange(stream(settings, "frames"), count=2)
    redis.xdel(stream(settings, "frames"), *[id_ for id_, _ in first])
    assert publisher.room(live=False, give_up=never.is_set)
    time.sleep(0.3)
    soon = time.monotonic() + 0.2
    assert not publisher.room(live=True, give_up=lambda: time.monotonic() > soon)  # the first has waited for long
    reader = consumer(link)
    held = reader.read(10, 0.1)
    assert len(held) == 4
    assert publisher.room(live=True, give_up=never.is_set)  # somebody has taken them
    leave(reader)
    link.close()


def test_a_camera_goes_on_when_redis_has_lost_what_nobody_had_taken(link: Link, redis: "Redis") -> None:
    publisher = Publisher(link, "cam")
    publisher.begin(started(live=True))
    for seq in range(3):
        publisher.frame(frame(seq))
    redis.flushall()  # as a restart without a log does
    soon = time.monotonic() + 2
    assert publisher.room(live=True, give_up=lambda: time.monotonic() > soon)
    publisher.frame(frame(3))
    reader = consumer(link)
    assert [entry.open(FrameMessage).seq for entry in reader.read(10, 0.1)] == [3]
    leave(reader)


# Dead letters


def test_an_entry_that_no_worker_finishes_is_counted(link: Link, redis: "Redis", settings: RedisSettings) -> None:
    add(redis, settings, frame(3))
    for delivery in range(1, 4):
        worker = consumer(link)
        (entry,) = read_until(worker, 1)
        assert entry.deliveries == delivery
        vanish(worker)
        time.sleep(0.7)


def test_a_dead_letter_keeps_its_payload_and_its_reason_and_can_be_retried_or_dropped(
    link: Link, redis: "Redis", settings: RedisSettings
) -> None:
    add(redis, settings, frame(3))
    add(redis, settings, frame(4, camera="other"))
    worker = consumer(link)
    entries = read_until(worker, 2)
    worker.settle([Outcome(entry=e, successor=e.tombstone("detect", "too dark"), dead="too dark") for e in entries])
    letters = dead.letters(link)
    assert {(x.stage, x.camera, x.run, x.seq, x.reason) for x in letters} == {
        ("detect", "cam", "r", "3", "too dark"), ("detect", "other", "r", "4", "too dark"),
    }  # fmt: skip
    assert all(x.size > len(frame(3).jpeg) for x in letters)
    mine = next(letter for letter in letters if letter.camera == "cam")
    assert dead.retry(link, mine)
    assert not dead.retry(link, mine)
    (again,) = read_until(worker, 1)
    assert again.open(FrameMessage).seq == 3
    worker.settle([Outcome(entry=again)])
    assert [letter.camera for letter in dead.letters(link)] == ["other"]
    assert dead.drop(link, dead.letters(link)[0])
    assert dead.letters(link) == []
    entry: Any = redis.xrange(stream(settings, "faces", "other"))
    stone = wire.unpack(entry[-1][1][b"m"], FacesMessage)
    assert isinstance(stone, Tombstone)
    assert (stone.stage, stone.reason, stone.seq) == ("detect", "too dark", 4)
    leave(worker)


@pytest.mark.parametrize("damage", [b"", b"damage"], ids=["that can be read", "that cannot be read"])
def test_whatever_was_put_back_is_known_by_it(
    link: Link, redis: "Redis", settings: RedisSettings, damage: bytes
) -> None:
    names, values = (fields(frame(3))[part::2] for part in (0, 1))
    content: Any = dict(zip(names, values, strict=True))
    content[b"m"] = damage or content[b"m"]
    redis.xadd(stream(settings, "frames"), content)
    worker = consumer(link)
    for times in range(3):
        (entry,) = read_until(worker, 1)
        stone = entry.tombstone("detect", "still damaged")
        assert stone is not None
        assert (stone.seq, stone.again) == (3, times > 0)
        worker.settle([Outcome(entry=entry, dead="still damaged")])
        (letter,) = dead.letters(link)
        assert dead.retry(link, letter)
    leave(worker)


def test_only_so_many_dead_letters_are_kept_and_no_huge_ones(server: RedisServer, redis: "Redis") -> None:
    settings = redis_settings(server, keep_dead=3)
    link = link_to(settings)
    worker = consumer(link)
    for seq in range(5):
        add(redis, settings, frame(seq))
    add(redis, settings, frame(5, jpeg=bytes(3_000_000)))
    entries = read_until(worker, 6)
    worker.settle([Outcome(entry=entry, dead="no") for entry in entries])
    letters = dead.letters(link)
    assert [letter.seq for letter in letters] == ["3", "4", "5"]
    assert (letters[-1].size, "not kept" in letters[-1].reason) == (0, True)
    with pytest.raises(TransportError, match="not kept"):
        dead.retry(link, letters[-1])
    leave(worker)
    link.close()


@pytest.mark.parametrize(
    "content",
    [
        {"m": b"\x00garbage"}, {"m": b""}, {"what": b"ever"}, {"m": b"\x01\xc1"}, {"m": b"\x01" + b"\x93" * 3000},
        {"m": b"\x63" + wire.encode(frame(1))},
    ],
)  # fmt: skip
def test_what_is_no_message_is_a_stage_error_and_no_frame_of_anybody(
    link: Link, redis: "Redis", settings: RedisSettings, content: dict[str, bytes]
) -> None:
    redis.xadd(stream(settings, "frames"), content)  # type: ignore[arg-type]
    worker = consumer(link)
    (entry,) = read_until(worker, 1)
    with pytest.raises(StageError):
        entry.open(FrameMessage)
    assert entry.tombstone("detect", "x") is None
    leave(worker)
