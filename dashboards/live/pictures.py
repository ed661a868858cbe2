"""The pictures that somebody looks at: kept for a moment, until their rows have come, then drawn once for all viewers.

Of a camera that nobody looks at nothing is kept.
"""

import threading
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from contracts.messages import FrameId, Picture
from contracts.rows import Observation
from contracts.settings import Settings

LOOKING: Final = 3.0
"""Seconds for which somebody who has asked counts as looking."""
EVERY: Final = 0.1
"""Seconds between pictures."""
MOST_KEPT: Final = 12
"""Pictures of one camera that wait for their rows: memory, against the delay between a picture and its rows."""
OVERTAKING: Final = 2
"""Frames by which one may overtake another on their way."""
SETTLED: Final = 0.5
"""Seconds after which a slow camera's picture is shown with the rows that are there."""
OVERDUE: Final = 3.0
"""Seconds after which a picture is shown without the rows that should have come."""


class _Kept(msgspec.Struct):
    """A picture that waits for its rows."""

    frame: FrameId
    picture: Picture | bytes
    taken: float
    rows: list[Observation] = []


class _View:
    """One camera that somebody has looked at."""

    def __init__(self) -> None:
        self.asked = time.monotonic()
        self.kept: dict[tuple[str, int], _Kept] = {}  # in the order of time
        self.taken = 0.0
        self.reached: FrameId | None = None
        self.number = 0
        self.jpeg: bytes | None = None
        self.people: set[str] = set()  # who has a box in it
        self.lock: Final = threading.Lock()  # of the kept
        self.drawing: Final = threading.Lock()

    @property
    def watched(self) -> bool:
        return time.monotonic() - self.asked < LOOKING


class Pictures:
    """Safe for many threads: those of the stages put in, those of the viewers take out."""

    def __init__(self, settings: Settings) -> None:
        self._shown: Final = settings.privacy.show_pictures
        self._settling: Final = settings.aggregator.min_hits - 1 + OVERTAKING
        """So many frames later all faces of a frame have their people."""
        self._views: Final[dict[str, _View]] = {}
        self._forgotten: Final[set[str]] = set()

    # in

    def wanted(self, camera_id: str) -> bool:
        """Whether somebody looks at the camera and the next picture is due."""
        view = self._views.get(camera_id)
        if view is None:
            return False
        if not view.watched:
            with view.lock:
                view.kept.clear()
            return False
        return len(view.kept) < MOST_KEPT and time.monotonic() >= view.taken + EVERY

    def put(self, frame: FrameId, picture: Picture | bytes) -> None:
        """Takes a picture in, if somebody looks. To be called before the rows of its frame come."""
        view = self._views.get(frame.camera_id)
        if view is None or not view.watched:
            return
        with view.lock:
            view.taken = time.monotonic()
            view.kept[frame.run_id, frame.seq] = _Kept(frame, picture, view.taken)
            while len(view.kept) > MOST_KEPT:
                del view.kept[next(iter(view.kept))]

    def reached(self, frame: FrameId) -> None:
        """All frames up to this one have been aggregated."""
        if (view := self._views.get(frame.camera_id)) is not None:
            view.reached = frame

    def rows(self, rows: Sequence[Observation]) -> None:
        """Observations, of any frames of any cameras."""
        for row in rows:
            view = self._views.get(row.camera_id)
            if view is None or not view.kept:
                continue
            with view.lock:
                if (kept := view.kept.get((row.run_id, row.seq))) is not None:
                    kept.rows.append(row)

    def forget(self, person_id: str) -> None:
        """Drops the pictures that are known to show the person, and hides their face in those that come."""
        self._forgotten.add(person_id)
        for view in list(self._views.values()):
            with view.lock:
                for key, kept in list(view.kept.items()):
                    if any(row.person_id == person_id for row in kept.rows):
                        del view.kept[key]
            with view.drawing:
                if person_id in view.people:
                    view.jpeg, view.people, view.number = None, set(), view.number + 1

    # out

    def looked_at(self) -> list[str]:
        """The cameras that somebody looks at."""
        return [camera_id for camera_id, view in list(self._views.items()) if view.watched]

    def ready(self, camera_id: str, after: int) -> bool:
        """Whether `latest` would be another than the one of this number."""
        if not self._shown:
            return False
        view = self._look(camera_id)
        with view.lock:
            return (view.jpeg is not None and view.number != after) or any(
                self._complete(kept, view) for kept in view.kept.values()
            )

    def latest(self, camera_id: str) -> tuple[int, bytes | None]:
        """The number of the latest picture that is complete, counting up from 1, and its JPEG; (0, None) if none is."""
        if not self._shown:
            return 0, None
        view = self._look(camera_id)
        with view.drawing:
            if (kept := self._take(view)) is not None:
                from dashboards.live.drawing import annotate

                hidden = frozenset(self._forgotten)  # as of now: who is drawn belongs to `people`
                if (jpeg := annotate(kept.picture, kept.rows, hidden)) is not None:
                    view.jpeg, view.number = jpeg, view.number + 1
                    view.people = {row.person_id for row in kept.rows} - hidden
            return view.number, view.jpeg

    def _look(self, camera_id: str) -> _View:
        view = self._views.setdefault(camera_id, _View())
        view.asked = time.monotonic()
        return view

    def _take(self, view: _View) -> _Kept | None:
        """The newest picture that can be shown; it and all before it are kept no longer."""
        with view.lock:
            for key in reversed(view.kept):
                if self._complete(view.kept[key], view):
                    found = view.kept[key]
                    for older in list(view.kept):
                        del view.kept[older]
                        if older == key:
                            return found
        return None

    def _complete(self, kept: _Kept, view: _View) -> bool:
        reached, waited = view.reached, time.monotonic() - kept.taken
        if waited > OVERDUE:
            return True
        if reached is None:
            return bool(kept.rows)
        if reached.run_id != kept.frame.run_id:  # the run is over, or has yet to reach the first frame
            return reached.captured_at >= kept.frame.captured_at
        ahead = reached.seq - kept.frame.seq
        return ahead >= self._settling or (ahead >= 0 and waited > SETTLED)
