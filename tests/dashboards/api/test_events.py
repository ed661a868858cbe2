"""Events: what happens is told once, in order, and again from where a listener left off."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import httpx
import pytest

from dashboards.live.hub import Hub
from tests.dashboards.api.serving import Looking, configured, serving


@contextmanager
def listening(looking: Looking, **headers: str) -> Iterator[Iterator[dict[str, Any]]]:
    """The events as a browser reads them."""
    with looking.client.stream("GET", "/events", headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield _events(answer)


def _events(answer: httpx.Response) -> Iterator[dict[str, Any]]:
    event: dict[str, Any] = {}
    for line in answer.iter_lines():
        if not line and event:
            yield event
            event = {}
        elif line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            event[name] = json.loads(value) if name == "data" else value


@pytest.fixture
def looking(url: str) -> Iterator[Looking]:
    with serving(configured(url)) as looking:
        yield looking


def test_what_happens_is_told_as_it_happens(looking: Looking) -> None:
    with listening(looking) as events:
        looking.watch("door", seconds=20)
        told = []
        for event in events:
            told.append(event)
            if event["event"] == "run_ended":
                break
    kinds = [event["event"] for event in told]
    assert kinds[0] == "run_started"
    assert (kinds.count("person_appeared"), kinds.count("person_left")) == (2, 2)
    assert kinds.count("stress_began") == kinds.count("stress_ended") >= 1
    for event in told:
        assert event["data"]["kind"] == event["event"]
        assert event["data"]["camera_id"] == "door"
        assert event["data"]["at"].endswith("Z")
        assert event["data"]["text"]
    numbers = [int(event["id"]) for event in told]
    assert numbers == sorted(set(numbers))
    assert len({event["data"]["person_id"] for event in told} - {None}) == 2


def test_a_listener_goes_on_where_it_left_off(looking: Looking) -> None:
    looking.watch("door", seconds=20)
    with listening(looking) as events:
        first = list(islice(events, 2))
    with listening(looking, **{"Last-Event-ID": first[-1]["id"]}) as events:
        assert int(next(events)["id"]) == int(first[-1]["id"]) + 1
    last = looking.hub.events()[-1].id  # type: ignore[union-attr]
    with listening(looking, **{"Last-Event-ID": str(last)}) as events:
        looking.watch("hall", seconds=1)
        new = next(events)
        assert (int(new["id"]), new["event"], new["data"]["camera_id"]) == (last + 1, "run_started", "hall")


def test_a_listener_of_an_earlier_process_starts_anew(looking: Looking) -> None:
    looking.watch("door", seconds=1)
    first = str(looking.hub.events()[0].id)  # type: ignore[union-attr]
    for known in ("5", "9000000000000000", "not a number"):
        with listening(looking, **{"Last-Event-ID": known}) as events:
            assert next(events)["id"] == first


def test_a_process_that_is_started_anew_counts_on_from_beyond_the_one_before(looking: Looking) -> None:
    assert looking.hub
    looking.watch("door", seconds=20)
    last = looking.hub.newest_event()
    assert last < Hub(looking.settings).newest_event()


def test_a_listener_goes_on_where_it_left_off_also_where_that_is_forgotten(looking: Looking) -> None:
    assert looking.hub
    looking.watch("door", seconds=20, ended=False)
    last = looking.hub.events()[-1]
    assert last.person_id
    looking.hub.forget(last.person_id)
    with listening(looking, **{"Last-Event-ID": str(last.id)}) as events:
        looking.watch("hall", seconds=1)
        assert int(next(events)["id"]) == last.id + 1


def test_events_of_one_camera(looking: Looking) -> None:
    looking.watch("door", seconds=1)
    looking.watch("hall", seconds=1)
    with looking.client.stream("GET", "/events?camera_id=hall") as answer:
        assert next(_events(answer))["data"]["camera_id"] == "hall"


def test_silence_is_kept_alive_with_comments(looking: Looking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboards.live.api.events.KEEP_ALIVE", 1)
    with looking.client.stream("GET", "/events") as answer:
        assert next(line for line in answer.iter_lines() if line).startswith(": ping")
