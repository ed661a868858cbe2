"""Whatever comes twice, in whatever batches, and whenever a worker dies: the rows are those of one aggregator."""

import random
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts import wire
from contracts.errors import StorageError
from contracts.messages import EmotionsMessage, FrameEmotions, RunEnded, RunStarted
from contracts.rows import Rows, Run
from contracts.settings import AggregatorSettings, PrivacySettings, Settings, StorageSettings
from pipeline.entries import Entry
from pipeline.ledger import Book, Ledger
from storage.checkpoints import Checkpoint, FencedError
from storage.store import Store
from storage.tables import metadata
from tests.pipeline.distributed.made_up import SECOND, START, entries, run_of, shuffled, undisturbed

OURS = Settings(aggregator=AggregatorSettings(windows=(2, 5)))
TABLES = ("camera", "run", "person", "observation", "window_stat", "stress_episode", "dead_letter")


def memory() -> Store:
    return Store(StorageSettings(url="sqlite://"))


def contents(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    with store._backend.engine.connect() as connection:
        return {
            name: sorted((tuple(row) for row in connection.execute(metadata.tables[name].select())), key=repr)
            for name in TABLES
        }


def expected(runs: Sequence[Sequence[EmotionsMessage]], ours: Settings = OURS) -> dict[str, list[tuple[Any, ...]]]:
    with memory() as store:
        undisturbed(runs, store, ours)
        return contents(store)


def applied(batches: Sequence[Sequence[Entry]], ours: Settings = OURS) -> dict[str, list[tuple[Any, ...]]]:
    with memory() as store:
        ledger = Ledger(store, ours)
        for batch in batches:
            ledger.apply(batch)
        return contents(store)


class Moody:
    """A store that breaks down before or after it has written, as its list of moods says."""

    def __init__(self, store: Store, moods: list[str]) -> None:
        self._store = store
        self._moods = moods

    def checkpoints(self, camera_ids: Sequence[str]) -> dict[str, Checkpoint]:
        return self._store.checkpoints(camera_ids)

    def write_with_checkpoints(self, rows: Rows, runs: Sequence[Run], checkpoints: Mapping[str, Checkpoint]) -> None:
        mood = self._moods.pop() if self._moods else "well"
        if mood == "refuses":
            raise StorageError("away")
        self._store.write_with_checkpoints(rows, runs, checkpoints)
        if mood == "loses the answer":
            raise StorageError("away after it was done")


@cache
def film() -> tuple[tuple[EmotionsMessage, ...], ...]:
    return tuple(tuple(run_of(camera, number, 40, fps=5)) for camera in ("door", "gate") for number in (1, 2))


@cache
def film_expected() -> dict[str, list[tuple[Any, ...]]]:
    return expected(film())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), seed=st.integers(0, 10**6))
def test_any_redelivery_any_batches_any_crash_give_the_rows_of_one_aggregator(data: st.DataObject, seed: int) -> None:
    source = random.Random(seed)
    per_run = [shuffled(run, source) for run in film()]
    # The runs of a camera may overlap in the topic: the next begins while frames of the last are still on their way.
    mixed = [message for _, message in sorted(
        ((place + 30 * number + source.uniform(0, 3), message)
         for number, run in enumerate(per_run) for place, message in enumerate(run)), key=lambda pair: pair[0]
    )]  # fmt: skip
    topic = entries(mixed)
    with memory() as store:
        workers = [Ledger(store, OURS), Ledger(store, OURS)]
        position = 0
        while position < len(topic):
            size = data.draw(st.integers(1, 60), label="batch")
            batch = topic[position : position + size]
            what = data.draw(
                st.sampled_from(["goes on", "goes on", "dies", "dies unheard", "zombie", "refuses", "loses the answer"])
            )
            if what == "zombie":  # another worker believes to have the camera, and is behind
                behind = max(0, position - data.draw(st.integers(0, 80), label="behind"))
                workers[1].apply(topic[behind : behind + size])
            if what in {"refuses", "loses the answer"}:
                moody = Ledger(Moody(store, [what]), OURS)
                with pytest.raises(StorageError):
                    moody.apply(batch)
                moody.apply(batch)
            workers[0].apply(batch)
            if what.startswith("dies"):
                workers[0] = Ledger(store, OURS)
            if what == "dies unheard":  # before the commit of its offset: delivered again, in other batches
                position = max(0, position - data.draw(st.integers(0, 60), label="back"))
            else:
                position += size
        assert contents(store) == film_expected()


