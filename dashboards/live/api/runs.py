"""Runs: connections to cameras, and replays of files."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from dashboards.live.api.common import Asked, Known, turn
from dashboards.live.api.models import Page, Run
from storage import history

router = APIRouter(tags=["runs"])


@router.get("/runs", summary="Runs")
def runs(request: Request, given: Known, asked: Annotated[Asked, Query()]) -> Page[Run]:
    """The runs of a camera, or of all, and how they ended."""
    return turn(request, given, history.RUNS, asked, Run)
