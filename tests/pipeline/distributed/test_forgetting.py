"""Who is forgotten while an aggregator follows them leaves its checkpoint, and it goes on with the others."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text

from contracts.messages import EmotionsMessage
from contracts.settings import AggregatorSettings, Settings, StorageSettings
from pipeline.ledger import Ledger
from storage.erasure import forget, search, seen
from storage.store import Store
from tests.pipeline.distributed.made_up import entries, run_of

OURS = Settings(aggregator=AggregatorSettings(windows=(5, 10)))
FRAMES = 300
HALF = 120


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(StorageSettings(url=str(tmp_path / "test.db"))) as store:
        yield store


@pytest.fixture(scope="module")
def film() -> Sequence[EmotionsMessage]:
    return run_of("door", 1, FRAMES)


def ask(store: Store, query: str) -> list[tuple[object, ...]]:
    return store.transact(lambda connection: [tuple(row) for row in connection.execute(text(query))], write=False)


def left(store: Store, person_id: str) -> dict[str, int]:
    return store.transact(partial(search, people=[person_id]), write=False)


@pytest.mark.parametrize("restarted", [False, True])
def test_the_aggregator_goes_on_without_the_person(
    store: Store, film: Sequence[EmotionsMessage], restarted: bool
) -> None:
    topic = entries(film)
    ledger = Ledger(store, OURS)
    ledger.apply(topic[:HALF])
    (before,) = seen(store, "door-1.1")
    assert before.staying
    assert "checkpoint.state" in left(store, "door-1.1")
    done = forget(store, "door-1.1")
    assert done.removed["checkpoint"] == 1
    assert done.left == {}
    if restarted:  # and is given again what was stored, but not committed
        Ledger(store, OURS).apply(topic[HALF - 50 :])
    else:
        ledger.apply(topic[HALF:])
    assert left(store, "door-1.1") == {}
    assert ask(store, "SELECT status, frames FROM run") == [("finished", FRAMES)]
    assert ask(store, "SELECT count(*) FROM dead_letter") == [(1,)]


def test_the_others_are_told_of_as_if_nothing_had_happened(
    store: Store, film: Sequence[EmotionsMessage], tmp_path: Path
) -> None:
    with Store(StorageSettings(url=str(tmp_path / "calm.db"))) as calm:
        Ledger(calm, OURS).apply(entries(film))
        others = [str(row[0]) for row in ask(calm, "SELECT person_id FROM person WHERE person_id <> 'door-1.1'")]
        ledger = Ledger(store, OURS)
        ledger.apply(entries(film)[:HALF])
        forget(store, "door-1.1")
        ledger.apply(entries(film)[HALF:])
        known = [name for name in others if int(name.rsplit(".", 1)[1]) <= 3]  # before the half
        assert len(known) == 2
        for name in known:
            for table in ("observation", "window_stat", "stress_episode", "person"):
                query = f"SELECT * FROM {table} WHERE person_id = '{name}' ORDER BY 1, 2, 3, 4, 5"
                assert ask(store, query) == ask(calm, query)


def test_who_is_still_there_becomes_somebody_new(store: Store, film: Sequence[EmotionsMessage]) -> None:
    ledger = Ledger(store, OURS)
    ledger.apply(entries(film)[:20])
    before = {str(row[0]) for row in ask(store, "SELECT person_id FROM person")}
    forget(store, "door-1.1")
    ledger.apply(entries(film)[20:])
    after = {str(row[0]) for row in ask(store, "SELECT person_id FROM person")}
    assert "door-1.1" in before
    assert "door-1.1" not in after
    assert max(int(name.rsplit(".", 1)[1]) for name in after) > len(before)
    # The faces that went with the person are the only ones that are missing.
    kept = ask(store, "SELECT count(*) FROM observation")[0][0]
    faces = ask(store, "SELECT faces FROM run")[0][0]
    assert isinstance(kept, int)
    assert isinstance(faces, int)
    assert 0 < faces - kept < 20


def test_a_topic_that_is_read_from_the_beginning_again_does_not_bring_them_back(
    store: Store, film: Sequence[EmotionsMessage]
) -> None:
    Ledger(store, OURS).apply(entries(film))
    forget(store, "door-1.1")
    store.transact(lambda connection: connection.execute(text("DELETE FROM checkpoint")))
    Ledger(store, OURS).apply(entries(film))
    assert left(store, "door-1.1") == {}
