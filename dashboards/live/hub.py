"""What happens now. The stages put it in, the page and the API take it out.

Nothing is worked out before somebody asks: what comes in is a reference in a queue that holds the last minutes, and
pictures are not even taken in unless somebody looks.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator
from itertools import chain
from typing import Any, Final, NamedTuple

from contracts.messages import FrameId, Picture
from contracts.rows import Rows, Run, StressEpisode
from contracts.settings import Settings
from dashboards.live.now import CameraNow, CameraState, LiveEvent, PersonNow, Trace, memory
from dashboards.live.pictures import Pictures

__all__ = ["CameraNow", "Hub", "LiveEvent", "PersonNow", "Trace"]

LOOKING: Final = 3.0
"""Seconds for which somebody who has asked counts as looking."""
FOLLOW_EVERY: Final = 0.25
MOST_WAITING: Final = 50_000
"""Rows objects of one camera that wait to be looked at; far more than a camera gives in the last minutes."""
MOST_EVENTS: Final = 1000


class _Past(NamedTuple):
    """Rows that were looked up later than they happened."""

    rows: Rows
    until: int


class Hub:
    """What happens now, of all cameras. Safe for many threads; what goes in never waits for what comes out."""

    def __init__(self, settings: Settings, *, stored: bool = False) -> None:
        """`stored`: nobody tells what happens; what is here is looked up again and again."""
        self.stored: Final = stored
        self._settings: Final = settings
        self._memory: Final = memory(settings)
        self._in: Final = threading.Lock()  # held for a moment only
        self._out: Final = threading.Lock()
        self._waiting: Final[dict[str, deque[tuple[int, Any]]]] = {}
        self._overlooked: Final[dict[str, Run]] = {}  # news of a camera's run that is older than what is kept
        self._cameras: Final[dict[str, CameraState]] = {}
        self._events: Final[deque[LiveEvent]] = deque(maxlen=MOST_EVENTS)
        self._event_id = time.time_ns() // 1_000_000  # so that no process uses the ids of one before it
        self._asked = -LOOKING
        self._pictures: Final = Pictures(settings)
        self._troubles: Final[dict[str, str]] = {}
        self._dropped: Final[dict[str, int]] = {}

    # in, from the pipeline's threads

    def started(self, run: Run) -> None:
        """A run began, or is known to go on."""
        self._put(run.camera_id, run.started_at, run)

    def ended(self, run: Run) -> None:
        """A run is over; `run.status` says how. Also one whose beginning nobody has told."""
        self._put(run.camera_id, run.ended_at or run.started_at, run)

    def rows(self, rows: Rows, frame: FrameId | None = None) -> None:
        """What became final, of one camera or several; with `frame`, of its camera, and the frame with which it did.

        Frames with which nothing became final are welcome also: they move event time.
        """
        if frame is not None:
            self._put(frame.camera_id, frame.captured_at, rows)
            self._pictures.reached(frame)
        else:
            for camera_id, part in _by_camera(rows).items():
                self._put(camera_id, _newest(part), part)
        if rows.observations:
            self._pictures.rows(rows.observations)

    def past(self, camera_id: str, rows: Rows, until: int) -> None:
        """What was looked up later than it happened, and how far it goes. It tells no events, and may be told again."""
        self._put(camera_id, until, _Past(rows, until))

    def picture(self, camera_id: str, run_id: str, seq: int, captured_at: int, picture: Picture | bytes) -> None:
        """A frame's picture, as array or as JPEG; it is shown once the frame's rows have come. Not copied."""
        self._pictures.put(FrameId(camera_id=camera_id, run_id=run_id, seq=seq, captured_at=captured_at), picture)

    def wants_pictures(self, camera_id: str) -> bool:
        """Whether somebody looks at this camera now and the next picture is due."""
        return self._pictures.wanted(camera_id)

    def dropped(self, camera_id: str, frames: int) -> None:
        """How many frames of the camera's present run were skipped to stay fresh, until now."""
        self._dropped[camera_id] = frames

    def trouble(self, about: str, line: str | None) -> None:
        """Something that viewers must know (a server that is away), or None when it is over."""
        if line is None:
            self._troubles.pop(about, None)
        else:
            self._troubles[about] = line

    def forget(self, person_id: str) -> None:
        """Drops what is remembered of a person, and takes no more in."""
        self._pictures.forget(person_id)
        with self._out:
            for state in self._up_to_date().values():
                state.forget(person_id)
            kept = [event for event in self._events if event.person_id != person_id]
            self._events.clear()
            self._events.extend(kept)

    # out

    def remembered(self) -> set[str]:
        """Everybody of whom something is remembered. Does not count as looking."""
        with self._out:
            people = {event.person_id for event in self._events if event.person_id}
            return people.union(*(state.remembered() for state in self._cameras.values()))

    @property
    def watched(self) -> bool:
        """Whether anybody looks at anything now."""
        return time.monotonic() - self._asked < LOOKING

    def looked_at(self) -> list[str]:
        """The cameras whose pictures somebody looks at now."""
        return self._pictures.looked_at()

    @property
    def troubles(self) -> list[str]:
        """What viewers must know, one line each."""
        return list(self._troubles.values())

    def cameras(self) -> list[CameraNow]:
        """All cameras, by name."""
        with self._out:
            states = self._up_to_date()
            for camera_id, frames in self._dropped.items():
                if (state := states.get(camera_id)) is not None and state.running:
                    state.dropped = frames
            return [state.camera() for _, state in sorted(states.items())]

    def people(self, camera_id: str) -> list[PersonNow]:
        """Who is before the camera now."""
        return self._people(camera_id, present=True)

    def recent_people(self, camera_id: str) -> list[PersonNow]:
        """Who is, or was in the last minutes, before the camera."""
        return self._people(camera_id, present=False)

    def is_present(self, camera_id: str, person_id: str) -> bool:
        """Whether the person is before the camera now."""
        with self._out:
            state = self._up_to_date().get(camera_id)
            return state is not None and state.is_present(person_id)

    def episodes(self, camera_id: str, person_id: str) -> list[StressEpisode]:
        """The person's stress episodes that ended in the last minutes."""
        with self._out:
            state = self._up_to_date().get(camera_id)
            return state.episodes(person_id) if state else []

    def trace(self, camera_id: str, person_id: str | None = None, points: int = 150) -> Trace:
        """The camera's or the person's last minutes as curves of at most so many points."""
        with self._out:
            state = self._up_to_date().get(camera_id)
            return state.trace(person_id, points) if state else Trace(at=[], mean=[], stress=[])

    def events(self, after: int = 0) -> list[LiveEvent]:
        """The events with a higher id, oldest first, as far back as they are kept."""
        with self._out:
            self._up_to_date()
            return [event for event in self._events if event.id > after]

    def newest_event(self) -> int:
        """The highest id so far; its event may be forgotten."""
        with self._out:
            self._up_to_date()
            return self._event_id

    async def follow(self, after: int = 0) -> AsyncIterator[LiveEvent]:
        """The events with a higher id, as they happen, without end."""
        while True:
            for event in self.events(after):
                after = event.id
                yield event
            await asyncio.sleep(FOLLOW_EVERY)

    def annotated(self, camera_id: str) -> bytes | None:
        """The latest picture with boxes, as JPEG; None where pictures are off or none has come yet.

        Asking makes pictures come. Takes some milliseconds where the picture has yet to be drawn: not for an event
        loop.
        """
        return self._pictures.latest(camera_id)[1]

    def annotated_after(self, camera_id: str, after: int) -> tuple[int, bytes | None]:
        """The number and JPEG of the latest picture, None if its number is `after`. Like `annotated`."""
        number, jpeg = self._pictures.latest(camera_id)
        return number, jpeg if number != after else None

    def has_picture(self, camera_id: str, after: int) -> bool:
        """Whether `annotated_after` has something new. Takes no time; asking makes pictures come."""
        return self._pictures.ready(camera_id, after)

    def _people(self, camera_id: str, *, present: bool) -> list[PersonNow]:
        with self._out:
            state = self._up_to_date().get(camera_id)
            return state.people(present=present) if state else []

    def _put(self, camera_id: str, at: int, what: "Run | Rows | _Past") -> None:
        with self._in:
            if (queue := self._waiting.get(camera_id)) is None:
                queue = self._waiting[camera_id] = deque(maxlen=MOST_WAITING)
            queue.append((at, what))
            horizon = at - self._memory
            while queue[0][0] < horizon:
                old = queue.popleft()[1]
                if isinstance(old, Run):
                    self._overlooked[camera_id] = old

    def _up_to_date(self) -> dict[str, CameraState]:
        """Takes in what waits. To be called with `_out` held."""
        self._asked = time.monotonic()
        with self._in:
            taken = {camera_id: queue for camera_id, queue in self._waiting.items() if queue}
            self._waiting.clear()
            for camera_id, run in self._overlooked.items():
                taken[camera_id].appendleft((run.started_at, run))
            self._overlooked.clear()
        for camera_id, queue in taken.items():
            if (state := self._cameras.get(camera_id)) is None:
                state = self._cameras[camera_id] = CameraState(
                    camera_id, self._settings, lambda *event, camera_id=camera_id: self._tell(camera_id, *event)
                )
            for at, what in queue:
                if isinstance(what, Rows):
                    state.rows(what, at)
                elif isinstance(what, _Past):
                    state.rows(what.rows, what.until, past=True)
                elif what.status == "running":
                    state.started(what)
                else:
                    state.ended(what)
        return self._cameras

    def _tell(self, camera_id: str, at: int, kind: str, person_id: str | None, text: str) -> None:
        self._event_id += 1
        self._events.append(
            LiveEvent(id=self._event_id, at=at, kind=kind, camera_id=camera_id, person_id=person_id, text=text)
        )


def _newest(rows: Rows) -> int:
    """Event time of the newest of one camera's rows."""
    times = chain(
        (seen.captured_at for seen in rows.observations),
        (letter.captured_at for letter in rows.dead_letters),
        (window.window_start for window in rows.windows),
        (person.last_seen for person in rows.people),
        (episode.ended_at for episode in rows.episodes),
    )
    return max(times, default=0)


def _by_camera(rows: Rows) -> dict[str, Rows]:
    """Rows of several cameras, apart."""
    parts: dict[str, Rows] = {}
    for name in ("observations", "windows", "people", "episodes", "dead_letters"):
        for row in getattr(rows, name):
            part = parts.get(row.camera_id)
            if part is None:
                part = parts[row.camera_id] = Rows(
                    observations=[], windows=[], people=[], episodes=[], dead_letters=[], revived=[]
                )
            getattr(part, name).append(row)
    return parts