def test_faces_are_counted_once_and_the_run_ends_with_its_last_frame() -> None:
    messages = run_of("door", 1, 30)
    *rest, last_frame, end = messages
    with memory() as store:
        ledger = Ledger(store, OURS)
        ledger.apply(entries([*rest, end, *rest]))
        (running,) = store.runs()
        assert (running.status, running.ended_at, running.faces) == ("running", None, 0)
        ledger.apply(entries([last_frame]))
        (over,) = store.runs()
        faces = sum(len(message.boxes) for message in messages if isinstance(message, FrameEmotions))
        assert (over.status, over.frames, over.faces) == ("finished", 30, faces)


def test_a_run_that_goes_on_says_how_far_it_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """A camera's may go on for days, and be killed."""
    monkeypatch.setattr("pipeline.ledger.COUNTED_EVERY", 0.0)
    messages = run_of("door", 1, 30)
    faces = [len(message.boxes) if isinstance(message, FrameEmotions) else 0 for message in messages]
    with memory() as store:
        ledger = Ledger(store, OURS)
        for first, end in ((0, 11), (11, 21), (11, 21)):
            done = ledger.apply(entries(messages[first:end]))
            (running,) = store.runs()
            assert (running.status, running.ended_at) == ("running", None)
            assert (running.frames, running.faces) == (end - 1, sum(faces[:end]))
            assert [run.run_id for run in done.runs] == (["door-1"] if first == 0 else [])  # what is told is told once
        ledger.apply(entries(messages))
        (over,) = store.runs()
        assert (over.status, over.frames, over.faces) == ("finished", 30, sum(faces))


@pytest.mark.parametrize("at", [1, 15, 31])
def test_the_start_of_a_run_may_come_late(at: int) -> None:
    start, *rest = run_of("door", 1, 30)
    late = entries([*rest[:at], start, *rest[at:]])
    assert applied([late[:10], late[10:25], late[25:]]) == expected([[start, *rest]])


def test_a_run_of_which_the_start_is_lost_is_stored_nevertheless() -> None:
    _, *rest = run_of("door", 1, 30)
    with memory() as store:
        Ledger(store, OURS).apply(entries(rest))
        (run,) = store.runs()
        assert (run.run_id, run.frames, run.status) == ("door-1", 30, "finished")


def test_a_new_run_does_not_end_the_one_before() -> None:
    first, second = run_of("door", 1, 30), run_of("door", 2, 30)
    with memory() as store:
        Ledger(store, OURS).apply(entries([*first[:20], *second]))
        assert {run.run_id: run.status for run in store.runs()} == {"door-1": "running", "door-2": "finished"}


def test_how_a_run_ended_is_told() -> None:
    start, end = run_of("door", 1, 0)
    assert isinstance(start, RunStarted)
    assert isinstance(end, RunEnded)
    lost = msgspec.structs.replace(end, error="the ingest worker was lost", dropped=7)
    with memory() as store:
        Ledger(store, OURS).apply(entries([msgspec.structs.replace(start, live=True), lost]))
        (run,) = store.runs()
        assert (run.status, run.error, run.dropped) == ("lost", "the ingest worker was lost", 7)


def broken_frames() -> list[tuple[str, FrameEmotions]]:
    good = next(message for message in run_of("door", 1, 30) if isinstance(message, FrameEmotions) and message.seq == 3)
    assert len(good.boxes)
    replace = msgspec.structs.replace
    return [
        ("of other lengths", replace(good, scores=good.scores[:-1])),
        ("not a number", replace(good, boxes=np.full_like(good.boxes, np.nan))),
        ("of six emotions", replace(good, probabilities=good.probabilities[:, :6])),
        ("flat", replace(good, boxes=good.boxes.ravel())),
        ("texts", replace(good, scores=np.array(["a"] * len(good.boxes)))),
        ("enormous", replace(good, boxes=np.full_like(good.boxes, 1e30))),
    ]


