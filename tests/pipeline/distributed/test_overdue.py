"""A frame that never arrives holds its run up for a while, and no longer; what is only late is waited for."""

from collections.abc import Sequence

import msgspec
import pytest

from contracts.errors import StorageError
from contracts.messages import EmotionsMessage, FrameEmotions, RunEnded, RunStarted, Tombstone
from pipeline.entries import Entry
from pipeline.ledger import Ledger
from storage.values import to_datetime
from tests.pipeline.distributed.made_up import SECOND, START, entries, run_of
from tests.pipeline.distributed.test_ledger import OURS, Moody, applied, contents, expected, memory

LIMIT = round(4 * OURS.redis.take_over_after * OURS.redis.attempts)
"""Seconds after which a frame is given up."""


def lost(message: EmotionsMessage) -> Tombstone:
    assert isinstance(message, FrameEmotions)
    return Tombstone(
        camera_id=message.camera_id, run_id=message.run_id, seq=message.seq, captured_at=message.captured_at,
        stage="aggregate", reason="it never arrived",
    )  # fmt: skip


def in_batches(ledger: Ledger, topic: Sequence[Entry], size: int = 10) -> list[str]:
    """Applies them; tells what was given up, and with the how manieth message."""
    given_up = []
    for first in range(0, len(topic), size):
        for _, gap in ledger.apply(topic[first : first + size]).given_up:
            given_up.append(f"{gap.first} to {gap.end - 1} with {topic[first].offset}")
    return given_up


def test_an_unreadable_message_in_the_place_of_a_frame_delays_its_run_by_no_more_than_the_limit() -> None:
    run = run_of("door", 1, 300)
    topic = entries(run, every=1)
    topic[41] = msgspec.structs.replace(topic[41], value=b"\x01damaged")  # frame 40
    with memory() as store:
        ledger = Ledger(store, OURS)
        assert in_batches(ledger, topic[: 50 + LIMIT]) == []
        assert max(seq for _, _, seq, *_ in contents(store)["observation"]) < 40
        assert in_batches(ledger, topic[50 + LIMIT :]) == [f"40 to 40 with {50 + LIMIT}"]
        found, whole = contents(store), expected([[*run[:41], lost(run[41]), *run[42:]]])
        assert len(found["dead_letter"]) == 3
        found["dead_letter"] = [letter for letter in found["dead_letter"] if letter[1] != "topic/0"]
        assert found == whole


@pytest.mark.parametrize("seconds", [100, LIMIT - 20])
def test_a_frame_that_comes_late_but_within_the_limit_is_in_its_place(seconds: int) -> None:
    run = run_of("door", 1, 300)
    late = [*run[:41], *run[42 : 42 + seconds], run[41], *run[42 + seconds :]]
    topic = entries(late, every=1)
    assert applied([topic[first : first + 10] for first in range(0, len(topic), 10)]) == expected([run])


def test_several_frames_that_never_come_are_given_up_side_by_side() -> None:
    run = run_of("door", 1, 300)
    missing = {5, 6, 30, 31, 32, 60}
    topic = entries([message for message in run if getattr(message, "seq", None) not in missing], every=1)
    with memory() as store:
        given_up = in_batches(Ledger(store, OURS), topic, 1)
        assert [one.split(" with ")[0] for one in given_up] == ["5 to 6", "30 to 32", "60 to 60"]
        assert contents(store) == expected(
            [[lost(message) if getattr(message, "seq", None) in missing else message for message in run]]
        )


def test_neither_a_database_that_is_away_nor_a_silence_gives_anything_up() -> None:
    run = run_of("door", 1, 60)
    held_up = entries([*run[:41], *run[42:50], run[41], *run[50:]])
    # All workers had to wait, for ten minutes; then the others were a little quicker.
    held_up[45:] = [msgspec.structs.replace(entry, at=entry.at + 600 * SECOND) for entry in held_up[45:]]
    with memory() as store:
        ledger = Ledger(Moody(store, ["well", "refuses", "loses the answer", "refuses", "well"]), OURS)
        for first in range(0, len(held_up), 4):
            done = None
            while done is None:
                try:
                    done = ledger.apply(held_up[first : first + 4])
                except StorageError:
                    continue
            assert not done.given_up
        assert contents(store) == expected([run])


