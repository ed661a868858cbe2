"""Pictures: what a camera sees now, with boxes. They are shown, and kept nowhere."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from dashboards.live.api.common import CameraId, Given, Known
from dashboards.live.problems import ProblemError, problems

if TYPE_CHECKING:
    from dashboards.live.hub import Hub

router = APIRouter(tags=["pictures"])
PATIENCE = 6.0
"""Seconds to wait for the first picture: they come only where somebody looks, and later where much is to be done."""
EVERY = 0.05
BOUNDARY = "picture"
NONE_SHOWN = problems({404: "there is no such camera here, or no picture of it now", 403: "pictures are switched off"})


def _content(kind: str) -> dict[int | str, dict[str, Any]]:
    schema = {"type": "string", "format": "binary"}
    return {200: {"description": "the picture", "content": {kind: {"schema": schema}}}, **NONE_SHOWN}


@router.get(
    "/cameras/{camera_id}/picture.jpg",
    summary="The latest picture",
    response_class=Response,
    responses=_content("image/jpeg"),
)
async def picture(given: Known, camera_id: CameraId) -> Response:
    """What the camera sees now, as JPEG, with a box around each face."""
    _, jpeg = await _first(given, camera_id)
    return Response(jpeg, media_type="image/jpeg")


@router.get(
    "/cameras/{camera_id}/stream",
    summary="Pictures without end",
    response_class=StreamingResponse,
    responses=_content("multipart/x-mixed-replace"),
)
async def stream(request: Request, given: Known, camera_id: CameraId) -> StreamingResponse:
    """The same as Motion JPEG, which an `<img>` shows."""
    hub, jpeg = await _first(given, camera_id)
    return StreamingResponse(
        _parts(request, hub, camera_id, jpeg), media_type=f"multipart/x-mixed-replace; boundary={BOUNDARY}"
    )


async def _first(given: Given, camera_id: str) -> tuple["Hub", bytes]:
    if not given.settings.privacy.show_pictures:
        setting = "privacy.level is aggregate" if given.settings.privacy.pictures else "privacy.pictures is false"
        raise ProblemError(403, f"{setting}: no pictures are shown")
    hub = given.hub
    if hub is None or camera_id not in {camera.camera_id for camera in hub.cameras()}:
        raise ProblemError(404, f"there is no camera {camera_id!r} that this process watches")
    fresh = camera_id in hub.looked_at()
    before = 0 if fresh else (await run_in_threadpool(hub.annotated_after, camera_id, 0))[0]
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        _, jpeg = await run_in_threadpool(hub.annotated_after, camera_id, before)
        if jpeg is not None:
            return hub, jpeg
        await asyncio.sleep(EVERY)
    raise ProblemError(404, f"no picture of camera {camera_id!r} comes now")


async def _parts(request: Request, hub: "Hub", camera_id: str, jpeg: bytes | None) -> AsyncIterator[bytes]:
    number = 0
    while not await request.is_disconnected():
        if jpeg is not None:
            head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            yield head.encode() + jpeg + b"\r\n"
        await asyncio.sleep(EVERY)
        number, jpeg = await run_in_threadpool(hub.annotated_after, camera_id, number)
