"""All that the dashboards ask runs as the reader on what a real run stored, and gives what its panel can draw."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

import pytest
from sqlalchemy import Engine

from contracts.emotions import EMOTIONS
from contracts.rows import Rows as Stored
from contracts.rows import WindowStat
from contracts.settings import Settings, StorageSettings
from dashboards.grafana.catalog import Asked, queries
from dashboards.grafana.macros import Range, Value, expand
from storage import open_store
from tests.dashboards.stored import LENGTH, PLAIN, QUOTED, START, engine_of, fill, reader, shown
from tests.services.postgres import MISSING, postgres_programs, postgres_server
from tests.storage.samples import SECOND, empty_window, run, window

pytestmark = pytest.mark.xdist_group("tensorflow")  # one filled database for all of this file

ASKED: Final = [query for query in queries(Settings()) if query.language == "sql"]
BY_NAME: Final = {str(query): query for query in ASKED}
BOTH: Final = (QUOTED, PLAIN)
TIME, TEXTS, NUMBERS = 1184, {25, 1043}, {20, 21, 23, 700, 701, 1700}  # Postgres' OIDs
FRAMES: Final = "person: Emotions"
Rows = Sequence[Sequence[Any]]


class Frame:
    """What Grafana gets: the columns, whether each is a time, a text or a number, and the rows."""

    def __init__(self, engine: Engine, sql: str) -> None:
        with engine.connect() as connection:
            result = connection.exec_driver_sql(sql.replace("%", "%%"))
            description = result.cursor.description if result.cursor else ()
            self.kinds: dict[str, str] = {column[0]: _kind(column[1]) for column in description}
            self.rows: Rows = [tuple(row) for row in result]

    def column(self, name: str) -> list[Any]:
        at = list(self.kinds).index(name)
        return [row[at] for row in self.rows]

    def numbers(self) -> list[str]:
        return [name for name, kind in self.kinds.items() if kind == "number"]


def _kind(oid: Any) -> str:
    return "time" if oid == TIME else "text" if oid in TEXTS else "number" if oid in NUMBERS else f"oid {oid}"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    if postgres_programs() is None:
        pytest.skip(MISSING)
    with postgres_server() as url:
        yield url


@pytest.fixture(scope="module")
def filled(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    url = _new_database(server, "filled")
    fill(url, tmp_path_factory.mktemp("settings"))
    with reader(url) as engine:
        yield engine


@pytest.fixture(scope="module")
def empty(server: str) -> Iterator[Engine]:
    with reader(_new_database(server, "empty")) as engine:
        yield engine


def _new_database(server: str, name: str) -> str:
    owner = engine_of(server)
    with owner.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    owner.dispose()
    return server.removesuffix("postgres") + name


def ask(engine: Engine, query: Asked | str, over: Range | None = None, **variables: Value) -> Frame:
    """Asks over the whole scene, of both cameras and somebody with stress episodes, unless said otherwise."""
    asked = BY_NAME[query] if isinstance(query, str) else query
    given: dict[str, Value] = {"camera": BOTH, "person": _somebody(engine), **variables}
    return Frame(engine, expand(asked.text, over or shown(), given, least=(asked.panel or {}).get("interval")))


def _somebody(engine: Engine) -> str:
    with engine.connect() as connection:
        query = "SELECT person_id FROM person_summary ORDER BY stress_episodes DESC, person_id LIMIT 1"
        return str(connection.exec_driver_sql(query).scalar() or "")


def named(panel: Mapping[str, Any]) -> set[str]:
    """The columns that a panel's overrides name."""
    overrides = panel["fieldConfig"]["overrides"]
    return {each["matcher"]["options"] for each in overrides if each["matcher"]["id"] == "byName"}


