"""What is asked for comes back whole, once and in order, however it is cut into pages; on SQLite and Postgres."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, event, text

from contracts.errors import InputError
from contracts.rows import Rows, WindowStat
from storage import history
from storage.history import Asked, Kind
from storage.records import columns_of, flat
from storage.store import Store
from tests.storage.samples import (
    EVEN,
    SECOND,
    START,
    any_seven,
    empty_window,
    episode,
    observation,
    opened,
    person,
    run,
    window,
)

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
KINDS = (
    history.CAMERA_WINDOWS, history.PERSON_WINDOWS, history.EPISODES, history.RUNS, history.OBSERVATIONS,
    history.PEOPLE,
)  # fmt: skip
VIEWS = ("camera_window", "person_window", "episode", "camera_run", "person_moment", "person_summary")


def windows_of(camera: str, who: str, number: int, dice: random.Random) -> list[WindowStat]:
    return [
        window(
            camera_id=camera, run_id=f"{camera}-1", person_id=who, window_seconds=length,
            window_start=START + number * 60 * SECOND, seconds_observed=float(dice.randrange(1, 8)),
            mean=any_seven(dice),
        )
        for length in (10, 60)
    ]  # fmt: skip


@pytest.fixture
def filled(url: str) -> Any:
    """Two cameras, 12 minutes, 6 people, some of them at the same moment."""
    dice = random.Random(1)
    rows = Rows()
    with opened(url) as store:
        for camera in ("door", "hall"):
            store.start_run(run(run_id=f"{camera}-1", camera_id=camera))
            store.finish_run(run(run_id=f"{camera}-0", camera_id=camera, ended_at=START + SECOND, status="finished"))
            for number in range(12):
                rows.windows.extend(windows_of(camera, "", number, dice))
                rows.windows.extend(windows_of(camera, f"{camera}-1.{number % 3}", number, dice))
            for number in range(3):
                who = {"person_id": f"{camera}-1.{number}", "camera_id": camera, "run_id": f"{camera}-1"}
                seen = {"first_seen": START + number // 2 * SECOND, "last_seen": START + (600 + number) * SECOND}
                rows.people.append(person(**who, **seen))
                rows.episodes.append(
                    episode(**who, started_at=START + 5 * SECOND, ended_at=START + 9 * SECOND + 250_000)
                )
                for seq in range(5):
                    rows.observations.append(observation(seq, face=number, probabilities=any_seven(dice), **who))
            rows.windows.append(empty_window(camera_id=camera, run_id=f"{camera}-1", window_start=START + 900 * SECOND))
            rows.observations.append(observation(9, camera_id=camera, run_id=f"{camera}-1", person_id=""))
        store.write(rows)
        yield store


def ask(store: Store, kind: Kind[Any], asked: Asked, **more: Any) -> history.Page[Any]:
    return store.transact(partial(history.page, kind=kind, asked=asked, **more), write=False)


@pytest.mark.parametrize(("kind", "name"), list(zip(KINDS, VIEWS, strict=True)), ids=VIEWS)
def test_the_rows_are_those_of_the_view(filled: Store, kind: Kind[Any], name: str) -> None:
    with filled._backend.engine.connect() as connection:
        expected = connection.execute(text(f"SELECT * FROM {name}")).mappings().all()
    found = ask(filled, kind, Asked()).rows
    assert len(found) == len(expected) > 3
    columns = list(columns_of(kind.row))
    assert set(columns) == set(expected[0])

    def plain(value: Any) -> Any:
        moment = datetime.fromisoformat(value) if isinstance(value, str) and value.startswith("2026-") else value
        return moment.astimezone(UTC) if isinstance(moment, datetime) else moment

    def unordered(rows: Any) -> list[Any]:
        return sorted(rows, key=repr)

    mine = unordered(
        [None if v is None else round(v, 9) if isinstance(v, float) else v for v in flat(r)] for r in found
    )
    theirs = unordered(
        [round(v, 9) if isinstance(v, float) else kind_of(v) for kind_of, v in
         ((bool if columns_of(kind.row)[c] is bool else lambda v: v, plain(row[c])) for c in columns)]
        for row in expected
    )  # fmt: skip
    assert mine == theirs


@pytest.mark.parametrize("kind", KINDS, ids=VIEWS)
@pytest.mark.parametrize("newest_first", [False, True])
def test_pages_of_any_size_and_the_stream_say_the_same(filled: Store, kind: Kind[Any], newest_first: bool) -> None:
    whole = ask(filled, kind, Asked(), newest_first=newest_first)
    assert whole.next is None
    keys = [tuple(getattr(row, name) for name in kind.key) for row in whole.rows]
    assert len(set(keys)) == len(keys)
    times = [key[0] for key in keys]
    assert times == sorted(times, reverse=newest_first)
    for limit in (1, 4, len(whole.rows)):
        rows, after = [], None
        while True:
            page = ask(filled, kind, Asked(), newest_first=newest_first, limit=limit, after=after)
            assert len(page.rows) <= limit
            rows += page.rows
            after = page.next
            if after is None:
                break
        assert rows == whole.rows
    streamed = list(
        filled.stream(partial(history.stream, kind=kind, asked=Asked(), newest_first=newest_first, batch=4))
    )
    assert [row for batch in streamed for row in batch] == whole.rows
    assert max(map(len, streamed)) == 4


@pytest.mark.parametrize("kind", KINDS, ids=VIEWS)
def test_filters_leave_what_was_asked_for(filled: Store, kind: Kind[Any]) -> None:
    everything = ask(filled, kind, Asked()).rows
    at_door = ask(filled, kind, Asked(camera_id="door")).rows
    assert at_door == [row for row in everything if row.camera_id == "door"]
    assert ask(filled, kind, Asked(camera_id="nowhere")).rows == []
    if "person_id" in kind.row.__struct_fields__:
        mine = ask(filled, kind, Asked(person_id="door-1.1")).rows
        assert mine == [row for row in everything if row.person_id == "door-1.1"] != []
    else:
        with pytest.raises(InputError, match="person_id"):
            ask(filled, kind, Asked(person_id="door-1.1"))
    if "window_seconds" in kind.row.__struct_fields__:
        short = ask(filled, kind, Asked(window_seconds=10)).rows
        assert short == [row for row in everything if row.window_seconds == 10] != []
    else:
        with pytest.raises(InputError, match="window_seconds"):
            ask(filled, kind, Asked(window_seconds=10))


def test_windows_belong_to_the_range_in_which_they_begin(filled: Store) -> None:
    def starts(since: datetime | None, until: datetime | None) -> list[int]:
        asked = Asked(camera_id="door", window_seconds=60, since=since, until=until)
        rows = ask(filled, history.CAMERA_WINDOWS, asked).rows
        return [int((row.window_start - BEGIN).total_seconds()) // 60 for row in rows]

    cut = BEGIN + timedelta(minutes=5)
    assert starts(None, cut) + starts(cut, None) == list(range(12))
    assert starts(cut, cut + timedelta(microseconds=1)) == [5]
    assert starts(cut + timedelta(microseconds=1), cut + timedelta(minutes=1)) == []
    berlin = datetime.fromisoformat("2026-01-01T01:05:00+01:00")
    assert starts(berlin, None) == starts(cut, None)


def test_what_lasts_belongs_to_every_range_that_it_reaches_into(filled: Store) -> None:
    def count(kind: Kind[Any], since: float, until: float) -> int:
        begin, end = BEGIN + timedelta(seconds=since), BEGIN + timedelta(seconds=until)
        return len(ask(filled, kind, Asked(camera_id="door", since=begin, until=end)).rows)

    assert count(history.EPISODES, 6, 7) == 3
    assert count(history.EPISODES, 0, 5) == count(history.EPISODES, 10, 20) == 0
    assert count(history.PEOPLE, 300, 301) == 3
    assert count(history.PEOPLE, 700, 800) == 0
    assert count(history.RUNS, 100, 200) == 1  # the one that still runs
    assert count(history.RUNS, 0.5, 0.6) == 2


def test_the_length_is_one_that_covers_most_and_runs_without_it_are_known(filled: Store) -> None:
    day = [BEGIN + timedelta(days=number) for number in (1, 2)]
    asked = Asked(camera_id="door", since=day[0], until=day[1])
    began = START + 86_400 * SECOND
    for number, lengths, seconds in ((2, (10, 60), 600), (3, (5, 60), 60), (4, (5,), 30)):
        their = {"run_id": f"door-{number}", "camera_id": "door"}
        filled.finish_run(run(**their, started_at=began, ended_at=began + seconds * SECOND, status="finished"))
        starts = [(length, began + at * SECOND) for length in lengths for at in range(0, seconds, length)]
        rows = [window(**their, window_seconds=one, window_start=at, frames=one * 25) for one, at in starts]
        filled.write(Rows(windows=rows))
    filled.start_run(run(run_id="door-5", camera_id="door", started_at=began))
    filled.write(Rows(windows=[window(run_id="door-5", window_seconds=10, window_start=began)]))

    def fitting(limit: int, seconds: float = 86_400) -> int | None:
        wanted = Asked(camera_id="door", since=day[0], until=day[0] + timedelta(seconds=seconds))
        ask_length = partial(history.fitting_length, kind=history.CAMERA_WINDOWS, asked=wanted, limit=limit)
        return filled.transact(ask_length, write=False)

    def left_out(length: int) -> list[tuple[int, int]]:
        which = Asked(camera_id="door", since=asked.since, until=asked.until, window_seconds=length)
        rows = filled.transact(partial(history.left_out, asked=which), write=False)
        found = [row.window_seconds for row in rows]
        return sorted((one, found.count(one)) for one in set(found))

    assert (fitting(100), fitting(30), fitting(5)) == (60, 60, 60)  # 10 s are without one run, 5 s without another
    assert fitting(100, seconds=50) == 5  # the first minute is not within
    assert left_out(60) == [(5, 6)]  # not the running one, whose first minute is not over
    assert left_out(10) == [(5, 18)]
    assert left_out(5) == [(10, 61)]


def test_cameras_lengths_and_names_are_those_that_are_stored(filled: Store) -> None:
    def call(function: Callable[..., Any], **arguments: Any) -> Any:
        return filled.transact(partial(function, **arguments), write=False)

    assert [row.camera_id for row in call(history.cameras)] == ["door", "hall"]
    (door,) = call(history.cameras, camera_id="door")
    assert (door.runs, door.people, door.created_at, door.dead_letters) == (2, 3, BEGIN, 0)
    seen = ask(filled, history.OBSERVATIONS, Asked(person_id="door-1.0"))
    assert [row.seq for row in seen.rows] == list(range(5))
    assert seen.rows[0].smoothed == EVEN[::-1]
    assert call(history.lengths, camera_id="door") == [10, 60]
    assert call(history.lengths, camera_id="nowhere") == []
    assert call(history.names) == ["door", "hall"]
    assert call(history.pseudonyms, ending="1") == ["door-1.1", "hall-1.1"]
    assert call(history.pseudonyms, ending="1", camera_id="hall") == ["hall-1.1"]
    assert call(history.pseudonyms, ending="door-1.1") == ["door-1.1"]
    assert call(history.pseudonyms, ending="%") == []


@pytest.mark.parametrize("after", ["", "banana", "W10", "bnVsbA", "WzEsMiwzXQ", "äöü", "W10="])
def test_a_place_that_no_page_told_is_refused(filled: Store, after: str) -> None:
    with pytest.raises(InputError, match="after"):
        ask(filled, history.EPISODES, Asked(), after=after)


def test_a_place_of_another_kind_is_refused(filled: Store) -> None:
    place = ask(filled, history.RUNS, Asked(), limit=1).next
    with pytest.raises(InputError, match="after"):
        ask(filled, history.OBSERVATIONS, Asked(), after=place)


def test_someone_without_windows_has_no_mean(store: Store) -> None:
    store.write(Rows(people=[person()]))
    (row,) = ask(store, history.PEOPLE, Asked()).rows
    assert (row.mean, row.dominant, row.transitions, row.stress_ratio, row.stress_episodes) == (None,) * 4 + (0,)


def test_a_stream_from_postgres_comes_through_a_cursor_on_the_server(postgres_url: str) -> None:
    with opened(postgres_url) as store:
        store.write(Rows(observations=[observation(seq) for seq in range(50)]))
        cursors: list[str | None] = []

        def look(connection: Connection, cursor: Any, *_: Any) -> None:
            cursors.append(cursor.name)

        event.listen(store._backend.engine, "after_cursor_execute", look)
        stream = store.stream(partial(history.stream, kind=history.OBSERVATIONS, asked=Asked(), batch=10))
        assert len(next(stream)) == 10
        assert cursors[-1]
        stream.close()
        assert len(ask(store, history.OBSERVATIONS, Asked()).rows) == 50


def test_a_stream_that_is_given_up_gives_its_connection_back(filled: Store) -> None:
    for _ in range(40):  # more than the pool has
        stream = filled.stream(partial(history.stream, kind=history.OBSERVATIONS, asked=Asked(), batch=2))
        next(stream)
        stream.close()
    filled.write(Rows(people=[person(person_id="later")]))
