"""Who is forgotten is nowhere any more, and nobody who is still writing brings them back."""

import re
import sqlite3
import struct
import threading
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from contracts import wire
from contracts.errors import InputError
from contracts.rows import Rows
from storage import sqlite
from storage.erasure import forget, search, seen
from storage.forgotten import leave_out
from storage.store import Store
from storage.tables import metadata
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

GONE, STAYS = "door-1.1", "door-1.12"
"""One name is the beginning of the other."""


def rows_of(person_id: str, face: int = 0, frames: int = 20) -> Rows:
    """Of two days, so that Postgres has two partitions."""
    times = [START + DAY - 10 * SECOND + seq * SECOND for seq in range(frames)]
    return Rows(
        observations=[observation(seq, face=face, captured_at=at, person_id=person_id) for seq, at in enumerate(times)],
        windows=[window(person_id=person_id, people=1, window_start=START + n * 10 * SECOND) for n in range(3)],
        people=[person(person_id=person_id, first_seen=times[0], last_seen=times[-1])],
        episodes=[episode(person_id=person_id)],
    )


def state_of(*people: str) -> bytes:
    """Shaped as the aggregator's: people as values, as keys, and in a state within the state."""
    inner = {
        "faces": [{"person_id": one, "smoothed": [0.5] * 7} for one in people],
        "open": {10: {START: {"frames": 3, "people": {one: {"seconds": 1.5} for one in people}}}},
        "boxes": b"\xc1" + bytes(range(200)),
    }
    return wire.encode({"format": 1, "aggregator": wire.encode(inner), "runs": {"door-1": {"frames": 3}}})


def filled(store: Store) -> None:
    store.start_run(run())
    for face, one in enumerate((GONE, STAYS)):
        store.write(rows_of(one, face))
    store.write(Rows(windows=[window()], dead_letters=[dead_letter()]))
    store.write_with_checkpoints(
        Rows(), [], {"door": (0, state_of(GONE, STAYS)), "gate": (0, state_of("gate-1.1")), "attic": (0, b"\xc1")}
    )


def counts(url: str, person_id: str) -> list[int]:
    tables = ("observation", "window_stat", "person", "stress_episode")
    return [int(select(url, f"SELECT count(*) FROM {table} WHERE person_id = '{person_id}'")[0][0]) for table in tables]


def test_a_person_goes_from_every_table_and_only_this_person(store: Store, url: str) -> None:
    filled(store)
    done = forget(store, GONE)
    assert dict(done.removed) == {
        "observation": 20, "window_stat": 3, "stress_episode": 1, "person": 1, "checkpoint": 1,
    }  # fmt: skip
    assert (done.left, done.traces) == ({}, None)
    assert (counts(url, GONE), counts(url, STAYS)) == ([0] * 4, [20, 3, 1, 1])
    assert select(url, "SELECT count(*) FROM window_stat WHERE person_id = ''") == [(1,)]
    assert select(url, "SELECT count(*) FROM dead_letter") == [(1,)]
    assert store.checkpoints(["door", "gate", "attic"]) == {
        "door": (2, state_of(STAYS)), "gate": (1, state_of("gate-1.1")), "attic": (1, b"\xc1"),
    }  # fmt: skip


def test_no_text_and_no_bytes_of_any_table_have_the_pseudonym(store: Store, url: str) -> None:
    filled(store)
    forget(store, GONE)
    whole = re.compile(re.escape(GONE) + r"(?!\d)")
    for name in metadata.tables:
        for row in select(url, f"SELECT * FROM {name}"):
            for value in row:
                said = bytes(value).decode("latin-1") if isinstance(value, bytes | memoryview) else str(value)
                assert not whole.search(said), (name, row)


