"""Cameras: those that are registered for the ingest workers, and those with which something was seen."""

import re
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Response

from contracts.addresses import STREAM, WEBCAM, clean_camera_id, redact
from dashboards.live.api.common import CameraId, Given, Known
from dashboards.live.api.models import Address, Camera, Page
from dashboards.live.problems import ProblemError, problems
from storage import history
from storage.cameras import Cameras

router = APIRouter(tags=["cameras"])
UNKNOWN = problems({404: "there is no such camera"})
ADDED: dict[int | str, dict[str, Any]] = {201: {"model": Camera, "description": "it was added"}}
NOT_OURS = problems({409: "no ingest worker is there for it: in the embedded mode `affectstream run` has its cameras"})


@router.get("/cameras", summary="Cameras")
def cameras(given: Known) -> Page[Camera]:
    """All cameras by name, on one page: there are never many."""
    return Page[Camera](items=_cameras(given), next=None)


@router.get("/cameras/{camera_id}", summary="One camera", responses=UNKNOWN)
def camera(given: Known, camera_id: CameraId) -> Camera:
    """A camera, what is registered of it, and what was seen with it."""
    if found := _cameras(given, camera_id):
        return found[0]
    raise ProblemError(404, f"there is no camera {camera_id!r}")


@router.put(
    "/cameras/{camera_id}",
    summary="Add a camera, or give it another address",
    responses=ADDED | NOT_OURS,
)
def add_camera(given: Known, camera_id: CameraId, given_address: Address, response: Response) -> Camera:
    """The running ingest workers notice within seconds."""
    address = given_address.address.strip()
    if camera_id != clean_camera_id(camera_id):
        raise ProblemError(422, f"{camera_id!r} is no name for a camera; use letters, digits and . _ -")
    if not _is_camera(address):
        raise ProblemError(422, f"{redact(address)!r} is no camera; give rtsp://…, http://… or a webcam's number")
    registry = Cameras(given.store, patient=False)
    if not registry.workers():
        raise ProblemError(
            409,
            "nobody would read the camera: no ingest worker runs on this database; start `affectstream ingest` first "
            "(what `affectstream run` reads is said on its command line)",
        )
    response.status_code = 201 if registry.add(camera_id, address) == "added" else 200
    return _cameras(given, camera_id)[0]


@router.delete("/cameras/{camera_id}", summary="Remove a camera", status_code=204, responses=UNKNOWN | NOT_OURS)
def remove_camera(given: Known, camera_id: CameraId) -> None:
    """Its address is forgotten, and it is read no more. What was seen with it stays."""
    if Cameras(given.store, patient=False).remove(camera_id):
        return
    if not _cameras(given, camera_id):
        raise ProblemError(404, f"there is no camera {camera_id!r}")
    raise ProblemError(409, f"camera {camera_id!r} is not registered; it ends with the command that reads it")


def _cameras(given: Given, camera_id: str | None = None) -> list[Camera]:
    seen = given.read(partial(history.cameras, camera_id=camera_id))
    registered = {known.camera_id: known for known in Cameras(given.store, patient=False).list()}
    result = []
    for row in seen:
        known = registered.get(row.camera_id)
        result.append(
            Camera(
                registered=known is not None,
                address=None if known is None else redact(known.url),
                read_by=None if known is None else known.reader,
                **{name: getattr(row, name) for name in row.__struct_fields__},
            )
        )
    return result


def _is_camera(address: str) -> bool:
    if re.fullmatch(WEBCAM, address, re.IGNORECASE):
        return True
    try:
        return bool(re.fullmatch(STREAM, address, re.IGNORECASE) and urlsplit(address).hostname)
    except ValueError:
        return False
