"""Stress episodes."""

from typing import Annotated

from fastapi import Query, Request

from dashboards.live.api.common import AskedOfPeople, Known, personal_router, turn
from dashboards.live.api.models import Episode, Page
from storage import history

router = personal_router("episodes")


@router.get("/episodes", summary="Stress episodes")
def episodes(request: Request, given: Known, asked: Annotated[AskedOfPeople, Query()]) -> Page[Episode]:
    """The times in which people stayed in the stressed state; those that are over."""
    return turn(request, given, history.EPISODES, asked, Episode)
