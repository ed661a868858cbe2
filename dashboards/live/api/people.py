"""People: who was seen, and the wish to be forgotten."""

from functools import partial
from typing import Annotated

from fastapi import Query, Request

from contracts.errors import InputError
from dashboards.live.api.common import Asked, Known, PersonId, personal_router, turn
from dashboards.live.api.models import Forgotten, Page, Person
from dashboards.live.problems import ProblemError, problems
from storage import history
from storage.erasure import forget, seen

router = personal_router("people")
UNKNOWN = problems({404: "there is no such person"})


@router.get("/people", summary="People")
def people(request: Request, given: Known, asked: Annotated[Asked, Query()]) -> Page[Person]:
    """Everybody who was seen, with the statistics of all the time observed; by the time of their first appearance."""
    return turn(request, given, history.PEOPLE, asked, Person)


@router.get("/people/{person_id}", summary="One person", responses=UNKNOWN)
def person(given: Known, person_id: PersonId) -> Person:
    """A person, with the statistics of all the time observed."""
    asked = history.Asked(person_id=person_id)
    found = given.read(partial(history.page, kind=history.PEOPLE, asked=asked, limit=1)).rows
    if not found:
        raise ProblemError(404, f"there is no person {person_id!r}")
    return Person.model_validate(found[0])


@router.delete("/people/{person_id}", summary="Forget a person", responses=UNKNOWN)
def forget_person(given: Known, person_id: PersonId) -> Forgotten:
    """Erases everything that is stored about the person, and looks whether anything is left. May be repeated.

    Also while a run goes on: it stores nothing more about the person. Statistics of whole cameras stay as they are.
    """
    try:
        known = seen(given.store, person_id)
        done = forget(given.store, person_id)
    except InputError as error:
        raise ProblemError(404, str(error)) from None
    if given.hub is not None:
        given.hub.forget(person_id)
    notes = [done.traces] if done.traces else []
    if any(one.distributed for one in known):
        notes.append(
            "Redis may keep frames that could not be processed; `affectstream forget` on the server drops them"
        )
    return Forgotten(person_id=person_id, removed=dict(done.removed), left=dict(done.left), notes=notes)
