"""What no worker can digest, in each stream of a real Redis: a dead letter, and nobody else suffers."""

import json
import random
import time
from functools import partial
from typing import Any

import cv2
import numpy as np
import pytest
from redis import Redis

from contracts import wire
from contracts.messages import FrameEmotions, Picture, Tombstone
from contracts.settings import RedisSettings
from pipeline import dead
from pipeline.jpeg import to_picture
from pipeline.link import Link
from pipeline.streams import fields
from tests.pipeline.conftest import Command
from tests.pipeline.distributed.crew import (
    Looker,
    add,
    crew,
    nothing_left,
    seqs,
)
from tests.pipeline.distributed.redis_side import (
    JPEG,
    faces,
    frame,
    leftovers,
    stream,
)


def _truncated() -> bytes:
    return JPEG[: len(JPEG) // 2]


def _absurd() -> bytes:
    """A small JPEG whose header says 60,000 x 60,000."""
    at = JPEG.index(b"\xff\xc0") + 5
    return JPEG[:at] + (60_000).to_bytes(2, "big") * 2 + JPEG[at + 4 :]


POISON: dict[str, tuple[str, list[bytes], str]] = {
    "truncated": ("frames", fields(frame(5, jpeg=_truncated())), "truncated"),
    "absurd size": ("frames", fields(frame(5, jpeg=_absurd())), "60000x60000"),
    "no picture": ("frames", fields(frame(5, jpeg=b"\xff\xd8" + bytes(50))), "damaged picture"),
    "tiny": ("frames", fields(frame(5, jpeg=cv2.imencode(".jpg", np.zeros((2, 2, 3), np.uint8))[1].tobytes())), "2x2"),
    "another version": ("frames", [b"m", b"\x07" + wire.encode(frame(5)), *fields(frame(5))[2:]], "version 7"),
    "random bytes": ("frames", [b"m", random.Random(1).randbytes(400), *fields(frame(5))[2:]], ""),
    "faces of another model": ("faces", fields(faces(5, side=32)), "another model"),
    "more faces than there are": ("faces", fields(faces(5, number=5000)), "5,000 faces"),
    "faces of another version": ("faces", [b"m", b"\x07" + wire.encode(faces(5)), *fields(faces(5))[2:]], "version 7"),
    "random faces": ("faces", [b"m", b"\x01" + random.Random(2).randbytes(400), *fields(faces(5))[2:]], "damaged"),
    "a frame among faces": ("faces", fields(frame(5)), "damaged"),
}


@pytest.mark.parametrize("kind", POISON)
def test_poison_becomes_a_dead_letter_and_its_neighbours_are_not_delayed(
    settings: RedisSettings, link: Link, redis: "Redis", kind: str
) -> None:
    what, content, reason = POISON[kind]
    neighbours = [
        partial(frame, seq) if what == "frames" else partial(faces, seq) for seq in (*range(5), *range(6, 11))
    ]
    for make in neighbours[:5]:
        add(redis, stream(settings, what), fields(make()))
    add(redis, stream(settings, what), content)
    for make in neighbours[5:]:
        add(redis, stream(settings, what), fields(make()))
    with crew(settings) as workers:
        began = time.monotonic()
        workers.classify()
        workers.detect(Looker(before=_big_enough))
        workers.wait_for(lambda: len(workers.topic.raw) == 11)
        assert time.monotonic() - began < 2
        workers.wait_for(nothing_left(redis, settings))
        stone = next(message for message in workers.topic.messages if isinstance(message, Tombstone))
        assert (stone.seq, stone.run_id, stone.stage) == (5, "r", "detect" if what == "frames" else "classify")
        assert reason in stone.reason
        assert sorted(seqs(workers.topic.messages)) == list(range(11))
        (letter,) = dead.letters(link)
        assert (letter.camera, letter.seq) == ("cam", "5")
        assert letter.reason.startswith(stone.reason)
        assert not workers.failures


def _big_enough(picture: Picture) -> None:
    from detector.search import shrink

    shrink(picture, 480)


def test_no_bytes_bring_a_worker_down(settings: RedisSettings, link: Link, redis: "Redis") -> None:
    chance = random.Random(7)
    good = {"frames": wire.pack(frame(1)), "faces": wire.pack(faces(1, number=3))}
    for what, payload in good.items():
        for number in range(300):
            damaged = bytearray(payload)
            for _ in range(chance.randint(1, 6)):
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
            cut = len(damaged) if number % 3 else chance.randrange(len(damaged))
            names: dict[Any, Any] = (
                {"camera": "cam", "run": "r", "seq": number, "at": "1"} if number % 2 else {"x": "y"}
            )
            names["m"] = bytes(damaged[:cut])
            redis.xadd(stream(settings, what), names)
    with crew(settings) as workers:
        workers.classify()
        workers.detect(Looker())
        workers.wait_for(nothing_left(redis, settings))
        assert not workers.failures
    assert len(dead.letters(link)) == settings.keep_dead  # the latest; there were many more


def test_a_frame_that_brings_its_workers_down_is_given_up_and_its_neighbours_come_through(
    settings: RedisSettings, link: Link, redis: "Redis"
) -> None:
    black = cv2.imencode(".jpg", np.zeros((64, 64, 3), np.uint8))[1].tobytes()
    for seq in range(6):
        add(redis, stream(settings, "frames"), fields(frame(seq, jpeg=black if seq == 2 else JPEG)))

    def explode(picture: Picture) -> None:
        if picture.mean() < 10:
            raise RuntimeError("out of memory")

    with crew(settings) as workers:
        workers.classify()
        deadline = time.monotonic() + 30
        while len(workers.topic.raw) < 6 and time.monotonic() < deadline:
            shell = workers.detect(Looker(before=explode))  # as a supervisor would
            while not shell.stopping.is_set() and len(workers.topic.raw) < 6:
                time.sleep(0.02)
        assert sorted(seqs(workers.topic.messages, FrameEmotions)) == [0, 1, 3, 4, 5]
        (stone,) = [message for message in workers.topic.messages if isinstance(message, Tombstone)]
        assert stone.reason == "given to 3 workers, none of which finished it"
        assert len(workers.failures) == settings.attempts
    assert [letter.seq for letter in dead.letters(link)] == ["2"]
    assert leftovers(redis, settings) == {}


def test_dead_letters_can_be_listed_retried_and_dropped(
    affectstream: Command, settings: RedisSettings, link: Link, redis: "Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFFECTSTREAM_REDIS_URL", settings.url)
    monkeypatch.setenv("AFFECTSTREAM_REDIS_SHARDS", str(settings.shards))
    assert affectstream("dead-letters", "list").out == "no dead letters\n"
    for seq in (1, 2):
        add(redis, stream(settings, "frames"), fields(frame(seq, jpeg=_truncated())))
    with crew(settings) as workers:
        workers.classify()
        workers.detect(Looker())
        workers.wait_for(lambda: len(workers.topic.raw) == 2)
    found = json.loads(affectstream("dead-letters", "list", "--json").out)
    assert [(x["camera"], x["run_id"], x["seq"], x["stage"]) for x in found] == [
        ("cam", "r", 1, "detect"), ("cam", "r", 2, "detect"),
    ]  # fmt: skip
    shown = affectstream("dead-letters", "list").out
    assert "truncated" in shown
    assert found[0]["name"] in shown
    assert affectstream("dead-letters", "drop", found[0]["name"]).out == "1 dropped\n"
    assert affectstream("dead-letters", "retry", "--all").out == "1 put back\n"
    assert redis.xlen(stream(settings, "frames")) == 1
    with crew(settings) as workers:
        workers.classify()
        workers.detect(Looker())
        workers.wait_for(lambda: len(workers.topic.raw) == 1)
    assert workers.topic.messages[0].again
    assert affectstream("dead-letters", "drop", "--all").out == "1 dropped\n"
    gone = affectstream("dead-letters", "drop", found[0]["name"])
    assert (gone.code, "there is no dead letter" in gone.err) == (2, True)
    assert affectstream("dead-letters", "drop").code == 2
    monkeypatch.setenv("AFFECTSTREAM_REDIS_URL", "redis://:geheim@127.0.0.1:1/0")
    away = affectstream("dead-letters", "list")
    assert (away.code, away.err.count("\n")) == (1, 1)
    assert "redis.url" in away.err
    assert "geheim" not in away.err


def test_only_a_recording_can_be_replayed(affectstream: Command) -> None:
    refused = affectstream("replay", "rtsp://127.0.0.1:1/live")
    assert (refused.code, "not a recording" in refused.err) == (2, True)
    assert affectstream("replay", "missing.mp4").code == 2


def test_a_jpeg_comes_back_nearly_as_it_was() -> None:
    again = to_picture(JPEG)
    assert again.shape == (64, 64, 3)
    assert abs(int(again.mean()) - 90) <= 1


def test_privacy_level_aggregate_keeps_no_payload_and_a_retry_says_so(
    affectstream: Command, settings: RedisSettings, link: Link, redis: "Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFFECTSTREAM_REDIS_URL", settings.url)
    monkeypatch.setenv("AFFECTSTREAM_REDIS_SHARDS", str(settings.shards))
    add(redis, stream(settings, "frames"), fields(frame(1, jpeg=_truncated())))
    add(redis, stream(settings, "faces"), fields(faces(2, side=32)))
    with crew(settings, privacy={"level": "aggregate"}) as workers:
        workers.classify()
        workers.detect(Looker())
        workers.wait_for(lambda: len(workers.topic.raw) == 2)
        workers.wait_for(lambda: len(dead.letters(link)) == 2)
    assert [letter.size for letter in dead.letters(link)] == [0, 0]
    assert redis.xlen(stream(settings, "frames")) == redis.xlen(stream(settings, "faces")) == 0
    name = dead.letters(link)[0].name
    refused = affectstream("dead-letters", "retry", name)
    assert (refused.code, refused.err.count("\n")) == (1, 1)
    assert "was not kept" in refused.err
    assert "privacy.level is aggregate" in refused.err


def test_payloads_that_may_show_somebody_are_dropped_with_them(
    settings: RedisSettings, link: Link, redis: "Redis"
) -> None:
    for seq in (10, 20, 30, 40):  # which is also their time
        add(redis, stream(settings, "frames"), fields(frame(seq, jpeg=_truncated())))
    add(redis, stream(settings, "frames", "hall"), fields(frame(25, camera="hall", jpeg=_truncated())))
    add(redis, stream(settings, "frames"), [b"m", b"of nobody knows whom"])
    with crew(settings) as workers:
        workers.detect(Looker())
        workers.wait_for(lambda: len(dead.letters(link)) == 6)
    assert dead.drop_payloads(link, "cam", 15, 30) == 3  # two in that time, and one that nobody can read
    assert sorted((letter.camera, letter.seq) for letter in dead.letters(link)) == [
        ("cam", "10"), ("cam", "40"), ("hall", "25"),
    ]  # fmt: skip
    assert dead.drop_payloads(link, "cam", 15, None) == 1
    assert dead.drop_payloads(link, "cam", 15, None) == 0
