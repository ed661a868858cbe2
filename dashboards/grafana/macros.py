"""What Grafana makes of a query before the database sees it: its variables, then the macros of its Postgres plugin.

For the tests and the benchmark, which ask what the dashboards ask.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

Value = str | Sequence[str]
"""Of a variable: one value, or what is chosen of several; All is all of them."""

_VARIABLE: Final = re.compile(r"\$\{(\w+)(?::(\w+))?\}|\$(\w+)")
_MACRO: Final = re.compile(r"\$(__\w+)\(([^)]*)\)")
_UNITS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
_TIDY: Final = (
    *((0.015, 0.01), (0.035, 0.02), (0.075, 0.05), (0.15, 0.1), (0.35, 0.2), (0.75, 0.5), (1.5, 1), (3.5, 2)),
    *((7.5, 5), (12.5, 10), (17.5, 15), (25, 20), (45, 30), (90, 60), (210, 120), (450, 300), (750, 600)),
    *((1050, 900), (1500, 1200), (2700, 1800), (5400, 3600), (9000, 7200), (16200, 10800), (32400, 21600)),
    *((86400, 43200), (604800, 86400)),
)
"""Below so many seconds between two points there are so many, so that times are round."""


@dataclass(frozen=True)
class Range:
    """What a dashboard shows. `points` is about how many pixels the panel is wide."""

    start: datetime
    end: datetime
    points: int = 1000
    timezone: str = "UTC"

    def interval(self, least: str | None = None) -> float:
        """Seconds between points; `least` as a panel gives it."""
        exact = (self.end - self.start).total_seconds() / self.points
        tidy = next((step for limit, step in _TIDY if exact < limit), 604800)
        return max(tidy, seconds(least) if least else 0)


def expand(query: str, shown: Range, variables: Mapping[str, Value], *, least: str | None = None) -> str:
    """The SQL that is sent. Raises ValueError for what Grafana would not understand."""
    interval = shown.interval(least)
    text = interpolate(query, {**variables, "__timezone": shown.timezone, **_globals(interval)})
    text = text.replace("$__unixEpochFrom()", f"{int(shown.start.timestamp())}")
    text = text.replace("$__unixEpochTo()", f"{int(shown.end.timestamp())}")
    return _MACRO.sub(lambda found: _macro(found[1], [part.strip() for part in found[2].split(",")], shown), text)


def interpolate(query: str, variables: Mapping[str, Value]) -> str:
    """Puts values for $name, ${name} and ${name:format}; what is unknown stays, for it may be a macro."""

    def put(found: re.Match[str]) -> str:
        name = found[1] or found[3]
        if name not in variables:
            if found[1]:
                raise ValueError(f"no variable {name}")
            return found[0]
        return _format(found[2], variables[name])

    return _VARIABLE.sub(put, query)


def seconds(interval: str) -> float:
    """'10s' as 10.0. Raises ValueError."""
    found = re.fullmatch(r"'?(\d+(?:\.\d+)?)(ms|[smhdwy])'?", interval)
    if not found:
        raise ValueError(f"no interval: {interval}")
    return float(found[1]) * _UNITS[found[2]]


def _globals(interval: float) -> dict[str, str]:
    whole = interval >= 1
    return {
        "__interval": f"{interval:.0f}s" if whole else f"{interval * 1000:.0f}ms",
        "__interval_ms": f"{interval * 1000:.0f}",
    }


def _format(form: str | None, value: Value) -> str:
    values = [value] if isinstance(value, str) else list(value)
    formats: dict[str | None, Callable[[list[str]], str]] = {
        None: lambda some: some[0] if isinstance(value, str) else ",".join(map(_quoted, some)),
        "raw": ",".join,
        "csv": ",".join,
        "sqlstring": lambda some: ",".join(map(_quoted, some)),
        "singlequote": lambda some: ",".join("'" + each.replace("'", r"\'") + "'" for each in some),
        "regex": _regex,
    }
    if form not in formats:
        raise ValueError(f"no format {form}")
    return formats[form](values)


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _regex(values: list[str]) -> str:
    escaped = [re.sub(r"[\\^$*+?.()|[\]{}/]", r"\\\g<0>", value) for value in values]
    return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


def _macro(name: str, arguments: list[str], shown: Range) -> str:
    start, end = _quoted(_rfc3339(shown.start)), _quoted(_rfc3339(shown.end))
    since, until = (int(at.timestamp()) for at in (shown.start, shown.end))
    column = arguments[0]
    known: dict[tuple[str, int], str] = {
        ("__timeFrom", 1): start,
        ("__timeTo", 1): end,
        ("__time", 1): f'{column} AS "time"',
        ("__timeEpoch", 1): f'extract(epoch from {column}) as "time"',
        ("__timeFilter", 1): f"{column} BETWEEN {start} AND {end}",
        ("__unixEpochFilter", 1): f"{column} >= {since} AND {column} <= {until}",
    }
    if name in {"__timeGroup", "__timeGroupAlias"} and len(arguments) in {2, 3}:
        step = f"{seconds(arguments[1]):g}"
        group = f"floor(extract(epoch from {column})/{step})*{step}"
        return f'{group} AS "time"' if name.endswith("Alias") else group
    if (name, len(arguments)) not in known:
        raise ValueError(f"no macro {name} of {len(arguments)}")
    return known[name, len(arguments)]


def _rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def last(length: timedelta, until: datetime, points: int = 1000) -> Range:
    """The time before `until`."""
    return Range(until - length, until, points)
