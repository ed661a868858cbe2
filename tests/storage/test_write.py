"""What is written is there, once, and as it was."""

import random
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Connection

from contracts.errors import StorageError
from contracts.rows import Rows
from storage import store as store_module
from storage.store import Store
from storage.tables import metadata
from storage.values import SEVENS, TIMES, as_columns, to_datetime, to_ns
from storage.write import write_rows
from tests.storage.samples import (
    DAY,
    SECOND,
    START,
    any_seven,
    dead_letter,
    empty_window,
    episode,
    everything,
    observation,
    opened,
    person,
    run,
    select,
    some_rows,
    window,
)


def stored(store: Store, table: str) -> list[dict[str, Any]]:
    """The rows of a table, as this program reads them, in the order of their key."""
    chosen = metadata.tables[table]
    with store._backend.engine.connect() as connection:
        query = chosen.select().order_by(*chosen.primary_key.columns)
        return [dict(row) for row in connection.execute(query).mappings()]


def test_rows_come_back_as_they_were_written(store: Store) -> None:
    source = random.Random(5)
    observations = [
        observation(
            seq,
            person_id="" if seq % 3 == 0 else 'p"1",\\N',
            captured_at=START + seq * 33_366_700,
            probabilities=any_seven(source),
            smoothed=any_seven(source),
            stressed=seq % 2 == 0,
            camera_id="Tür, \nEingang",
        )
        for seq in range(40)
    ]
    rows = Rows(
        observations=observations,
        windows=[empty_window(), window(window_start=START + 10 * SECOND, mean=any_seven(source))],
        people=[person()],
        episodes=[episode()],
        dead_letters=[dead_letter()],
    )
    store.write(rows)
    assert stored(store, "observation") == [as_columns(row) for row in rows.observations]
    assert stored(store, "window_stat") == [as_columns(row) for row in rows.windows]
    assert stored(store, "person") == [as_columns(row) for row in rows.people]
    assert stored(store, "stress_episode") == [as_columns(row) for row in rows.episodes]
    assert stored(store, "dead_letter") == [as_columns(row) for row in rows.dead_letters]


def test_every_field_of_a_row_has_its_column() -> None:
    rows = [(run(), "run"), (person(), "person"), (observation(), "observation"), (window(), "window_stat")]
    for row, table in [*rows, (episode(), "stress_episode"), (dead_letter(), "dead_letter")]:
        assert as_columns(row).keys() == set(metadata.tables[table].columns.keys())
        times = {name for name in row.__struct_fields__ if name.endswith(("_at", "_start", "_seen"))}
        assert times <= TIMES
        assert {name for name in row.__struct_fields__ if isinstance(getattr(row, name), tuple)} <= SEVENS.keys()


