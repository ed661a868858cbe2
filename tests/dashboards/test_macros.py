"""The expander says of a query what Grafana's Postgres plugin would send, as its source and manual have it."""

from datetime import UTC, datetime, timedelta

import pytest

from contracts.settings import Settings
from dashboards.grafana.macros import Range, Value, expand, last
from dashboards.grafana.windows import Windows

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
HOUR = last(timedelta(hours=1), NOON)
FROM, TO = "'2026-01-31T11:00:00Z'", "'2026-01-31T12:00:00Z'"


@pytest.mark.parametrize(
    ("query", "sent"),
    [
        ("$__timeFilter(t)", f"t BETWEEN {FROM} AND {TO}"),
        ("$__timeFrom()::timestamptz < t", f"{FROM}::timestamptz < t"),
        ("t <= $__timeTo()", f"t <= {TO}"),
        ("$__time(t)", 't AS "time"'),
        ("$__timeEpoch(t)", 'extract(epoch from t) as "time"'),
        ("$__timeGroup(t,'5m')", "floor(extract(epoch from t)/300)*300"),
        ("$__timeGroup(t, $__interval)", "floor(extract(epoch from t)/5)*5"),
        ("$__timeGroupAlias(t, '200ms')", 'floor(extract(epoch from t)/0.2)*0.2 AS "time"'),
        ("$__timeGroupAlias(t, 1h, NULL)", 'floor(extract(epoch from t)/3600)*3600 AS "time"'),
        ("$__unixEpochFilter(t)", "t >= 1769857200 AND t <= 1769860800"),
        ("$__unixEpochTo() - $__unixEpochFrom()", "1769860800 - 1769857200"),
        ("$__interval_ms / 1000.0, '$__interval'", "5000 / 1000.0, '5s'"),
        ("AT TIME ZONE '${__timezone}'", "AT TIME ZONE 'UTC'"),
    ],
)
def test_macros_become_what_grafana_makes_of_them(query: str, sent: str) -> None:
    assert expand(query, HOUR, {}) == sent


@pytest.mark.parametrize(
    ("query", "value", "sent"),
    [
        ("= '$camera'", "door", "= 'door'"),
        ("IN ($camera)", ["door", "O'Brien"], "IN ('door','O''Brien')"),
        ("IN (${camera})", ["door"], "IN ('door')"),
        ("${camera:sqlstring}", "O'Brien", "'O''Brien'"),
        ("ARRAY[${camera:sqlstring}]", ['a "b"', "c,d"], "ARRAY['a \"b\"','c,d']"),
        ("ARRAY[${camera:sqlstring}]", [], "ARRAY[]"),
        ("${camera:raw}", "door", "door"),
        ("=~`${camera:regex}`", ["a.b", "c|d"], "=~`(a\\.b|c\\|d)`"),
        ("=~`${camera:regex}`", ["a.b"], "=~`a\\.b`"),
    ],
)
def test_variables_are_put_in_as_their_format_says(query: str, value: Value, sent: str) -> None:
    assert expand(query, HOUR, {"camera": value}) == sent


@pytest.mark.parametrize("query", ["$__timeBucket(t)", "$__timeGroup(t)", "${nobody}", "${camera:shouting}"])
def test_what_grafana_would_not_understand_is_refused(query: str) -> None:
    with pytest.raises(ValueError, match=r"no (macro|variable|format)"):
        expand(query, HOUR, {"camera": "door"})


@pytest.mark.parametrize(
    ("length", "points", "least", "seconds"),
    [
        (timedelta(minutes=1), 1000, None, 0.05),
        (timedelta(minutes=1), 1000, "10s", 10),
        (timedelta(hours=1), 1000, None, 5),
        (timedelta(hours=6), 1000, "10s", 20),
        (timedelta(days=1), 1000, "10s", 60),
        (timedelta(days=30), 1000, "10s", 1800),
        (timedelta(days=30), 500, None, 3600),
    ],
)
def test_points_are_as_far_apart_as_grafana_sets_them(
    length: timedelta, points: int, least: str | None, seconds: float
) -> None:
    assert last(length, NOON, points).interval(least) == seconds


@pytest.mark.parametrize(
    ("windows", "milliseconds", "chosen"),
    [
        ((10, 60, 900), 50, 10),
        ((10, 60, 900), 10_000, 10),
        ((900, 10, 60), 20_000, 60),
        ((10, 60, 900), 120_000, 900),
        ((10, 60, 900), 3_600_000, 900),
        ((300,), 50, 300),
        ((5, 86_400), 6000, 86_400),
    ],
)
def test_the_shortest_window_that_is_no_shorter_than_the_interval_is_asked(
    windows: tuple[int, ...], milliseconds: int, chosen: int
) -> None:
    settings = Settings.model_validate({"aggregator": {"windows": windows}})
    case = Windows(settings).fitting.replace("$__interval_ms", str(milliseconds))
    assert _sqlite(case) == chosen


def _sqlite(expression: str) -> object:
    import sqlite3

    connection = sqlite3.connect(":memory:")
    try:
        return connection.execute(f"SELECT {expression}").fetchone()[0]
    finally:
        connection.close()


def test_a_range_can_have_its_own_width_and_zone() -> None:
    shown = Range(NOON - timedelta(hours=1), NOON, points=100, timezone="Asia/Kolkata")
    assert expand("$__interval ${__timezone}", shown, {}) == "30s Asia/Kolkata"