def fits(query: Asked, frame: Frame) -> None:
    """Holds what came against what the panel, variable or annotation can do with it."""
    kinds = list(frame.kinds.values())
    assert not [kind for kind in kinds if kind.startswith("oid")], frame.kinds
    assert frame.rows, "nothing came"
    match query.panel["type"] if query.panel else query.role:
        case "timeseries":
            assert query.format == "time_series"
            assert kinds[0] == "time"
            assert kinds.count("text") <= 1  # the name of the series
            assert frame.numbers()
            assert frame.column("time") == sorted(frame.column("time"))
        case "state-timeline":
            assert kinds == ["time", "text"]
            assert set(frame.column("emotion")) <= {*EMOTIONS, None}
        case "stat":
            assert len(frame.rows) == 1
            (kind,) = kinds
            assert (kind == "text") == bool(query.panel and query.panel["options"]["reduceOptions"]["fields"])
        case "bargauge":
            assert len(frame.rows) == 1
            assert frame.numbers() == list(frame.kinds) == list(EMOTIONS)
        case "table":
            assert query.panel
            assert named(query.panel) <= set(frame.kinds)
        case "annotation":
            assert frame.kinds == {"time": "time", "timeEnd": "time", "text": "text", "tags": "text"}
            assert all(end > start for start, end, *_ in frame.rows)
        case "variable":
            assert kinds == ["text"]
        case other:
            raise AssertionError(other)


@pytest.mark.parametrize("query", ASKED, ids=str)
def test_each_query_gives_what_its_panel_can_draw(query: Asked, filled: Engine) -> None:
    for seconds in (LENGTH, 7200.0, 30 * 86400.0):
        fits(query, ask(filled, query, shown(seconds)))


@pytest.mark.parametrize("query", ASKED, ids=str)
def test_an_empty_database_gives_nothing_and_no_error(query: Asked, empty: Engine) -> None:
    assert ask(empty, query, camera=(), person="").rows == []
    assert ask(empty, query, shown(86400), camera=("nobody",), person="nobody").rows == []


@pytest.mark.parametrize("query", ASKED, ids=str)
def test_no_name_can_end_the_query(query: Asked, filled: Engine) -> None:
    hostile = "'); DROP VIEW camera_window; --"
    ask(filled, query, camera=(hostile, QUOTED), person=hostile)
    assert ask(filled, "overview: Emotions").rows


def test_the_mix_is_that_of_all_runs(filled: Engine, server: str) -> None:
    with open_store(StorageSettings(url=server.removesuffix("postgres") + "filled")) as store:
        runs = store.runs()
        totals = store.totals([run.run_id for run in runs])
    assert {run.camera_id for run in runs} == set(BOTH)
    assert totals.mean
    assert ask(filled, "overview: Emotions").rows[0] == pytest.approx(totals.mean)
    assert ask(filled, "overview: Stress ratio").rows[0][0] == pytest.approx(totals.stress_ratio)
    assert ask(filled, "overview: Happiness ratio").rows[0][0] == pytest.approx(totals.happiness_ratio)
    assert ask(filled, "overview: Mostly").rows[0][0] == totals.dominant
    assert sum(ask(filled, "overview: Busiest cameras").column("seen for")) == pytest.approx(totals.seconds_observed)


def test_the_shares_of_each_point_add_up_to_one(filled: Engine) -> None:
    for name in ("overview: Emotions over time", FRAMES):
        points = [row[1:] for row in ask(filled, name).rows if None not in row]
        assert points
        assert [sum(point) for point in points] == pytest.approx([1.0] * len(points), abs=1e-3)


def test_one_camera_is_half_of_both(filled: Engine) -> None:
    both, one = (ask(filled, "overview: People now", camera=cameras).rows[0][0] for cameras in (BOTH, QUOTED))
    assert both == 2 * one > 0
    assert set(ask(filled, "overview: People over time", camera=QUOTED).column("camera")) == {QUOTED}
    assert set(ask(filled, "camera: People", camera=(QUOTED,)).column("camera")) == {QUOTED}
    people = ask(filled, "person: person (variable)", camera=PLAIN).column("person_id")
    assert people
    assert all(person.startswith("yard-1") for person in people)


def test_a_short_range_shows_single_frames_and_a_long_one_windows(filled: Engine) -> None:
    frames, windows = (len(ask(filled, FRAMES, shown(seconds)).rows) for seconds in (LENGTH, 1801))
    assert frames > 100
    assert 1 < windows < 10