def test_times_keep_their_microseconds_and_their_zone(store: Store, url: str) -> None:
    nanoseconds = [START + 123_456_789, START + 999_999_999, 1, START]
    store.write(Rows(observations=[observation(seq, captured_at=ns) for seq, ns in enumerate(nanoseconds)]))
    times = [row["captured_at"] for row in stored(store, "observation")]
    assert all(moment.tzinfo is UTC for moment in times)
    assert [to_ns(moment) for moment in times] == [ns // 1000 * 1000 for ns in nanoseconds]
    seen = select(url, "SELECT captured_at FROM observation ORDER BY captured_at DESC LIMIT 1")[0][0]
    assert seen in ("2026-01-01 00:00:00.999999Z", datetime(2026, 1, 1, 0, 0, 0, 999_999, UTC))
    assert to_datetime(to_ns(times[0])) == times[0]


def test_times_in_sql_compare_as_people_write_them(store: Store, url: str) -> None:
    store.write(Rows(observations=[observation(seq, captured_at=START + seq * SECOND) for seq in range(3)]))
    later = "SELECT count(*) FROM observation WHERE captured_at >= '2026-01-01 00:00:01'"
    assert select(url, later) == [(2,)]
    assert select(url, "SELECT count(*) FROM observation WHERE captured_at < '2026-01-01'") == [(0,)]


def test_writing_again_changes_nothing(store: Store, url: str) -> None:
    rows = some_rows()
    store.start_run(run())
    store.finish_run(run(status="finished", ended_at=START + SECOND))
    store.write(rows)
    before = everything(url)
    store.write(rows)
    store.start_run(run())
    store.write(Rows(observations=rows.observations * 2, people=rows.people * 2, windows=rows.windows * 2))
    assert everything(url) == before
    assert [len(before[name]) for name in ("observation", "window_stat", "person", "run")] == [50, 3, 1, 1]


def test_overlapping_batches_store_each_row_once(store: Store, url: str) -> None:
    store.write(some_rows(0))
    store.write(some_rows(25))
    assert select(url, "SELECT count(*), count(DISTINCT seq) FROM observation") == [(75, 75)]


def test_a_later_row_of_a_person_replaces_the_earlier_whichever_comes_first(store: Store) -> None:
    early = person(first_seen=START, last_seen=START + SECOND, observations=10)
    late = person(first_seen=START + SECOND // 2, last_seen=START + 9 * SECOND, observations=90)
    for batches in ([[early], [late]], [[late], [early]], [[late, early]], [[early, late]]):
        for batch in batches:
            store.write(Rows(people=batch))
        (row,) = stored(store, "person")
        assert (row["first_seen"], row["last_seen"]) == (to_datetime(START), to_datetime(START + 9 * SECOND))
        assert row["observations"] == 90


def test_a_window_that_is_written_again_is_replaced(store: Store) -> None:
    store.write(Rows(windows=[window(frames=1)]))
    store.write(Rows(windows=[window(frames=2), window(frames=3)]))
    assert [row["frames"] for row in stored(store, "window_stat")] == [3]


def test_two_runs_of_a_camera_in_one_window_do_not_overwrite_each_other(store: Store) -> None:
    store.write(Rows(windows=[window(run_id="door-1"), window(run_id="door-2")]))
    assert len(stored(store, "window_stat")) == 2


def test_the_end_of_a_run_is_kept_when_its_start_is_heard_again(store: Store) -> None:
    store.start_run(run())
    assert [row.status for row in store.runs()] == ["running"]
    ended = run(status="finished", ended_at=START + SECOND, frames=25, faces=20, error="the file is damaged\0 \udcff")
    store.finish_run(ended)
    store.start_run(run())
    (found,) = store.runs("door")
    assert (found.status, found.frames, found.ended_at) == ("finished", 25, START + SECOND)
    assert found.error == "the file is damaged\ufffd ?"


def test_a_camera_keeps_its_earliest_start(store: Store) -> None:
    store.start_run(run())
    store.start_run(run(run_id="door-0", started_at=START - DAY))
    store.start_run(run(run_id="door-2", started_at=START + DAY))
    (camera,) = stored(store, "camera")
    assert (camera["camera_id"], camera["created_at"]) == ("door", to_datetime(START - DAY))
    assert [row.run_id for row in store.runs(limit=2)] == ["door-2", "door-1"]


def test_a_failure_in_the_middle_leaves_nothing(store: Store, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(connection: Connection, **arguments: Any) -> None:
        real(connection, **arguments)
        raise KeyboardInterrupt

    real = write_rows
    monkeypatch.setattr(store_module, "write_rows", fail)
    with pytest.raises(KeyboardInterrupt):
        store.write(some_rows())
    monkeypatch.undo()
    assert not any(everything(url).values())
    store.write(some_rows())
    assert len(everything(url)["observation"]) == 50


def test_a_row_that_the_database_refuses_leaves_nothing_of_its_batch(store: Store, url: str) -> None:
    rows = some_rows()
    refused: Any = None
    with pytest.raises(StorageError) as caught:
        store.write(Rows(observations=rows.observations, people=[person(observations=refused)]))
    assert "\n" not in str(caught.value)
    assert not any(everything(url).values())


def test_nothing_to_write_is_no_transaction(store: Store, url: str) -> None:
    store.write(Rows())
    assert not any(everything(url).values())


def test_what_was_written_is_there_when_the_store_is_opened_again(url: str) -> None:
    with opened(url) as first:
        first.write(some_rows())
    before = everything(url)
    with opened(url) as second:
        second.write(some_rows())
    assert everything(url) == before


def test_a_dead_letter_that_comes_good_is_taken_away(store: Store, url: str) -> None:
    store.write(Rows(dead_letters=[dead_letter(seq=4), dead_letter(seq=5)]))
    for _ in range(2):
        store.write(Rows(revived=[(dead_letter().run_id, 4)], observations=[observation(4, person_id="")]))
    assert select(url, "SELECT seq FROM dead_letter") == [(5,)]
    assert select(url, "SELECT seq, person_id FROM observation") == [(4, "")]