def test_the_search_finds_a_pseudonym_wherever_it_stands(store: Store) -> None:
    filled(store)
    with_reason = dead_letter(seq=9, reason=f"the face of {GONE}, say")
    store.write(Rows(dead_letters=[with_reason, dead_letter(seq=10, reason=f"that of {STAYS}")]))
    store.transact(lambda connection: connection.execute(text(f"UPDATE run SET error = '{GONE}'")))
    looked = store.transact(partial(search, people=[GONE]), write=False)
    assert looked == {
        "observation.person_id": 20, "window_stat.person_id": 3, "person.person_id": 1, "stress_episode.person_id": 1,
        "dead_letter.reason": 1, "run.error": 1, "checkpoint.state": 1,
    }  # fmt: skip
    left = forget(store, GONE).left
    assert left == {"dead_letter.reason": 1, "run.error": 1}


def test_several_at_once_and_all_over_again(store: Store, url: str) -> None:
    filled(store)
    assert forget(store, GONE, STAYS, GONE).removed["observation"] == 40
    again = forget(store, GONE, STAYS)
    assert (sum(again.removed.values()), again.left) == (0, {})
    assert counts(url, GONE) == counts(url, STAYS) == [0] * 4


def test_whoever_is_not_known_is_named_and_nobody_is_forgotten(store: Store, url: str) -> None:
    filled(store)
    with pytest.raises(InputError, match=r"nobody is called door-1\.3 in .*; nobody was forgotten"):
        forget(store, GONE, "door-1.3")
    assert counts(url, GONE) == [20, 3, 1, 1]
    assert select(url, "SELECT count(*) FROM forgotten") == [(0,)]


@pytest.mark.parametrize("empty", ["", " ", "\t\n"])
def test_an_empty_name_is_nobody_and_whole_cameras_stay(store: Store, url: str, empty: str) -> None:
    filled(store)
    store.write(Rows(observations=[observation(90, person_id="")]))
    before = everything(url)
    for ask in (seen, forget):
        with pytest.raises(InputError, match=r"a pseudonym is empty; .*; nobody was forgotten") as caught:
            ask(store, GONE, empty)
        assert caught.value.exit_code == 2
    assert everything(url) == before


def test_what_is_written_about_them_later_is_left_out(store: Store, url: str) -> None:
    filled(store)
    with opened(url) as other:  # a run of another process, which has them in memory
        forget(store, GONE)
        other.write(rows_of(GONE))
        other.write_with_checkpoints(rows_of(STAYS, face=1), [], {"door": (2, state_of(STAYS))})
        other.write(Rows(observations=[observation(90, person_id="")], windows=[window()]))
    assert (counts(url, GONE), counts(url, STAYS)) == ([0] * 4, [20, 3, 1, 1])
    assert counts(url, "")[:2] == [1, 1]


def test_what_stays_of_them_is_a_hash(store: Store, url: str) -> None:
    filled(store)
    forget(store, GONE)
    ((mark, _),) = select(url, "SELECT * FROM forgotten")
    assert re.fullmatch("[0-9a-f]{64}", str(mark))


def test_when_they_were_seen_is_told_before(store: Store) -> None:
    filled(store)
    store.write(Rows(people=[person(person_id="attic-1.1", camera_id="hall")]))
    (one,) = seen(store, GONE)
    assert (one.camera_id, one.staying, one.distributed) == ("door", True, True)
    assert (one.last_seen - one.first_seen).total_seconds() == 19
    (other,) = seen(store, "attic-1.1")
    assert (other.staying, other.distributed) == (False, False)
    forget(store, GONE)
    assert seen(store, GONE) == []


def test_somebody_whose_row_is_gone_already_is_found_by_the_rest(store: Store, url: str) -> None:
    store.write(Rows(observations=rows_of(GONE).observations))
    (one,) = seen(store, GONE)
    assert one.camera_id == "door"
    assert forget(store, GONE).removed["observation"] == 20


