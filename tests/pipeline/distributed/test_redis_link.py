"""The connection to a real Redis: away, refused, too old, killed in the middle."""

import threading
import time
from typing import Any

import pytest
from redis import Redis

from contracts.errors import SettingsError, TransportError
from contracts.messages import FrameMessage
from contracts.settings import RedisSettings
from pipeline.link import Link
from pipeline.publishing import Publisher
from pipeline.streams import Outcome
from tests.pipeline.distributed.redis_side import (
    consumer,
    ended,
    frame,
    leave,
    leftovers,
    link_to,
    redis_settings,
    started,
    stream,
)  # fmt: skip
from tests.services.redis import MISSING, RedisServer, redis_program, redis_server

pytestmark = pytest.mark.skipif(redis_program() is None, reason=MISSING)


def test_a_redis_that_is_not_there_is_waited_for_and_spoken_of_once(server: RedisServer) -> None:
    said: list[str] = []
    with redis_server() as other:
        other.stop()
        link = link_to(redis_settings(other), said)
        start = threading.Timer(0.8, other.start)
        start.start()
        link.open()
        start.join()
        assert len(said) == 2
        assert "redis.url: no Redis answers at 127.0.0.1" in said[0]
        assert "there again" in said[1]
        link.close()


def test_without_waiting_it_is_an_error() -> None:
    link = link_to(RedisSettings(url="redis://user:geheim@127.0.0.1:1/0"))
    with pytest.raises(TransportError, match=r"redis\.url: no Redis answers at 127\.0\.0\.1:1") as raised:
        link.open(wait=False)
    assert "geheim" not in str(raised.value)


@pytest.mark.parametrize("url", ["unix:///run/redis.sock", "http://cam", "redis.example"])
def test_what_is_no_address_over_a_network_is_refused_in_one_line(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^redis\.url.*redis://HOST:PORT/0"):
        link_to(RedisSettings(url=url))


@pytest.mark.parametrize("url", ["redis://127.0.0.1:{port}/0", "redis://:wrong@127.0.0.1:{port}/0"])
def test_a_wrong_password_ends_it_at_once(url: str) -> None:
    with redis_server(password="right") as server:
        link = link_to(RedisSettings(url=url.format(port=server.port)))
        with pytest.raises(TransportError, match=r"refuses this user or password; check redis\.url"):
            link.open()
        good = link_to(redis_settings(server))
        good.open(wait=False)
        good.close()


def test_a_redis_that_is_too_old_is_refused(link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link.redis, "info", lambda section: {"redis_version": "6.0.16"})
    with pytest.raises(TransportError, match=r"Redis 6\.0\.16 .* needs 6\.2"):
        link.open()


def test_another_number_of_shards_is_refused(link: Link, server: RedisServer) -> None:
    other = link_to(redis_settings(server, shards=3))
    with pytest.raises(SettingsError, match=r"redis\.shards is 3 here but 2"):
        other.open()


@pytest.mark.parametrize("known", [True, False], ids=["workers that were there before", "the first of their stage"])
def test_workers_start_where_redis_is_full_and_make_room(
    server: RedisServer, settings: RedisSettings, redis: "Redis", link: Link, *, known: bool
) -> None:
    if known:
        leave(consumer(link))
    publisher = Publisher(link, "cam")
    publisher.begin(started())
    redis.config_set("maxmemory", "1mb")
    stop, said = threading.Event(), list[str]()
    giving_up = threading.Timer(5, stop.set)
    giving_up.start()
    try:
        late = link_to(settings, said, stop)
        late.open()
        worker = consumer(late)
        (entry,) = worker.read(1, 0.1)
        worker.settle([Outcome(entry=entry, successor=entry.open(FrameMessage))])
        leave(worker)
        late.close()
    finally:
        giving_up.cancel()
        redis.config_set("maxmemory", "0")
    assert not said
    assert leftovers(redis, settings) == {stream(settings, "faces"): (1, 0)}


def test_a_url_that_is_none_is_refused_without_its_password() -> None:
    with pytest.raises(SettingsError, match=r"redis\.url") as raised:
        link_to(RedisSettings(url="http://:geheim@host"))
    assert "geheim" not in str(raised.value)


def test_a_restart_of_redis_loses_and_doubles_nothing(server: RedisServer, settings: RedisSettings) -> None:
    said: list[str] = []
    link = link_to(settings, said)
    link.open()
    total, stop = 300, threading.Event()
    seen: list[Any] = []

    def work() -> None:
        worker = consumer(link)
        while not stop.is_set():
            for entry in worker.read(4, 0.2):
                worker.settle([Outcome(entry=entry, successor=entry.open(FrameMessage))])
        leave(worker)

    def gather() -> None:
        reader = consumer(link, "classify")
        while not stop.is_set():
            for entry in reader.read(4, 0.2):
                reader.settle([Outcome(entry=entry)])
                seen.append(entry.open(FrameMessage))
        leave(reader)

    threads = [threading.Thread(target=target) for target in (work, work, gather)]
    for thread in threads:
        thread.start()
    publisher = Publisher(link, "cam")
    publisher.begin(started())
    for seq in range(total):
        if seq in {80, 190}:
            threading.Thread(target=server.restart, kwargs={"away": 0.3}).start()
        publisher.frame(frame(seq))
        time.sleep(0.004)
    publisher.end(ended(total))
    deadline = time.monotonic() + 30
    while len(seen) < total + 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    stop.set()
    for thread in threads:
        thread.join()
    sequence = [getattr(message, "seq", None) for message in seen]
    assert sorted(seq for seq in sequence if seq is not None) == list(range(total))
    assert sequence.count(None) == 2
    with server.client() as client:
        assert leftovers(client, settings) == {}
    assert len([line for line in said if "no Redis answers" in line]) <= 4
    link.close()
