"""Rows and the checkpoint that accounts for them are stored together, by whoever holds the latest version."""

import threading

import pytest

from contracts.rows import Rows
from storage.checkpoints import FencedError
from storage.store import Store
from tests.storage.samples import dead_letter, everything, observation, opened, run, select, some_rows


def test_a_checkpoint_counts_up_with_every_write(store: Store) -> None:
    assert store.checkpoints(["door"]) == {}
    store.write_with_checkpoints(Rows(), [], {"door": (0, b"one"), "gate": (0, b"\x00gate")})
    store.write_with_checkpoints(Rows(), [], {"door": (1, b"two")})
    assert store.checkpoints(["gate", "door", "nowhere"]) == {"door": (2, b"two"), "gate": (1, b"\x00gate")}


def test_rows_and_runs_are_stored_with_the_checkpoint(store: Store, url: str) -> None:
    store.write_with_checkpoints(some_rows(), [run()], {"door": (0, b"state")})
    stored = everything(url)
    assert len(stored["observation"]) == 50
    assert len(stored["run"]) == len(stored["camera"]) == len(stored["dead_letter"]) == 1


@pytest.mark.parametrize("expected", [0, 1, 3, 17])
def test_a_writer_that_has_lost_its_place_writes_nothing_at_all(store: Store, url: str, expected: int) -> None:
    store.write_with_checkpoints(Rows(), [], {"door": (0, b"one")})
    store.write_with_checkpoints(Rows(), [], {"door": (1, b"two")})
    before = everything(url)
    with pytest.raises(FencedError, match="door"):
        store.write_with_checkpoints(some_rows(), [run()], {"attic": (0, b"new"), "door": (expected, b"old")})
    assert everything(url) == before
    assert store.checkpoints(["attic", "door"]) == {"door": (2, b"two")}


def test_a_checkpoint_that_was_deleted_is_not_brought_back(store: Store) -> None:
    with pytest.raises(FencedError):
        store.write_with_checkpoints(Rows(), [], {"door": (4, b"five")})
    assert store.checkpoints(["door"]) == {}


def test_the_end_of_a_run_is_not_undone_by_late_news_of_its_start(store: Store, url: str) -> None:
    over = run(ended_at=run().started_at + 10**9, frames=25, status="finished")
    store.write_with_checkpoints(Rows(), [over], {"door": (0, b"")})
    store.write_with_checkpoints(Rows(), [run()], {"door": (1, b"")})
    assert select(url, "SELECT status, frames FROM run") == [("finished", 25)]


def test_rows_of_no_camera_may_come_along(store: Store, url: str) -> None:
    for _ in range(2):
        store.write_with_checkpoints(Rows(dead_letters=[dead_letter(camera_id="", run_id="topic/3")]), [], {})
    assert len(select(url, "SELECT * FROM dead_letter")) == 1


def test_of_many_who_write_the_same_version_one_wins(url: str) -> None:
    """Two aggregators that both believe to have the partition: each step is taken once."""
    writers, steps = 4, 10
    won: list[tuple[int, int]] = []

    def write(number: int) -> None:
        with opened(url) as mine:
            for step in range(steps):
                rows = Rows(observations=[observation(step, face=number)])
                try:
                    mine.write_with_checkpoints(rows, [], {"door": (step, bytes([number]))})
                except FencedError:
                    continue
                won.append((step, number))

    with opened(url) as store:
        threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len({step for step, _ in won}) == len(won)
        (version, _), *_ = store.checkpoints(["door"]).values()
        assert version == len(won)
    stored = select(url, "SELECT seq, face FROM observation ORDER BY seq, face")
    assert sorted(won) == [(seq, face) for seq, face in stored]
