"""What is too old goes, to the day; what is not stays; and whoever writes meanwhile does not notice."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text

from contracts.errors import StorageError
from contracts.rows import Rows
from contracts.settings import RetentionSettings
from storage import postgres, retention
from storage.retention import retain
from storage.roles import WRITER, make_roles
from storage.store import Store
from tests.storage.samples import (
    DAY,
    SECOND,
    START,
    dead_letter,
    episode,
    everything,
    observation,
    opened,
    person,
    run,
    select,
    window,
)

NOW = datetime(2026, 1, 10, 13, 30, tzinfo=UTC)
MIDNIGHT = START + 6 * DAY
"""What is kept for three days, is kept from here on."""
THREE = RetentionSettings(observation=3, window_stat=3, person=3, stress_episode=3, dead_letter=3, run=3)
EDGES = (MIDNIGHT - 5 * DAY, MIDNIGHT - 1000, MIDNIGHT, MIDNIGHT + DAY)
"""Two that go and two that stay."""


def filled(store: Store) -> None:
    for number, at in enumerate(EDGES):
        who = f"door-{number}.1"
        store.start_run(run(run_id=f"door-{number}", started_at=at - SECOND))
        store.finish_run(run(run_id=f"door-{number}", started_at=at - SECOND, ended_at=at, status="finished"))
        store.write(
            Rows(
                observations=[observation(seq, run_id=f"door-{number}", captured_at=at) for seq in range(5)],
                windows=[window(run_id=f"door-{number}", window_start=at)],
                people=[person(person_id=who, run_id=f"door-{number}", first_seen=at - SECOND, last_seen=at)],
                episodes=[episode(person_id=f"other-{number}", started_at=at - 7 * SECOND, ended_at=at)],
                dead_letters=[dead_letter(run_id=f"door-{number}", captured_at=at)],
            )
        )
    store.start_run(run(run_id="door-9", started_at=EDGES[0]))
    store.write_with_checkpoints(Rows(), [], {"door": (0, b"has door-9 open")})


def test_what_is_older_goes_and_what_is_on_the_edge_stays(store: Store, url: str) -> None:
    filled(store)
    would = retain(store, THREE, NOW, dry_run=True)
    before = everything(url)
    assert sum(map(len, before.values())) == 1 + 5 + 20 + 16
    done = retain(store, THREE, NOW)
    assert dict(done.removed) == dict(would.removed) == {
        "observation": 10, "window_stat": 2, "stress_episode": 2, "dead_letter": 2, "run": 2, "person": 2,
    }  # fmt: skip
    assert set(done.before.values()) == {datetime(2026, 1, 7, tzinfo=UTC)}
    assert done.traces is None
    after = everything(url)
    assert [len(after[name]) for name in ("observation", "window_stat", "person", "camera")] == [10, 2, 2, 1]
    assert {row[0] for row in after["run"]} == {"door-2", "door-3", "door-9"}  # the last one goes on
    again = retain(store, THREE, NOW)
    assert sum(again.removed.values()) == 0
    assert everything(url) == after


YOUNG = MIDNIGHT + SECOND


@pytest.mark.parametrize(
    ("rows", "goes"),
    [
        (Rows(), True),
        (Rows(windows=[window(run_id="killed", window_start=MIDNIGHT - 1000)]), True),
        (Rows(windows=[window(run_id="another", window_start=YOUNG)]), True),
        (Rows(windows=[window(run_id="killed", window_start=YOUNG)]), False),
        (Rows(people=[person(run_id="killed", last_seen=YOUNG)]), False),
        (Rows(observations=[observation(run_id="killed", captured_at=YOUNG)]), False),
        (Rows(episodes=[episode(run_id="killed", ended_at=YOUNG)]), False),
        (Rows(dead_letters=[dead_letter(run_id="killed", captured_at=YOUNG)]), False),
    ],
)
def test_a_run_that_was_killed_goes_when_nothing_of_it_is_young_enough(
    store: Store, url: str, rows: Rows, goes: bool
) -> None:
    store.start_run(run(run_id="killed", started_at=EDGES[0]))
    store.start_run(run(run_id="begun", started_at=YOUNG))
    store.write(rows)
    only = RetentionSettings(run=3)
    assert dict(retain(store, only, NOW, dry_run=True).removed) == dict(retain(store, only, NOW).removed)
    assert select(url, "SELECT run_id FROM run ORDER BY 1") == [("begun",)] if goes else [("begun",), ("killed",)]


def test_a_run_that_a_checkpoint_has_goes_on_however_old_it_is(store: Store, url: str) -> None:
    for run_id in ("door-1", "door-2"):
        store.start_run(run(run_id=run_id, started_at=EDGES[0]))
    store.start_run(run(run_id="gate-1", camera_id="gate", started_at=EDGES[0]))
    store.write_with_checkpoints(Rows(), [], {"door": (0, b"\x82door-1\xff"), "gate": (0, b"\x80")})
    assert dict(retain(store, RetentionSettings(run=3), NOW).removed) == {"run": 2}
    assert select(url, "SELECT run_id FROM run") == [("door-1",)]


def test_what_has_no_retention_is_kept_for_ever(store: Store, url: str) -> None:
    filled(store)
    before = everything(url)
    assert retain(store, RetentionSettings(), NOW).removed == {}
    assert everything(url) == before
    assert dict(retain(store, RetentionSettings(dead_letter=3), NOW).removed) == {"dead_letter": 2}
    assert {name for name, rows in everything(url).items() if rows != before[name]} == {"dead_letter"}


def test_at_least_so_many_full_days_are_kept(store: Store, url: str) -> None:
    """Whatever the time of the day: to the last moment of a day, the same."""
    filled(store)
    first, last = (datetime(2026, 1, 10, tzinfo=UTC), datetime(2026, 1, 10, 23, 59, 59, tzinfo=UTC))
    one = retain(store, RetentionSettings(observation=3), first, dry_run=True).removed
    assert one == retain(store, RetentionSettings(observation=3), last, dry_run=True).removed == {"observation": 10}
    elsewhere = NOW.astimezone(tz=None) + timedelta(0)
    assert retain(store, RetentionSettings(observation=3), elsewhere).removed == {"observation": 10}


def test_people_take_their_windows_and_episodes_along(store: Store, url: str) -> None:
    filled(store)
    late = {"window_start": MIDNIGHT + DAY, "people": 1}
    store.write(
        Rows(
            windows=[window(run_id=f"door-{n}", person_id=f"door-{n}.1", **late) for n in range(4)],
            episodes=[episode(person_id=f"door-{n}.1", ended_at=MIDNIGHT + DAY) for n in range(4)],
        )
    )
    done = retain(store, RetentionSettings(person=3), NOW)
    assert dict(done.removed) == {"window_stat": 2, "stress_episode": 2, "person": 2}
    assert select(url, "SELECT person_id FROM window_stat WHERE person_id <> '' ORDER BY 1") == [
        ("door-2.1",), ("door-3.1",),
    ]  # fmt: skip
    assert select(url, "SELECT count(*) FROM observation") == [(20,)]


def test_days_are_dropped_in_postgres_and_come_back_when_they_are_needed(postgres_url: str) -> None:
    days = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'observation'::regclass ORDER BY 1"
    with opened(postgres_url) as store, opened(postgres_url) as writer:
        filled(store)
        writer.write(Rows(observations=[observation(50, captured_at=EDGES[0])]))
        assert len(select(postgres_url, days)) == 4
        assert retain(store, THREE, NOW).removed["observation"] == 11
        assert select(postgres_url, days) == [("observation_20260107",), ("observation_20260108",)]
        for one in (store, writer):  # a recording of long ago is read only now
            one.write(Rows(observations=[observation(51, captured_at=EDGES[0])]))
    assert select(postgres_url, "SELECT count(*) FROM observation") == [(11,)]


def test_a_writer_that_owns_nothing_may_enforce_it(postgres_url: str) -> None:
    parsed = make_url(postgres_url)
    with opened(postgres_url) as store:
        make_roles(store)
        filled(store)
    engine = create_engine(parsed.set(drivername="postgresql+psycopg2"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        name = f"keeper_of_{parsed.database}"
        connection.execute(text(f"CREATE ROLE {name} LOGIN PASSWORD 'of-the-tests' IN ROLE {WRITER}"))
    engine.dispose()
    with opened(parsed.set(username=name, password="of-the-tests").render_as_string(hide_password=False)) as store:
        assert retain(store, THREE, NOW).removed["observation"] == 10
    assert select(postgres_url, "SELECT count(*) FROM observation") == [(10,)]


def test_writers_do_not_notice(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 50)
    stop = threading.Event()
    failures: list[BaseException] = []
    written = [0, 0]

    def write(number: int) -> None:
        try:
            with opened(url) as mine:
                while not stop.is_set():
                    first = written[number] * 10
                    old = [
                        observation(seq, face=number, captured_at=START + (seq % 3) * DAY)
                        for seq in range(first, first + 5)
                    ]
                    new = [observation(seq, face=number, captured_at=MIDNIGHT) for seq in range(first + 5, first + 10)]
                    mine.write(Rows(observations=old + new))
                    written[number] += 1
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    with opened(url) as store:
        threads = [threading.Thread(target=write, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        while min(written) < 20 and not failures:
            retain(store, THREE, NOW)
        stop.set()
        for thread in threads:
            thread.join(60)
        assert not failures
        retain(store, THREE, NOW)
    assert select(url, "SELECT count(*) FROM observation") == [(sum(written) * 5,)]


def test_a_day_that_is_always_in_use_is_told_of_and_others_are_not_held_up(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "LOCK_SECONDS", 0.1)
    with opened(postgres_url, retry_seconds=(0.01,)) as store, opened(postgres_url) as reader:
        filled(store)

        def look(connection: Any) -> None:
            connection.execute(text("SELECT count(*) FROM observation"))
            with pytest.raises(StorageError, match="try again when less is going on"):
                retain(store, THREE, NOW)
            store.write(Rows(observations=[observation(60, captured_at=MIDNIGHT)]))

        reader.transact(look, write=False)
        assert retain(store, THREE, NOW).removed["observation"] == 10