def test_where_nobody_was_seen_the_line_breaks(filled: Engine) -> None:
    for name, over in (("person: Strongest emotion", shown()), ("overview: Emotions over time", shown(7200))):
        frame = ask(filled, name, over)
        assert None in frame.rows[-1], "the last point would be drawn on to the end"
        assert frame.rows[-1][0] >= frame.rows[-2][0]


def test_nothing_is_shown_of_other_times(filled: Engine) -> None:
    before = shown(LENGTH)
    earlier = Range(before.start.replace(year=2020), before.end.replace(year=2020))
    always = {"overview: Cameras running", "overview: camera (variable)", "camera: camera (variable)"}
    always |= {"person: camera (variable)", "pipeline: camera (variable)"}
    for query in ASKED:
        if str(query) not in always:
            assert ask(filled, query, earlier).rows == [], query


def test_the_hours_are_those_of_the_dashboards_time_zone(filled: Engine) -> None:
    for zone, day, hour in (
        ("UTC", "Saturday", "09"),
        ("Asia/Kolkata", "Saturday", "14"),
        ("Pacific/Auckland", "Saturday", "22"),
    ):
        frame = ask(filled, "camera: People by weekday and hour", shown(7200, timezone=zone))
        filled_in = [name for name, value in zip(frame.kinds, frame.rows[0], strict=True) if value is not None]
        assert (frame.rows[0][0], filled_in) == (day, ["weekday", hour])


def test_an_episode_is_marked_where_it_was(filled: Engine) -> None:
    marked = ask(filled, "camera: Stress episodes (annotation)", camera=(QUOTED,))
    counted = ask(filled, "camera: Stress episodes", camera=(QUOTED,)).rows[0][0]
    assert len(marked.rows) == counted > 0
    assert all("not a diagnosis" in text for text in marked.column("text"))
    assert min(marked.column("time")) >= START
    person = re.search(r"Stress episode of (.+), highest score", marked.rows[0][2])
    assert person
    listed = ask(filled, "person: Stress episodes", person=person[1])
    assert marked.rows[0][0] in listed.column("started")
    link = next(zip(listed.column("started"), listed.column("from"), listed.column("to"), strict=True))
    assert float(link[1]) < link[0].timestamp() * 1000 < float(link[2])


END: Final = round(shown().end.timestamp()) * SECOND


@contextmanager
def holding(server: str, name: str, windows: list[WindowStat]) -> Iterator[Engine]:
    """A database of these windows."""
    url = _new_database(server, name)
    with open_store(StorageSettings(url=url)) as store:
        store.start_run(run())
        store.write(Stored(windows=windows))
    with reader(url) as engine:
        yield engine


@pytest.mark.parametrize("seconds", [10, 300, 900])
def test_people_now_are_those_of_the_newest_window_however_long(server: str, seconds: int) -> None:
    settings = Settings.model_validate({"aggregator": {"windows": [seconds]}})
    (query,) = (query for query in queries(settings) if str(query) == "overview: People now")
    newest = window(window_seconds=seconds, window_start=END - (2 * seconds - 1) * SECOND)
    with holding(server, f"of_{seconds}", [newest]) as engine:
        now = shown(3600)
        assert ask(engine, query, now, camera=("door",)).rows == [(newest.people,)]
        later = Range(now.start, now.end + timedelta(seconds=200))
        assert ask(engine, query, later, camera=("door",)).rows == [], "the next should be there"


def test_people_of_the_week_are_counted_while_the_camera_runs(server: str) -> None:
    begun = [window(window_start=END - start * SECOND, seconds_observed=20.0) for start in (10, 20)]
    nobody = [empty_window(window_start=END - start * SECOND) for start in (30, 40)]
    long = window(window_seconds=900, window_start=END - END % (900 * SECOND), seconds_observed=40.0)
    with holding(server, "week", [*begun, *nobody, long]) as engine:
        frame = ask(engine, "camera: People by weekday and hour", shown(3600), camera=("door",))
    assert frame.rows[0][0] == "Saturday"
    assert [value for value in frame.rows[0][1:] if value is not None] == [pytest.approx(0.0), pytest.approx(4 / 3)]
