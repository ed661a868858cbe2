"""What the routes share: what they look at, what they may be asked, and how a page is turned."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar

import msgspec
from fastapi import APIRouter, Depends, Path, Request
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field
from sqlalchemy import Connection

from contracts.settings import Settings
from dashboards.live.api.models import Page
from dashboards.live.guard import PARAMETER
from dashboards.live.problems import ProblemError, problems
from storage import history
from storage.store import Store

if TYPE_CHECKING:
    from dashboards.live.hub import Hub

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

BIGGEST: Final = 2**31 - 1


class Given(msgspec.Struct, frozen=True):
    """What the API looks at."""

    hub: "Hub | None"
    store: Store
    settings: Settings

    def read(self, work: Callable[[Connection], T]) -> T:
        """One look at the database. It does not wait for one that is away: whoever asked can ask again."""
        return self.store.transact(work, write=False, patient=False)


def _given(request: Request) -> Given:
    given = request.app.state.given
    assert isinstance(given, Given)  # noqa: S101
    return given


Known = Annotated[Given, Depends(_given)]


async def no_strange_parameters(request: Request) -> None:
    """Refuses a parameter that is not in the route's description: it may be a mistyped one, and without it more would
    be told than was asked for.
    """
    if not request.query_params:
        return
    operation = request.app.openapi()["paths"][request.scope["route"].path][request.method.lower()]
    known = {given["name"] for given in operation.get("parameters", ()) if given["in"] == "query"}
    if strange := [name for name in request.query_params if name not in {*known, PARAMETER}]:
        raise ProblemError(422, "; ".join(f"there is no parameter {name!r} here" for name in strange))


def _per_person(given: Known) -> None:
    if given.settings.privacy.aggregate:
        raise ProblemError(403, "privacy.level is aggregate: nothing about any one person is kept or shown")


def personal_router(tag: str) -> APIRouter:
    """A router for what is about single people: it has nothing to say where only statistics of cameras are kept."""
    refusal = problems({403: "with privacy.level aggregate there is nothing about any one person"})
    return APIRouter(tags=[tag], dependencies=[Depends(_per_person)], responses=refusal)


def _moment(given: Any) -> Any:
    """ISO 8601 alone: pydantic also takes numbers for times."""
    if not isinstance(given, str):
        return given
    try:
        return datetime.fromisoformat(given)
    except ValueError:
        raise ValueError("this is no ISO 8601 time such as 2026-01-31T09:00:00Z") from None


def _in_utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("the time has no zone; write 2026-01-31T09:00:00Z, or +01:00 (as %2B01:00) at its end")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("this time is out of range") from None


Moment = Annotated[datetime, BeforeValidator(_moment), AfterValidator(_in_utc)]
Name = Annotated[str, Field(min_length=1, max_length=1000)]
CameraId = Annotated[str, Path(max_length=1000, description="the camera's name", examples=["demo"])]
PersonId = Annotated[str, Path(max_length=1000, description="the person's pseudonym")]


class Asked(BaseModel):
    """Which rows: those that overlap [since, until)."""

    camera_id: Name | None = Field(None, description="of this camera only")
    since: Moment | None = Field(None, description="not before this time, ISO 8601 with zone")
    until: Moment | None = Field(None, description="before this time, ISO 8601 with zone")
    order: Literal["newest", "oldest"] = Field("newest", description="which come first")
    limit: int = Field(100, ge=1, le=1000, description="rows of a page, at most")
    after: str | None = Field(None, max_length=4000, description="where to go on; part of the last page's `next`")


class AskedOfPeople(Asked):
    """The same, of one person."""

    person_id: Name | None = Field(None, description="of this person only")


def turn(request: Request, given: Given, kind: history.Kind[Any], asked: Asked, model: type[M]) -> Page[M]:
    """The page that is asked for, and the link to the next."""
    which = history.Asked(**asked.model_dump(exclude={"order", "limit", "after"}))
    newest_first = asked.order == "newest"
    found = given.read(
        partial(history.page, kind=kind, asked=which, newest_first=newest_first, after=asked.after, limit=asked.limit)
    )
    link = None
    if found.next is not None:
        there = request.url.include_query_params(after=found.next)
        link = f"{there.path}?{there.query}"
    return Page[model](items=[model.model_validate(row) for row in found.rows], next=link)  # type: ignore[valid-type]