@pytest.mark.parametrize(("kind", "frame"), broken_frames(), ids=lambda value: value if isinstance(value, str) else "")
def test_a_frame_that_makes_no_sense_becomes_a_dead_letter_in_its_place(kind: str, frame: FrameEmotions) -> None:
    messages = run_of("door", 1, 30)
    with memory() as store:
        Ledger(store, OURS).apply(
            entries([frame if getattr(message, "seq", None) == 3 else message for message in messages])
        )
        (run,) = store.runs()
        assert run.status == "finished"
        letters = contents(store)["dead_letter"]
        assert sorted((letter[2], letter[4]) for letter in letters) == [(3, "aggregate"), (15, "detect")]


def nonsense() -> list[bytes]:
    frame = run_of("door", 1, 30)[2]
    assert isinstance(frame, FrameEmotions)
    start = run_of("door", 1, 30)[0]
    replace = msgspec.structs.replace
    return [
        b"",
        b"\x01",
        b"\x02" + wire.encode(frame),
        wire.pack(frame)[:-5],
        random.Random(3).randbytes(300),
        b"\x01" + b"\x91" * 5000,
        wire.pack(replace(frame, seq=-1)),
        wire.pack(replace(frame, seq=2**63 - 1)),
        wire.pack(replace(frame, captured_at=-5)),
        wire.pack(replace(frame, captured_at=10**19)),
        wire.pack(replace(frame, run_id="")),
        wire.pack(replace(start, width=-1)),
    ]


@pytest.mark.parametrize("value", nonsense())
def test_what_cannot_be_read_is_kept_as_a_dead_letter_and_holds_nobody_up(value: bytes) -> None:
    good = entries(run_of("door", 1, 30), partition="emotions/5")
    bad = Entry(partition="emotions/5", offset=999, at=START + SECOND, camera_id="door", value=value)
    with memory() as store:
        for _ in range(2):
            done = Ledger(store, OURS).apply([*good[:10], bad, *good[10:]])
            assert len(done.unreadable) == 1
        letters = contents(store)["dead_letter"]
        assert sorted(letter[1:3] for letter in letters) == [("door-1", 15), ("emotions/5", 999)]
        assert [run.status for run in store.runs()] == ["finished"]


def test_a_message_that_trips_us_up_does_not_hold_up_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    messages = run_of("door", 1, 30)
    taken = Book.take

    def tripping(book: Book, message: EmotionsMessage, *rest: Any) -> None:
        if isinstance(message, FrameEmotions) and message.seq == 7:
            raise ZeroDivisionError
        taken(book, message, *rest)

    monkeypatch.setattr(Book, "take", tripping)
    with memory() as store:
        Ledger(store, OURS).apply(entries(messages))
        assert sorted(letter[2] for letter in contents(store)["dead_letter"]) == [7, 15]
        assert store.runs()[0].status == "finished"


def test_two_who_never_agree_give_up() -> None:
    class Contested:
        def checkpoints(self, camera_ids: Sequence[str]) -> dict[str, Checkpoint]:
            return {}

        def write_with_checkpoints(self, *_: object) -> None:
            raise FencedError("always")

    with pytest.raises(FencedError):
        Ledger(Contested(), OURS).apply(entries(run_of("door", 1, 3)))


def test_a_checkpoint_that_cannot_be_read_is_not_thrown_away() -> None:
    with memory() as store:
        store.write_with_checkpoints(Rows(), [], {"door": (0, b"of another version")})
        with pytest.raises(StorageError, match="checkpoint of camera door"):
            Ledger(store, OURS).apply(entries(run_of("door", 1, 3)))
        assert store.checkpoints(["door"]) == {"door": (1, b"of another version")}


def test_aggregate_privacy_stores_nothing_about_any_one_person() -> None:
    private = OURS.model_copy(update={"privacy": PrivacySettings(level="aggregate")})
    rows = applied([entries(run_of("door", 1, 60))[n : n + 7] for n in range(0, 62, 7)], private)
    assert rows["person"] == rows["observation"] == rows["stress_episode"] == []
    assert rows["window_stat"] == expected([run_of("door", 1, 60)], private)["window_stat"] != []


def test_what_a_batch_brought_is_told_once() -> None:
    messages = run_of("door", 1, 30)
    with memory() as store:
        ledger = Ledger(store, OURS)
        first, again = ledger.apply(entries(messages)), ledger.apply(entries(messages))
    assert first.cameras["door"].frames == 30
    assert again.cameras == {}