def test_writers_who_never_rest_do_not_bring_them_back_nor_fail(url: str) -> None:
    stop = threading.Event()
    failures: list[BaseException] = []

    def write(number: int) -> None:
        try:
            with opened(url) as mine:
                for batch in range(10_000):
                    if stop.is_set() and batch:
                        return
                    rows = rows_of(GONE, face=number, frames=5)
                    rows.observations.extend(
                        observation(batch * 5 + n, face=number + 10, person_id=STAYS) for n in range(5)
                    )
                    mine.write(rows)
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    with opened(url) as store:
        filled(store)
        threads = [threading.Thread(target=write, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(3):
            assert forget(store, GONE).left == {}
        assert counts(url, GONE) == [0] * 4
        stop.set()
        for thread in threads:
            thread.join(60)
    assert not failures
    assert counts(url, GONE) == [0] * 4
    assert counts(url, STAYS)[0] > 20


def test_a_writer_that_looked_before_has_its_rows_erased_too(postgres_url: str) -> None:
    """It holds the lock from its look to its commit, and the mark waits for it."""
    with opened(postgres_url) as store, opened(postgres_url) as other:
        filled(store)
        looked, go = threading.Event(), threading.Event()

        def slow(connection: Any) -> None:
            from storage.write import write_rows

            write_rows(connection, other._backend, rows_of(GONE, face=7))
            looked.set()
            assert go.wait(30)

        writer = threading.Thread(target=other.transact, args=(slow,))
        writer.start()
        assert looked.wait(30)
        eraser = threading.Thread(target=forget, args=(store, GONE))
        eraser.start()
        eraser.join(0.3)
        assert eraser.is_alive()
        go.set()
        writer.join(30)
        eraser.join(30)
    assert counts(postgres_url, GONE) == [0] * 4


def test_a_mark_that_was_made_by_somebody_who_died_is_gone_on_from(store: Store, url: str) -> None:
    filled(store)
    store.transact(partial(leave_out, people=[GONE]))
    assert forget(store, GONE).removed["observation"] == 20


def raw(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(folder.iterdir()))


@pytest.mark.parametrize("in_use", [False, True])
def test_the_bytes_of_the_file_have_nothing_of_them(tmp_path: Path, in_use: bool) -> None:
    """Their numbers, too: a probability that nobody else has."""
    url = f"sqlite:///{tmp_path / 'test.db'}"
    telling = 0.1234567890123456
    with opened(url) as store, closing(sqlite3.connect(tmp_path / "test.db")) as other:
        filled(store)
        store.write(Rows(windows=[window(person_id="other-1.1", window_start=START - DAY, stress_mean=telling)]))
        for batch in range(40):
            store.write(rows_of("other-1.1", face=batch + 2))
        # Another program has deleted some of it, as SQLite does if not told otherwise: the bytes are still there.
        other.execute("PRAGMA secure_delete = OFF")
        other.execute("DELETE FROM observation WHERE person_id = 'other-1.1' AND face % 3 > 0")
        other.commit()
        if in_use:
            other.execute("SELECT count(*) FROM person").fetchall()
        before = raw(tmp_path)
        assert b"other-1.1" in before
        assert double(telling) in before
        assert forget(store, "other-1.1").traces is None
        after = raw(tmp_path)
    for content in (after, raw(tmp_path)):
        assert b"other-1.1" not in content
        assert double(telling) not in content
        assert STAYS.encode() in content


def double(value: float) -> bytes:
    """As SQLite stores it."""
    return struct.pack(">d", value)


def test_a_file_that_is_being_read_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.1)
    with opened(str(tmp_path / "test.db")) as store, closing(sqlite3.connect(tmp_path / "test.db")) as other:
        filled(store)
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM person").fetchall()
        done = forget(store, GONE)
        assert done.left == {}
        assert "is being read" in str(done.traces)
        other.execute("COMMIT")
        assert forget(store, GONE).traces is None


def test_a_large_file_in_use_is_not_rewritten_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "SCRUB_BESIDES", 1)
    with opened(str(tmp_path / "test.db")) as store:
        with opened(str(tmp_path / "test.db")) as other:
            filled(store)
            other.runs()
            assert "is in use" in str(forget(store, GONE).traces)
        assert forget(store, GONE).traces is None
