"""The facts of a day as HTML."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from math import ceil
from pathlib import Path
from typing import Final

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from contracts.emotions import COLOURS, EMOTIONS
from contracts.settings import Settings
from dashboards.report import charts
from dashboards.report.facts import Day, Total
from storage.history import CameraWindow, end_of

_MINUS: Final = "\N{MINUS SIGN}"


class Figure(msgspec.Struct, frozen=True):
    """A figure of the day, the same a week before, and the change; '' where there is none."""

    label: str
    now: str
    then: str
    change: str


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """A chart with its words: what it shows, and what can be seen in it for those who cannot see it."""

    title: str
    alternative: str
    paths: list[tuple[str, str]]  # CSS class, path
    top: str
    middle: str
    keys: list[tuple[str, str]]  # CSS class, label


def render(facts: Day, settings: Settings) -> str:
    """The page."""
    span = charts.Span(facts.windows)
    windows = [*facts.windows, *facts.others]
    finest = min(window.window_seconds for window in windows)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "duration": duration, "clock": clock}
    return environment.get_template("page.html.j2").render(
        facts=facts,
        settings=settings,
        emotions=EMOTIONS,
        colours=COLOURS,
        figures=_figures(facts),
        charts=[_shares(facts, span), _ratios(facts, span), _people(facts, span)],
        ticks=span.ticks(),
        hints=charts.hints(facts.windows, span, _told),
        mixes=_mixes(facts),
        weekday=f"{facts.day:%A}",
        shown=_shown(facts.day),
        before=_shown(facts.day - timedelta(days=7)),
        length=duration(facts.length),
        zone=f"{facts.windows[0].window_start.astimezone():%Z}",
        made=f"{datetime.now(UTC).astimezone():%Y-%m-%d %H:%M %Z}",
        seen_from=clock(min(window.window_start for window in windows), finest),
        seen_to=clock(max(map(end_of, windows)), finest),
    )


def percent(share: float | None) -> str:
    """12 %; an en dash where there is none."""
    return "–" if share is None else f"{share:.0%}".replace("%", "\N{NARROW NO-BREAK SPACE}%")


def duration(seconds: float) -> str:
    """45 s, 12 min, 3 h 5 min."""
    if seconds < 60:
        return f"{seconds:.{1 if 0 < seconds < 10 else 0}f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 10 and rest:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours and minutes else f"{hours} h" if hours else f"{minutes} min"


def clock(moment: datetime, length: int = 60) -> str:
    """The time of the day in the machine's zone, as fine as windows of this length need it."""
    return f"{moment.astimezone():{'%H:%M' if length % 60 == 0 else '%H:%M:%S'}}"


def _count(number: float) -> str:
    return f"{number:,.0f}"


def _shown(day: date) -> str:
    return f"{day.day} {day:%B %Y}"


def _figures(facts: Day) -> list[Figure]:
    now, then = facts.total, facts.before

    def figure(label: str, mine: float | None, theirs: float | None, shown: Callable[[float], str]) -> Figure:
        change = ""
        if mine is not None and theirs is not None:
            # Of shares as they are shown: the same figure twice must not differ by a point.
            gap = round(round(mine, 2) - round(theirs, 2), 2) if shown is percent else round(mine - theirs)
            sign = "+" if gap > 0 else _MINUS if gap < 0 else "±"
            change = sign + (f"{abs(gap) * 100:.0f} points" if shown is percent else shown(abs(gap)))
        return Figure(label, "–" if mine is None else shown(mine), "–" if theirs is None else shown(theirs), change)

    def pair(name: str) -> tuple[float | None, float | None]:
        return getattr(now, name), getattr(then, name, None)

    return [
        *([figure("people", *pair("people"), _count)] if now.people is not None else []),
        figure("time seen, over all people", *pair("seconds"), duration),
        figure("of that time stressed", *pair("stress_ratio"), percent),
        figure("of that time happy", *pair("happiness_ratio"), percent),
        figure("highest stress score", *pair("stress_max"), percent),
        *([figure("stress episodes", *pair("episodes"), _count)] if now.episodes is not None else []),
    ]


def _mixes(facts: Day) -> list[tuple[str, list[tuple[str, float]]]]:
    """The day's emotion shares and those of the week before, as parts of a bar."""

    def parts(total: Total | None) -> list[tuple[str, float]]:
        return [] if total is None or total.mean is None else list(zip(EMOTIONS, total.mean, strict=True))

    days = ((facts.day, facts.total), (facts.day - timedelta(days=7), facts.before))
    return [(f"{day:%A}, {_shown(day)}", parts(total)) for day, total in days if parts(total)]


def _shares(facts: Day, span: charts.Span) -> Chart:
    paths = charts.stacked(facts.windows, span)
    shares = sorted(zip(facts.total.mean or (), EMOTIONS, strict=facts.total.mean is not None), reverse=True)
    return Chart(
        title="Emotion shares",
        alternative="Mean over the day: " + ", ".join(f"{emotion} {percent(share)}" for share, emotion in shares) + "."
        if shares
        else "Nobody was seen.",
        paths=[(f"fill {emotion}", paths[emotion]) for emotion in EMOTIONS],
        top="100%",
        middle="50%",
        keys=[(emotion, emotion) for emotion in EMOTIONS],
    )


def _ratios(facts: Day, span: charts.Span) -> Chart:
    said = [
        _highest(facts.windows, name, [getattr(window, f"{name}_ratio") for window in facts.windows])
        for name in ("stress", "happiness")
    ]
    return Chart(
        title="Stress and happiness, share of the time people were seen",
        alternative=" ".join(said),
        paths=[
            ("line happiness", charts.line(facts.windows, span, lambda window: window.happiness_ratio)),
            ("line stress", charts.line(facts.windows, span, lambda window: window.stress_ratio)),
        ],
        top="100%",
        middle="50%",
        keys=[("stress", "in the stressed state"), ("happiness", "mostly happy (dashed)")],
    )


def _people(facts: Day, span: charts.Span) -> Chart:
    most = max(window.people for window in facts.windows)
    top = max(2, 2 * ceil(most / 2))
    when = next(window for window in facts.windows if window.people == most)
    return Chart(
        title=f"People in each {duration(facts.length)}",
        alternative=f"At most {most} in one window, first at {clock(when.window_start, facts.length)}."
        if most
        else "Nobody was seen.",
        paths=[("fill crowd", charts.bars(facts.windows, span, lambda window: window.people, top))],
        top=str(top),
        middle=str(top // 2),
        keys=[],
    )


def _highest(windows: Sequence[CameraWindow], name: str, values: Sequence[float | None]) -> str:
    known = [(value, window) for value, window in zip(values, windows, strict=True) if value is not None]
    if not known:
        return f"No {name} ratio, as nobody was seen."
    value, window = max(known, key=lambda pair: pair[0])
    if value == 0:
        return f"No {name} at any time."
    return f"Highest {name} ratio: {percent(value)}, at {clock(window.window_start, window.window_seconds)}."


def _told(window: CameraWindow) -> str:
    begin = clock(window.window_start, window.window_seconds)
    if window.mean is None:
        return f"{begin}: nobody"
    shares = sorted(zip(window.mean, EMOTIONS, strict=True), reverse=True)[:3]
    said = ", ".join(f"{emotion} {percent(share)}" for share, emotion in shares)
    return (
        f"{begin}: {window.people} {'person' if window.people == 1 else 'people'}; {said}; "
        f"stressed {percent(window.stress_ratio)}, happy {percent(window.happiness_ratio)}"
    )
