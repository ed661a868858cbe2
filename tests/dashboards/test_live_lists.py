"""The page's lists of people and of events: what a browser is told, and how little the server keeps for it."""

from datetime import UTC

import pytest
from nicegui import Client, ui

from dashboards.live.hub import LiveEvent, PersonNow
from dashboards.live.lists import MOST_EVENTS, MOST_LEFT, Events, People
from dashboards.live.parts import clock
from tests.aggregator.scenes import SECOND, START


@pytest.fixture
def client() -> Client:
    """A browser's side of a page, with nothing on it."""
    return Client(ui.page(""))


def person(number: int, *, stress: float = 0.25, stressed: bool = False) -> PersonNow:
    return PersonNow(
        person_id=f"run.{number}", camera_id="door", since=START, last_seen=START, dominant="happy",
        smoothed=(0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0), stress=stress, stressed=stressed,
    )  # fmt: skip


def event(number: int) -> LiveEvent:
    return LiveEvent(
        id=number, at=START + number * SECOND, kind="person_left", camera_id="door", person_id="run.1", text="left"
    )


def shown(people: People) -> list[str]:
    return [entry[0].removeprefix("run.") for entry in people.props["people"]]


def test_who_is_here_stands_before_those_who_left_last_and_the_rest_are_counted(client: Client) -> None:
    with client:
        people = People(lambda person_id: None)
    crowd = [person(number) for number in range(MOST_LEFT + 5)]
    people.show(crowd, {"run.3", "run.11"})
    assert shown(people) == ["3", "11", "4", "5", "6", "7", "8", "9", "10", "12"]
    assert people.props["more"] == 3
    people.show(crowd[:1], set())
    assert (shown(people), people.props["more"]) == (["0"], 0)


def test_a_button_says_who_and_how_they_are_also_to_those_who_cannot_see_it(client: Client) -> None:
    with client:
        people = People(lambda person_id: None)
    people.show([person(1, stress=0.614, stressed=True), person(2)], {"run.1"})
    here, left = people.props["people"]
    assert here[1:3] == ("1", "happy")
    assert here[4:] == (61, True, True, "Person 1, happy, stress 61 %, stressed: open")
    assert left[1:3] == ("2", "left")
    assert left[4:] == (25, False, False, "Person 2, left, stress 25 %: open")


def test_the_newest_events_come_first_and_old_ones_go(client: Client) -> None:
    with client:
        events = Events()
    all_events = [event(number) for number in range(MOST_EVENTS)]
    events.show(all_events, UTC)
    events.show([*all_events, event(100), event(101)], UTC)
    lines = events.props["events"]
    assert [line[0] for line in lines[:3]] == [101, 100, MOST_EVENTS - 1]
    assert lines[0][1:] == ("person_left", clock(START + 101 * SECOND, UTC), "door: left")
    assert len(lines) == MOST_EVENTS
    events.show([event(100)], UTC)  # those of the others are forgotten
    assert [line[0] for line in events.props["events"]] == [100]


def test_coming_and_going_makes_the_page_no_bigger_and_what_stays_is_not_sent_again(client: Client) -> None:
    with client:
        people, events = People(lambda person_id: None), Events()
    before = len(client.elements)
    for number in range(50):
        people.show([person(number), person(number + 1)], {f"run.{number}"})
        events.show([event(number)], UTC)
    assert len(client.elements) == before
    client.outbox.updates.clear()
    people.show([person(49), person(50)], {"run.49"})
    events.show([event(49)], UTC)
    assert not client.outbox.updates
