"""Times as people write them, in a zone whose clocks are put forward and back."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from contracts.errors import InputError
from pipeline.times import day_of, parse_range, parse_time

NOW = datetime(2026, 7, 22, 10, 34, 56, tzinfo=UTC)  # a Wednesday, 12:34:56 in Berlin


@pytest.fixture(autouse=True)
def berlin(in_zone: Callable[[str], None]) -> None:
    in_zone("Europe/Berlin")


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("now", "2026-07-22 12:34:56"),
        ("2h ago", "2026-07-22 10:34:56"),
        ("90 min ago", "2026-07-22 11:04:56"),
        ("1 hour 30 minutes ago", "2026-07-22 11:04:56"),
        ("an hour ago", "2026-07-22 11:34:56"),
        ("9:30", "2026-07-22 09:30"),
        ("2pm", "2026-07-22 14:00"),
        ("yesterday 14:00", "2026-07-21 14:00"),
        ("  Yesterday   at 2 PM ", "2026-07-21 14:00"),
        ("monday 9:30", "2026-07-20 09:30"),
        ("sun 23:59:30", "2026-07-19 23:59:30"),
        ("2026-01-31T09:00", "2026-01-31 09:00"),
        ("2026-01-31 09:00:00.25", "2026-01-31 09:00:00.25"),
        ("2026-01-31T09:00Z", "2026-01-31 09:00+00:00"),
        ("2026-01-31t09:00:00-05:00", "2026-01-31 09:00-05:00"),
        ("31 jan 2026 14:00", "2026-01-31 14:00"),
    ],
)
def test_a_moment_is_the_same_at_both_ends_of_a_range(text: str, moment: str) -> None:
    assert parse_time(text, NOW) == parse_time(text, NOW, end=True) == local(moment)
    assert parse_time(text, NOW).tzinfo is UTC


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("today", "2026-07-22"),
        ("yesterday", "2026-07-21"),
        ("wednesday", "2026-07-22"),
        ("last wednesday", "2026-07-15"),
        ("Thursday", "2026-07-16"),
        ("tue", "2026-07-21"),
        ("3 days ago", "2026-07-19"),
        ("2 weeks ago", "2026-07-08"),
        ("2 months ago", "2026-05-22"),
        ("2026-01-31", "2026-01-31"),
        ("20260131", "2026-01-31"),
        ("31 January 2026", "2026-01-31"),
        ("jan 31", "2026-01-31"),
        ("31 december", "2025-12-31"),
    ],
)
def test_a_day_is_its_start_as_from_and_its_end_as_to(text: str, day: str) -> None:
    start = local(day)
    assert parse_time(text, NOW) == start
    assert parse_time(text, NOW, end=True) == start + timedelta(days=1)
    assert day_of(text, NOW) == parse_range(text, text, NOW) == (start, start + timedelta(days=1))


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "banana", "yesterday banana", "monday tuesday", "5", "2026", "may", "2026-01", "january 2026"),
        *("2026-02-30", "2026-13-01", "31/12/2026", "12/31/2026", "25:00", "2026-01-31T25:00", "13pm", "ago", "2 ago"),
        *("last week", "this morning", "h ago", "99999 years ago", "2026-01-31T09:00+99:00", "30 february 2026"),
        *("0000-01-01", "yesterday 14:00 14:00", "next monday", "'; DROP TABLE run", "２０２６", "2026-01-31 banana"),
    ],
)
def test_nonsense_is_one_clear_line(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_time(text, NOW, option="--from")
    assert str(caught.value).startswith(f"--from {text!r} is no time")
    assert "yesterday" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_days_on_which_the_clocks_change_have_23_and_25_hours() -> None:
    spring, autumn = day_of("2026-03-29", NOW), day_of("2026-10-25", NOW)
    assert spring[1] - spring[0] == timedelta(hours=23)
    assert autumn[1] - autumn[0] == timedelta(hours=25)


def test_an_hour_that_comes_twice_is_all_in_the_range() -> None:
    begin, end = parse_range("2026-10-25 02:30", "2026-10-25 02:30", NOW)
    assert (begin, end) == (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC))


def test_an_hour_that_does_not_come_keeps_its_order() -> None:
    begin, end = parse_range("2026-03-29 02:15", "2026-03-29 02:45", NOW)
    assert begin is not None
    assert end is not None
    assert end - begin == timedelta(minutes=30)


def test_hours_ago_are_hours_and_days_ago_are_days_when_the_clocks_changed_in_between() -> None:
    now = datetime(2026, 3, 29, 8, 0, tzinfo=UTC)  # 10:00, the hour from 2 to 3 was skipped
    assert parse_time("10h ago", now) == now - timedelta(hours=10)
    assert parse_time("yesterday 10:00", now) == now - timedelta(hours=23)
    assert parse_time("yesterday", now, end=True) - parse_time("yesterday", now) == timedelta(hours=24)


@pytest.mark.parametrize(
    ("since", "until"), [("today", "yesterday"), ("now", "2h ago"), ("2026-01-31T09:00", "2026-01-31T09:00")]
)
def test_a_reversed_range_is_one_clear_line(since: str, until: str) -> None:
    with pytest.raises(InputError, match=f"^--from {since} .* is not before --to {until} .*"):
        parse_range(since, until, NOW)


def test_an_open_range_stays_open() -> None:
    assert parse_range(None, None, NOW) == (None, None)
    assert parse_range(None, "yesterday", NOW) == (None, local("2026-07-22"))


def test_a_moment_is_no_day() -> None:
    with pytest.raises(InputError, match="not a day"):
        day_of("2h ago", NOW)


@pytest.mark.parametrize(
    ("zone", "days", "lengths"),
    [
        ("Atlantic/Azores", ("2026-10-24", "2026-10-25", "2026-10-26"), (24, 25, 24)),  # midnight comes twice
        ("America/Santiago", ("2026-09-05", "2026-09-06", "2026-09-07"), (24, 23, 24)),  # a midnight is left out
    ],
)
def test_days_follow_each_other_without_gap_or_overlap_wherever_clocks_change_at_midnight(
    zone: str, days: tuple[str, ...], lengths: tuple[int, ...], in_zone: Callable[[str], None]
) -> None:
    in_zone(zone)
    spans = [day_of(day, NOW) for day in days]
    assert [(end - begin) / timedelta(hours=1) for begin, end in spans] == list(lengths)
    assert [end for _, end in spans[:-1]] == [begin for begin, _ in spans[1:]]
    assert parse_range(days[0], days[1], NOW) == (spans[0][0], spans[1][1])
