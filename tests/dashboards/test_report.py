"""The page of a day says what is stored, to everybody, and needs nothing but itself."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from contracts.rows import Rows, Seven
from contracts.settings import Settings
from dashboards.report import day_report
from dashboards.report.facts import Day, Span, read_day
from storage.store import Store
from tests.storage.samples import DAY, SECOND, START, empty_window, episode, opened, person, run, window

THURSDAY = date(2026, 1, 8)
HAPPY: Seven = (0, 0, 0, 1, 0, 0, 0)
SAD: Seven = (0, 0, 0, 0, 1, 0, 0)
CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(autouse=True)
def utc(in_zone: Callable[[str], None]) -> None:
    in_zone("UTC")


def day_of(number: int, people: int, **changes: Any) -> Rows:
    """Three windows of a quarter of an hour, from 9:00: 300 person-seconds happy, 100 sad and stressed, then nobody."""
    begin = START + number * DAY + 9 * 3600 * SECOND
    every = {"window_seconds": 900, **changes}
    calm = {"mean": HAPPY, "seconds_observed": 300.0, "stress_ratio": 0.0, "happiness_ratio": 1.0, "people": people}
    tense = {"mean": SAD, "seconds_observed": 100.0, "stress_ratio": 1.0, "happiness_ratio": 0.0, "dominant": "sad"}
    return Rows(
        windows=[
            window(window_start=begin, **every, **calm),
            window(window_start=begin + 900 * SECOND, **every, **tense),
            empty_window(window_start=begin + 1800 * SECOND, **every),
        ],
        people=[
            person(
                person_id=f"day{number}.{who}",
                first_seen=begin,
                last_seen=begin + 60 * SECOND,
                seconds_observed=10.0 * who,
            )
            for who in range(1, people + 1)
        ],
        episodes=[episode(person_id=f"day{number}.1", started_at=begin + 950 * SECOND, ended_at=begin + 1010 * SECOND)],
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(f"sqlite:///{tmp_path / 'test.db'}") as store:
        store.start_run(run())
        for number, people in ((0, 3), (6, 40), (7, 12)):
            store.write(day_of(number, people))
        yield store


def page_of(store: Store, settings: Settings | None = None, day: date = THURSDAY) -> str:
    page = report_of(store, "door", day, settings)
    assert page is not None
    return page


def report_of(store: Store, camera_id: str, day: date, settings: Settings | None = None) -> str | None:
    span, week_before = span_of(day), span_of(day - timedelta(days=7))
    return day_report(store, settings or Settings(), camera_id, day, span=span, week_before=week_before)


def facts_of(store: Store, day: date) -> Day:
    span, week_before = span_of(day), span_of(day - timedelta(days=7))
    asked = partial(read_day, camera_id="door", day=day, span=span, week_before=week_before, per_person=True)
    facts = store.transact(asked, write=False)
    assert facts is not None
    return facts


def span_of(day: date) -> Span:
    begin = datetime.combine(day, clock(), UTC)
    return begin, begin + timedelta(days=1)


class Words(HTMLParser):
    """What a reader of the page is told, and its tables."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text: list[str] = []
        self.tables: list[list[list[str]]] = []
        self._hidden = 0
        self._in_cell = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag == "style"
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in {"td", "th"}:
            self.tables[-1][-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag == "style"
        self._in_cell &= tag not in {"td", "th"}

    def handle_data(self, data: str) -> None:
        if not self._hidden and data.strip():
            self.text.append(data.strip())
            if self._in_cell:
                self.tables[-1][-1][-1] += data.strip()

    @property
    def all(self) -> str:
        return " ".join(self.text).replace("\N{NARROW NO-BREAK SPACE}", " ")

    @property
    def figures(self) -> dict[str, list[str]]:
        return {row[0]: [cell.replace("\N{NARROW NO-BREAK SPACE}", " ") for cell in row[1:]] for row in self.tables[1]}


def test_the_figures_are_weighted_by_time_and_stand_against_the_week_before(store: Store) -> None:
    page = Words(page_of(store))
    rows = page.figures
    assert rows["people"] == ["12", "3", "+9"]
    assert rows["time seen, over all people"] == ["6 min 40 s", "6 min 40 s", "±0 s"]
    assert rows["of that time stressed"] == ["25 %", "25 %", "±0 points"]
    assert rows["of that time happy"][0] == "75 %"
    assert rows["stress episodes"] == ["1", "1", "±0"]
    assert "Thursday, 8 January 2026" in page.all
    assert "Against Thursday, 1 January 2026" in page.all
    assert "Mean over the day: happy 75 %, sad 25 %" in page.all
    assert "Highest stress ratio: 100 %, at 09:15." in page.all


def test_shares_that_look_the_same_differ_by_nothing(store: Store) -> None:
    for number, stressed in ((21, 0.164), (28, 0.156)):  # both are shown as 16 %
        day = day_of(number, 1)
        calm, tense, _ = day.windows
        tense = replace(tense, stress_ratio=4 * stressed)
        store.write(replace(day, windows=[calm, tense]))
    rows = Words(page_of(store, day=THURSDAY + timedelta(days=21))).figures
    assert rows["of that time stressed"] == ["16 %", "16 %", "±0 points"]


def test_the_charts_can_be_read_as_a_table(store: Store) -> None:
    table = Words(page_of(store)).tables[0]
    assert [row[0] for row in table] == ["from", "09:00", "09:15", "09:30"]
    assert [row[2] for row in table] == ["mostly", "happy", "sad", "nobody"]


def test_the_tables_have_the_episodes_and_who_was_seen_longest(store: Store) -> None:
    *_, episodes, people = Words(page_of(store)).tables
    assert [row[:3] for row in episodes[1:]] == [["09:15:50", "1 min", "1"]]
    assert [row[0] for row in people[1:]] == [str(who) for who in range(12, 2, -1)]


def test_it_says_that_the_score_is_an_indicator_and_how_it_comes_about(store: Store) -> None:
    words = Words(page_of(store, Settings.model_validate({"aggregator": {"stress_on": 0.6, "stress_on_after": 7}}))).all
    assert "an indicator worked out from facial expressions, not a diagnosis" in words
    assert "60 % or more for 7 s until it falls to 35 %" in words


def test_with_level_aggregate_it_says_nothing_about_any_one_person(store: Store) -> None:
    page = page_of(store, Settings.model_validate({"privacy": {"level": "aggregate"}}))
    assert not re.search(r"day\d\.|Seen longest|episode|pseudonym", page)
    assert "Mean over the day" in page


def test_a_day_without_a_week_before_and_one_without_anybody(store: Store) -> None:
    assert "Nothing is stored of door on the same weekday" in page_of(store, day=date(2026, 1, 7))
    store.write(Rows(windows=[empty_window(window_start=START + 30 * DAY)]))
    assert "Nobody was seen" in page_of(store, day=date(2026, 1, 31))
    assert report_of(store, "door", date(2025, 1, 1)) is None


def test_names_are_text_and_no_markup(store: Store) -> None:
    name = "<script>alert(1)</script>\"'"
    rows = day_of(7, 1, camera_id=name)
    store.write(Rows(windows=rows.windows))
    page = report_of(store, name, THURSDAY)
    assert page is not None
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_it_needs_nothing_from_elsewhere(store: Store) -> None:
    assert not re.search(r"<(script|link|img|iframe|object)|@import|url\(|https?:|src=|href=", page_of(store))


def test_the_charts_take_windows_that_they_have_room_for(store: Store) -> None:
    rows = Rows(windows=[window(window_seconds=10, window_start=START + 7 * DAY + n * 10 * SECOND) for n in range(200)])
    store.write(rows)
    facts = facts_of(store, THURSDAY)
    assert (facts.length, len(facts.windows)) == (900, 3)
    assert facts_of(store, date(2026, 1, 1)).length == 900  # there are no shorter ones of that day


def test_runs_that_have_no_windows_of_the_charts_length_count_in_the_figures(store: Store) -> None:
    begin = START + 7 * DAY + 18 * 3600 * SECOND
    store.finish_run(run(run_id="short", started_at=begin, ended_at=begin + 20 * SECOND, status="finished"))
    sad = {"mean": SAD, "seconds_observed": 200.0, "stress_ratio": 1.0, "happiness_ratio": 0.0}
    starts = [(length, begin + at * SECOND) for length in (5, 10) for at in range(0, 10, length)]
    rows = [window(run_id="short", window_seconds=one, window_start=at, **sad) for one, at in starts]
    store.write(Rows(windows=rows))
    facts = facts_of(store, THURSDAY)
    assert (facts.length, len(facts.windows), facts.total.seconds) == (900, 3, 800.0)
    page = Words(page_of(store))
    assert page.figures["time seen, over all people"][0] == "13 min"
    assert page.figures["of that time stressed"][0] == "62 %"
    assert "Thursday, 8 January 2026, 09:00:00 to 18:00:10" in page.all
    assert "The charts are without 6 min 40 s of the time seen, in runs that have no windows of 15 min." in page.all
    assert "The charts are without" not in Words(page_of(store, day=date(2026, 1, 7))).all


def test_who_and_what_crosses_midnight_counts_in_each_day_with_its_part(store: Store) -> None:
    midnight = START + 20 * DAY
    night = {"first_seen": midnight - 600 * SECOND, "last_seen": midnight + 300 * SECOND, "seconds_observed": 900.0}
    every = {"window_seconds": 300, "stress_ratio": 0.5}
    seen = [(midnight - 600 * SECOND, SAD), (midnight - 300 * SECOND, SAD), (midnight, HAPPY)]
    store.write(
        Rows(
            people=[person(person_id="night", **night)],
            windows=[
                window(window_start=at, mean=mean, seconds_observed=300.0, person_id=who, **every)
                for at, mean in seen
                for who in ("", "night")
            ],
            episodes=[
                episode(person_id="night", started_at=midnight - 40 * SECOND, ended_at=midnight + 20 * SECOND),
                episode(person_id="night", started_at=midnight - 90 * SECOND, ended_at=midnight),
            ],
        )
    )
    before, after = facts_of(store, date(2026, 1, 20)), facts_of(store, date(2026, 1, 21))
    assert [(one.seconds_observed, one.dominant) for one in before.people] == [(600.0, "sad")]
    assert [(one.seconds_observed, one.dominant) for one in after.people] == [(300.0, "happy")]
    assert [one.seconds for one in before.episodes] == [90.0, 40.0]
    assert [(one.started_at, one.seconds) for one in after.episodes] == [(span_of(date(2026, 1, 21))[0], 20.0)]
    assert (before.total.episodes, after.total.episodes) == (2, 1)
    assert after.people[0].first_seen == span_of(date(2026, 1, 21))[0]


@pytest.mark.skipif(not CHROMIUM.exists(), reason="there is no /usr/bin/chromium")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_it_without_a_request_or_a_complaint_down_to_a_phone(
    store: Store, tmp_path: Path, scheme: Any
) -> None:
    from playwright.sync_api import sync_playwright

    file = tmp_path / "day.html"
    file.write_text(page_of(store), encoding="utf-8")
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme=scheme)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: asked.append(message.text))
        page.goto(file.as_uri())
        assert asked == [file.as_uri()]
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (background == "rgb(255, 255, 255)") == (scheme == "light")
        assert page.get_by_role("img", name="Emotion shares over the day").count() == 1
        browser.close()
