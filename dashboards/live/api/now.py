"""Now: who is before the cameras, and how they are."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
from fastapi import APIRouter, Query
from pydantic import BaseModel
from sqlalchemy import Connection

from dashboards.live.api.common import Given, Known, Name, personal_router
from dashboards.live.api.models import CameraNow, Now, PersonNow
from storage import history
from storage.values import to_datetime

if TYPE_CHECKING:
    from dashboards.live.hub import Hub

router = APIRouter(tags=["now"])
personal = personal_router("now")
M = TypeVar("M", bound=BaseModel)
Only = Annotated[Name | None, Query(description="of this camera only")]


@router.get("/now", summary="All cameras now")
def now(given: Known) -> Now[CameraNow]:
    """How many people are before each camera, and their emotions and stress."""
    if (hub := _told(given)) is not None:
        return Now[CameraNow](source="live", items=_converted(CameraNow, hub.cameras()))
    return Now[CameraNow](source="stored", items=given.read(_stored_cameras))


@personal.get("/now/people", summary="People now")
def people_now(given: Known, camera_id: Only = None) -> Now[PersonNow]:
    """Who is before the cameras, or before one of them."""
    if (hub := _told(given)) is None:
        people = given.read(partial(_stored_people, camera_id=camera_id))
        return Now[PersonNow](source="stored", items=people)
    names = [camera.camera_id for camera in hub.cameras()] if camera_id is None else [camera_id]
    rows = [person for name in names for person in hub.people(name)]
    return Now[PersonNow](source="live", items=_converted(PersonNow, rows))


router.include_router(personal)


def _told(given: Given) -> "Hub | None":
    """The hub, if it is told what happens: what it looks up itself is better looked up here."""
    return None if given.hub is None or given.hub.stored else given.hub


def _converted(model: type[M], rows: Sequence[msgspec.Struct]) -> list[M]:
    """Rows of the hub, whose times are nanoseconds."""

    def plain(name: str, value: Any) -> Any:
        return to_datetime(value) if name in {"since", "last_seen"} and value is not None else value

    return [
        model.model_validate({name: plain(name, getattr(row, name)) for name in row.__struct_fields__}) for row in rows
    ]


def _stored_cameras(connection: Connection) -> list[CameraNow]:
    result = []
    for camera in history.cameras(connection):
        run = _latest_run(connection, camera)
        newest = _newest_window(connection, run)
        result.append(
            CameraNow(
                camera_id=camera.camera_id,
                run_id=run.run_id if run else None,
                live=bool(camera.live),
                status=camera.status or "finished",
                people=newest.people if newest else 0,
                dominant=newest.dominant if newest else None,
                mean=newest.mean if newest else None,
                stress=newest.stress_mean if newest else None,
                last_seen=camera.last_seen,
            )
        )
    return result


def _stored_people(connection: Connection, camera_id: str | None) -> list[PersonNow]:
    return [
        PersonNow(
            person_id=window.person_id,
            camera_id=window.camera_id,
            since=window.window_start,
            last_seen=history.end_of(window),
            dominant=window.dominant,
            smoothed=window.mean,
            stress=window.stress_mean,
            stressed=(window.stress_ratio or 0) >= 0.5,
        )
        for camera in history.cameras(connection, camera_id=camera_id)
        for window in _newest_of_people(connection, _latest_run(connection, camera))
        if window.mean is not None
    ]


def _newest_of_people(connection: Connection, run: history.CameraRun | None) -> list[history.PersonWindow]:
    newest = _newest_window(connection, run)
    if run is None or newest is None:
        return []
    asked = history.Asked(
        camera_id=newest.camera_id,
        window_seconds=newest.window_seconds,
        since=newest.window_start,
        until=history.end_of(newest),
    )
    rows = history.page(connection, history.PERSON_WINDOWS, asked).rows
    return [row for row in rows if row.person_id.rpartition(".")[0] == run.run_id]  # another may have ended just before


def _latest_run(connection: Connection, camera: history.CameraHistory) -> history.CameraRun | None:
    asked = history.Asked(camera_id=camera.camera_id)
    return next(iter(history.page(connection, history.RUNS, asked, newest_first=True, limit=1).rows), None)


def _newest_window(connection: Connection, run: history.CameraRun | None) -> history.CameraWindow | None:
    """The newest of the shortest windows, while the camera runs: when it has ended, nobody is before it."""
    return history.newest_window(connection, run) if run is not None and run.status == "running" else None
