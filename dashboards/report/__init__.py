"""A camera's day as one page to read, print or send: no script, and nothing that is fetched from elsewhere."""

from datetime import date
from typing import TYPE_CHECKING

from contracts.settings import Settings

if TYPE_CHECKING:
    from dashboards.report.facts import Span
    from storage.store import Store

__all__ = ["day_report"]


def day_report(
    store: "Store", settings: Settings, camera_id: str, day: date, *, span: "Span", week_before: "Span"
) -> str | None:
    """The HTML of a camera's day, in the machine's zone; None where there is nothing of that day.

    `span` is from when to when it lasts, `week_before` the same of the day a week before.

    With privacy.level aggregate it says nothing about any one person.
    """
    from functools import partial

    from dashboards.report.facts import read_day
    from dashboards.report.page import render

    per_person = not settings.privacy.aggregate
    asked = partial(read_day, camera_id=camera_id, day=day, span=span, week_before=week_before, per_person=per_person)
    facts = store.transact(asked, write=False)
    return None if facts is None else render(facts, settings)
