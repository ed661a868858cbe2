"""Windows: the statistics of cameras and of people over 10 seconds, a minute, a quarter of an hour."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import Field

from dashboards.live.api.common import BIGGEST, Asked, AskedOfPeople, Known, personal_router, turn
from dashboards.live.api.models import Page, PersonWindow, Window
from storage import history

router = APIRouter(tags=["windows"])
personal = personal_router("windows")
Length = Annotated[int | None, Field(ge=1, le=BIGGEST, description="of this length only, seconds", examples=[60])]


class AskedWindows(Asked):
    """Which windows of cameras: those that begin in [since, until)."""

    window_seconds: Length = None


class AskedPersonWindows(AskedOfPeople):
    """Which windows of people: those that begin in [since, until)."""

    window_seconds: Length = None


@router.get("/windows", summary="Windows of cameras")
def windows(request: Request, given: Known, asked: Annotated[AskedWindows, Query()]) -> Page[Window]:
    """Emotion and stress of a camera, or of all, over all people, window by window."""
    return turn(request, given, history.CAMERA_WINDOWS, asked, Window)


@personal.get("/person-windows", summary="Windows of people")
def person_windows(request: Request, given: Known, asked: Annotated[AskedPersonWindows, Query()]) -> Page[PersonWindow]:
    """Emotion and stress of a person, or of everybody, window by window."""
    return turn(request, given, history.PERSON_WINDOWS, asked, PersonWindow)


router.include_router(personal)
