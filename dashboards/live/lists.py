"""The page's lists, of people and of events.

What is in them comes and goes all the time. An element of NiceGUI costs the server a hundred times what a value of it
does, and the pipeline waits meanwhile; so each list is one element, which is sent values and makes its own entries.
The values are tuples: NiceGUI watches lists and dictionaries for changes, at a price.
"""

from collections.abc import Callable, Sequence
from datetime import tzinfo
from typing import Final

from nicegui import events
from nicegui.element import Element

from contracts.emotions import COLOURS
from dashboards.live.hub import LiveEvent, PersonNow
from dashboards.live.now import short_name
from dashboards.live.parts import clock, percent

MOST_LEFT: Final = 8
"""People who have left that a list still shows."""
MOST_EVENTS: Final = 40


class People(Element, component="static/people.js"):
    """The people of one camera, as buttons; brought up to date by `show`."""

    def __init__(self, chosen: Callable[[str], None]) -> None:
        """`chosen` is called with the person whose button was pressed."""
        super().__init__()
        self.show((), set())
        self.on("chosen", lambda event: chosen(_person_id(event)))

    def show(self, people: Sequence[PersonNow], present: set[str]) -> None:
        """Those who are here as they came, then the last of those who have left."""
        here = [_entry(person, here=True) for person in people if person.person_id in present]
        left = [person for person in people if person.person_id not in present]
        shown = tuple(here + [_entry(person, here=False) for person in left[-MOST_LEFT:]])
        values = {"people": shown, "more": max(0, len(left) - MOST_LEFT)}
        if any(self.props.get(name) != value for name, value in values.items()):
            self.props.update(values)


class Events(Element, component="static/events.js"):
    """The latest events, newest first; brought up to date by `show`."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: tuple[object, ...] = ()
        self.props["events"] = ()

    def show(self, events: Sequence[LiveEvent], zone: tzinfo) -> None:
        """The last of these, which are in the order that they happened in."""
        latest = events[-MOST_EVENTS:]
        shown = (zone, *(event.id for event in latest))
        if shown != self._shown:
            self._shown = shown
            self.props["events"] = tuple(
                (event.id, event.kind, clock(event.at, zone), f"{event.camera_id}: {event.text}")
                for event in reversed(latest)
            )


def _entry(person: PersonNow, *, here: bool) -> tuple[object, ...]:
    name, feels = short_name(person.person_id), person.dominant if here else "left"
    stressed = ", stressed" if person.stressed else ""
    said = f"Person {name}, {feels}, stress {percent(person.stress)}{stressed}: open"
    colour, stress = COLOURS[person.dominant], round(person.stress * 100)
    return person.person_id, name, feels, colour, stress, person.stressed, here, said


def _person_id(event: events.GenericEventArguments) -> str:
    return str(event.args)