@pytest.mark.parametrize("released_by", ["another run", "silence"])
def test_a_run_ends_though_its_last_frames_never_come(released_by: str) -> None:
    run, other = run_of("door", 1, 30), run_of("door", 2, 60)
    with memory() as store:
        ledger = Ledger(store, OURS)
        topic = entries([*run[:29], run[-1], *other], every=3)
        ledger.apply(topic[:30])
        assert [one.status for one in store.runs()] == ["running"]
        if released_by == "another run":
            assert in_batches(ledger, topic[30:], 1) == [f"28 to 29 with {28 + LIMIT // 3 + 1}"]
        else:
            at = range(topic[29].at, topic[28].at + (LIMIT + 3) * SECOND, 2 * SECOND)
            assert [bool(ledger.tick(["door", "gate"], time).given_up) for time in at] == [False] * (len(at) - 1) + [
                True
            ]
            assert set(store.checkpoints(["door", "gate"])) == {"door"}
            ledger.apply(entries(other))
        last = run[28].captured_at if isinstance(run[28], FrameEmotions) else 0
        gone = [msgspec.structs.replace(lost(message), captured_at=last) for message in run[29:31]]
        assert contents(store) == expected([[*run[:29], *gone, run[-1]], other])


def test_the_waiting_begins_anew_with_another_worker() -> None:
    run = run_of("door", 1, 400)
    topic = entries([*run[:41], *run[42:]], every=1)
    with memory() as store:
        assert in_batches(Ledger(store, OURS), topic[:150]) == []
        # What is delivered once more was published before: it does not count.
        assert in_batches(Ledger(store, OURS), topic) == [f"40 to 40 with {150 + LIMIT}"]
        assert contents(store) == expected([[*run[:41], lost(run[41]), *run[42:]]])


@pytest.mark.parametrize("over", [False, True])
def test_a_frame_that_comes_after_it_was_given_up_is_stored_and_is_no_dead_letter_any_more(over: bool) -> None:
    *run, end = run_of("door", 1, 400)
    late = run[41]
    assert isinstance(late, FrameEmotions)
    with memory() as store:
        in_batches(Ledger(store, OURS), entries([*run[:41], *run[42:]], every=1))
        before = contents(store)
        if over:
            Ledger(store, OURS).apply(entries([end]))
            before = contents(store)
        for _ in range(2):
            assert Ledger(store, OURS).apply(entries([late])).cameras == {}
        after = contents(store)
        faces = [row for row in after["observation"] if row not in before["observation"]]
        assert [(row[2], row[3], row[5]) for row in faces] == [(40, face, "") for face in range(len(late.boxes))]
        assert [row[2] for row in after["dead_letter"]] == [row[2] for row in before["dead_letter"] if row[2] != 40]
        for table in ("run", "person", "window_stat", "stress_episode"):
            assert after[table] == before[table]


def test_a_run_of_which_nothing_came_but_its_end_is_over_and_many_frames_are_given_up_bit_by_bit() -> None:
    start, end = run_of("door", 1, 0)
    assert isinstance(start, RunStarted)
    assert isinstance(end, RunEnded)
    with memory() as store:
        ledger = Ledger(store, OURS)
        ledger.apply(entries([msgspec.structs.replace(start), msgspec.structs.replace(end, frames=2500)]))
        numbers = []
        for second in range(0, LIMIT + 10, 2):
            numbers += [len(gap) for _, gap in ledger.tick(["door"], START + second * SECOND).given_up]
        assert numbers == [1000, 1000, 500]
        (run,) = store.runs()
        assert (run.status, run.frames, run.faces) == ("finished", 2500, 0)
        letters = contents(store)["dead_letter"]
        assert sorted(letter[2] for letter in letters) == list(range(2500))
        assert {letter[3] for letter in letters} == {to_datetime(start.started_at)}


def test_a_number_that_nobody_can_mean_is_not_counted_up_to() -> None:
    start, end = run_of("door", 1, 0)
    with memory() as store:
        ledger = Ledger(store, OURS)
        ledger.apply(entries([start, msgspec.structs.replace(end, frames=2**62)]))
        assert not any(ledger.tick(["door"], START + n * 10 * SECOND).given_up for n in range(LIMIT))


def test_a_dead_letter_that_is_put_back_in_vain_makes_no_others_of_a_run_long_over() -> None:
    stone = Tombstone(
        camera_id="door", run_id="of old", seq=5, captured_at=START, stage="detect", reason="truncated", again=True
    )  # fmt: skip
    senseless = next(message for message in run_of("door", 1, 30) if isinstance(message, FrameEmotions) and message.seq)
    senseless = msgspec.structs.replace(senseless, scores=senseless.scores[:0], seq=7, run_id="of old", again=True)
    with memory() as store:
        ledger = Ledger(store, OURS)
        ledger.apply(entries([stone, senseless]))
        assert not any(ledger.tick(["door"], START + n * 10 * SECOND).given_up for n in range(LIMIT))
        assert contents(store)["dead_letter"] == []
