"""Times as people write them: yesterday, monday 9:30, 2h ago, 31 jan, 2026-01-31T09:00+01:00.

A day means its start where a range begins and its end where one ends. What names no zone is meant in this machine's.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from contracts.errors import InputError

WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
EXAMPLES: Final = "today, yesterday 14:00, monday, 2h ago, 2026-01-31, 2026-01-31T09:00+01:00"

_ISO: Final = re.compile(r"\d{4}-?(\d\d|W)", re.ASCII)
_DATE: Final = re.compile(r"\d{4}-?(\d\d-?\d\d|W\d\d(-?\d)?)")
_CLOCK: Final = re.compile(
    r"(?:(?P<day>.+?)(?: at)? )?(?P<clock>\d{1,2}(:\d\d){1,2}( ?[ap]m)?|\d{1,2} ?[ap]m)", re.ASCII
)
_CLOCKS: Final = ("%H:%M", "%H:%M:%S", "%I:%M%p", "%I:%M:%S%p", "%I%p")
_WEEKDAY: Final = re.compile(rf"(last )?({'|'.join(f'{day[:3]}({day[3:]})?' for day in WEEKDAYS)})")
_MONTH: Final = re.compile(r"\b(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)")


def parse_range(since: str | None, until: str | None, now: datetime) -> tuple[datetime | None, datetime | None]:
    """The two ends of [since, until), aware, in UTC. Raises InputError for what is no time, or has nothing between."""
    begin = None if since is None else parse_time(since, now, option="--from")
    end = None if until is None else parse_time(until, now, end=True, option="--to")
    if begin and end and begin >= end:
        raise InputError(f"--from {since} ({_shown(begin)}) is not before --to {until} ({_shown(end)})")
    return begin, end


def parse_time(text: str, now: datetime, *, end: bool = False, option: str = "time") -> datetime:
    """The moment that a text means, aware, in UTC; of a whole day its start, or with `end` the start of the next.

    `now` is aware. Where the clocks are put back, an hour that comes twice is the first one, with `end` the second.
    Raises InputError, which begins with the option's name, for what cannot be understood.
    """
    try:
        moment, whole_day = _read(" ".join(text.lower().split()), now)
        if end and whole_day:
            moment += timedelta(days=1)
        # Where midnight comes twice a day ends, as the next one begins, with the first.
        return moment.astimezone(UTC) if moment.tzinfo else _from_wall(moment, end and not whole_day)
    except (ValueError, OverflowError, OSError):
        raise InputError(f"{option} {text!r} is no time that is understood; write {EXAMPLES}") from None


def day_of(text: str, now: datetime) -> tuple[datetime, datetime]:
    """Start and end of the day that a text means, aware, in UTC. Raises InputError for what is no day."""
    begin, end = parse_time(text, now, option="--day"), parse_time(text, now, end=True, option="--day")
    if begin == end:
        raise InputError(f"--day {text!r} is a moment, not a day; write today, yesterday, monday or 2026-01-31")
    return begin, end


def _read(text: str, now: datetime) -> tuple[datetime, bool]:
    """The moment, without a zone where it is in the machine's; and whether a whole day is meant. ValueError if none."""
    here = now.astimezone().replace(tzinfo=None)
    if _ISO.match(text):
        return datetime.fromisoformat(text.upper()), bool(_DATE.fullmatch(text.upper()))
    if clock := _CLOCK.fullmatch(text):
        day = _day(clock["day"] or "today", here)
        return datetime.combine(day, _clock(clock["clock"].replace(" ", ""))), False
    found = _parsed(text, here, "relative-time")
    if found and found[1] == "time" and ":" not in text:
        return now - (here - found[0]), False  # so long ago, whatever the clocks did in the meantime
    return datetime.combine(_day(text, here), time()), True


def _day(text: str, here: datetime) -> date:
    if named := _WEEKDAY.fullmatch(text):
        number = next(number for number, day in enumerate(WEEKDAYS) if day.startswith(named[2][:3]))
        # The latest day of that name: today too, unless it is said to be the last one.
        return here.date() - timedelta(days=(here.weekday() - number) % 7 or (7 if named[1] else 0))
    found = _parsed(text, here, "relative-time")
    if not found and _MONTH.search(text):
        found = _parsed(text, here, "absolute-time")
    if not found or found[1] not in {"day", *(("week", "month", "year") if text.endswith(" ago") else ())}:
        raise ValueError(text)
    return found[0].date()


def _clock(text: str) -> time:
    for form in _CLOCKS:
        with suppress(ValueError):
            return datetime.strptime(text, form).time()
    raise ValueError(text)


def _from_wall(wall: datetime, end: bool) -> datetime:
    both = [wall.replace(fold=fold).astimezone(UTC) for fold in (0, 1)]
    real = [moment for moment in both if moment.astimezone().replace(tzinfo=None) == wall]
    return (max if end else min)(real) if real else max(both)  # none where the clocks are put forward past it


def _parsed(text: str, here: datetime, parser: str) -> tuple[datetime, str] | None:
    from dateparser.date import DateDataParser  # type: ignore[import-untyped]

    settings: Mapping[str, Any] = {
        "PARSERS": [parser], "RELATIVE_BASE": here, "RETURN_TIME_AS_PERIOD": True, "PREFER_DATES_FROM": "past",
        "REQUIRE_PARTS": ["day", "month"] if parser == "absolute-time" else [],
    }  # fmt: skip
    found = DateDataParser(languages=["en"], settings=dict(settings)).get_date_data(text)
    return None if found.date_obj is None else (found.date_obj, found.period or "")


def _shown(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"
