"""What the store knows of the last minutes, for a hub that was not there: the cameras, their runs, their people.

It is looked up while somebody looks: the cameras again and again, the last minutes of each when somebody begins to; and
again and again also these, where nobody tells the hub what happens.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, TypeVar

import msgspec

from contracts.errors import StorageError
from contracts.rows import Observation, Rows, Run, WindowStat
from contracts.settings import Settings
from dashboards.live.hub import Hub
from dashboards.live.now import KEEP, memory
from dashboards.live.watching import WhileWatched
from storage import history
from storage.history import (
    CAMERA_WINDOWS,
    OBSERVATIONS,
    RUNS,
    Asked,
    CameraRun,
    CameraWindow,
    PersonMoment,
)
from storage.store import Store

if TYPE_CHECKING:
    from sqlalchemy import Connection

T = TypeVar("T")

LOOK_EVERY: Final = 5.0
MOST_MOMENTS: Final = 5000
"""Observations of one camera; where there are more in the last minutes, the newest."""


class Lookback:
    """Keeps a hub's cameras and runs as the store has them, in a thread."""

    def __init__(self, hub: Hub, store: Store, settings: Settings) -> None:
        self._hub: Final = hub
        self._store: Final = store
        self._aggregate: Final = settings.privacy.aggregate
        self._window: Final = min(settings.aggregator.windows)
        self._memory: Final = timedelta(microseconds=memory(settings) // 1000)
        self._told: Final[dict[str, tuple[str, str]]] = {}  # camera -> run_id, status
        self._again: Final = WhileWatched(hub, self._look_up, every=LOOK_EVERY, name="lookback")

    def __enter__(self) -> Self:
        """Looks once, then in a thread."""
        self._look_up(True)
        self._again.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._again.close()

    def _look_up(self, minutes: bool) -> bool:
        """Whether the store answered; if not, viewers are told."""
        try:
            self._look(minutes=minutes)
        except StorageError as error:
            self._hub.trouble("store", f"What is stored cannot be seen: {error}")
            return False
        self._hub.trouble("store", None)
        return True

    def _look(self, *, minutes: bool) -> None:
        for camera_id in self._ask(history.names):
            latest = partial(history.page, kind=RUNS, asked=Asked(camera_id=camera_id), newest_first=True, limit=1)
            for run in map(_run, self._ask(latest).rows):
                known = self._told.get(camera_id) == (run.run_id, run.status)
                goes_on = self._hub.stored and run.status == "running"
                if known and not minutes and not goes_on:
                    continue
                self._told[camera_id] = (run.run_id, run.status)
                self._hub.started(msgspec.structs.replace(run, ended_at=None, status="running"))
                self._show_minutes(run)
                if run.status != "running":
                    self._hub.ended(run)

    def _ask(self, question: "Callable[[Connection], T]") -> T:
        return self._store.transact(question, write=False, patient=False)

    def _show_minutes(self, run: Run) -> None:
        """The last minutes of a run."""
        last_seen = next((one.last_seen for one in self._ask(partial(history.cameras, camera_id=run.camera_id))), None)
        if last_seen is None:
            return
        since = last_seen - self._memory
        rows = Rows(observations=[], windows=[])
        if self._aggregate:
            asked = Asked(camera_id=run.camera_id, since=since, window_seconds=self._window)
            windows = partial(history.page, kind=CAMERA_WINDOWS, asked=asked, newest_first=True, limit=KEEP)
            rows.windows.extend(_window(row, run) for row in self._ask(windows).rows)
        else:
            asked = Asked(camera_id=run.camera_id, since=since)
            moments = partial(history.page, kind=OBSERVATIONS, asked=asked, newest_first=True, limit=MOST_MOMENTS)
            found = reversed(self._ask(moments).rows)
            rows.observations.extend(_observation(row) for row in found if row.run_id == run.run_id)
        self._hub.past(run.camera_id, rows, _ns(last_seen) - 1)  # it is an end, at which nothing was seen yet


def _ns(at: datetime) -> int:
    return round(at.timestamp() * 1_000_000) * 1000


def _run(row: CameraRun) -> Run:
    values = msgspec.structs.asdict(row)
    return Run(
        **values | {"started_at": _ns(row.started_at), "ended_at": None if row.ended_at is None else _ns(row.ended_at)}
    )


def _observation(row: PersonMoment) -> Observation:
    return Observation(
        camera_id=row.camera_id, run_id=row.run_id, seq=row.seq, face=0, captured_at=_ns(row.captured_at),
        person_id=row.person_id, x=0.0, y=0.0, width=0.0, height=0.0, score=1.0, probabilities=row.probabilities,
        smoothed=row.smoothed, dominant=row.dominant, stress=row.stress, stressed=row.stressed,
    )  # fmt: skip


def _window(row: CameraWindow, run: Run) -> WindowStat:
    values = msgspec.structs.asdict(row)
    return WindowStat(**values | {"run_id": run.run_id, "person_id": "", "window_start": _ns(row.window_start)})
