"""Health: is the database there, and how old is its newest data?"""

from datetime import UTC, datetime
from importlib.metadata import version

from fastapi import APIRouter

from dashboards.live.api.common import Known
from dashboards.live.api.models import Health
from storage import history

router = APIRouter(tags=["health"])


@router.get("/health", summary="Health")
def health(given: Known) -> Health:
    """200 where the database answers, 503 where it does not."""
    cameras = given.read(history.cameras)
    newest = max((camera.last_seen for camera in cameras if camera.last_seen is not None), default=None)
    return Health(
        status="ok",
        version=version("affectstream"),
        database=given.store.place,
        cameras=len(cameras),
        newest=newest,
        age_seconds=None if newest is None else (datetime.now(UTC) - newest).total_seconds(),
        troubles=given.hub.troubles if given.hub is not None else [],
    )
