"""Events, as they happen: Server-Sent Events, which every browser and curl can read."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Header, Query
from sse_starlette import EventSourceResponse, ServerSentEvent

from dashboards.live.api.common import Known, Name
from dashboards.live.api.models import Event
from dashboards.live.problems import ProblemError, problems
from storage.values import to_datetime

if TYPE_CHECKING:
    from dashboards.live.hub import Hub, LiveEvent

router = APIRouter(tags=["events"])
STREAM: dict[int | str, dict[str, Any]] = {
    200: {"description": "events without end", "content": {"text/event-stream": {"schema": {"type": "string"}}}}
}
LAST = 2**53 - 1
"""An id has to be a number of JavaScript."""
KEEP_ALIVE = 15
"""Seconds between comments, so that nobody on the way takes the connection for dead."""


@router.get(
    "/events",
    summary="Events, as they happen",
    response_class=EventSourceResponse,
    responses=STREAM | problems({501: "this process watches no camera"}),
)
async def events(
    given: Known,
    camera_id: Annotated[Name | None, Query(description="of this camera only")] = None,
    after: Annotated[int, Query(ge=0, le=LAST, description="only events with a higher id")] = 0,
    last_event_id: Annotated[
        str | None, Header(description="the same, as a browser says it when it comes back; wins")
    ] = None,
) -> EventSourceResponse:
    """First those that are remembered, then each as it happens. `event` is the kind, `data` an Event as JSON.

    Kinds: run_started, run_ended, person_appeared, person_left, stress_began, stress_ended, dead_letter; with
    privacy.level aggregate none about people.
    """
    if given.hub is None:
        raise ProblemError(
            501, "this process watches no camera; events come from `affectstream run --live` and `affectstream live`"
        )
    if last_event_id is not None and last_event_id.isascii() and last_event_id.isdigit():
        after = int(last_event_id)
    return EventSourceResponse(_stream(given.hub, after, camera_id), ping=KEEP_ALIVE)


async def _stream(hub: "Hub", after: int, camera_id: str | None) -> AsyncIterator[ServerSentEvent]:
    if after > hub.newest_event():
        after = 0  # no event of ours: all are new to whoever asks
    async for event in hub.follow(after):
        if camera_id is None or event.camera_id == camera_id:
            yield ServerSentEvent(data=_as_json(event), event=event.kind, id=str(event.id))


def _as_json(event: "LiveEvent") -> str:
    values = {name: getattr(event, name) for name in event.__struct_fields__}
    return Event.model_validate(values | {"at": to_datetime(event.at)}).model_dump_json()
