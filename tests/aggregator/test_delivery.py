"""The rows do not depend on how the frames were delivered."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator import Gap
from contracts.messages import FrameEmotions, Tombstone
from contracts.rows import Rows
from tests.aggregator.scenes import Face, ended, film, make, shows, watch


def scene(t: float) -> list[Face]:
    faces = [(100 + 40 * t, 150.0, 60.0, shows(happy=0.6, sad=0.3)), (500 - 60 * t, 160.0, 70.0, shows(angry=0.9))]
    return faces[: 1 + (t > 1)] if t < 3 else faces[1:]


FRAMES = film(scene, seconds=6, fps=8)
EXPECTED = watch(FRAMES, make(windows=[2, 5]))


def deliver(frames: list[FrameEmotions]) -> Rows:
    aggregator = make(windows=[2, 5])
    rows = Rows()
    for one in frames:
        rows.extend(aggregator.add(one))
    rows.extend(aggregator.finish(ended(FRAMES)))
    return rows


@given(st.permutations(FRAMES))
@settings(max_examples=30, deadline=None)
def test_any_order_of_arrival_gives_the_same_rows(frames: list[FrameEmotions]) -> None:
    assert deliver(frames) == EXPECTED


@given(st.lists(st.sampled_from(FRAMES), max_size=30), st.randoms(use_true_random=False))
@settings(max_examples=20, deadline=None)
def test_what_is_delivered_twice_counts_once(again: list[FrameEmotions], random: object) -> None:
    frames = [*FRAMES, *again]
    random.shuffle(frames)  # type: ignore[attr-defined]
    assert deliver(frames) == EXPECTED


def test_what_is_delivered_after_the_end_is_recognised() -> None:
    aggregator = make(windows=[2, 5])
    watch(FRAMES, aggregator)
    assert not aggregator.add(FRAMES[3])
    assert not aggregator.finish(ended(FRAMES))
    assert aggregator.repeated == 1


def test_the_end_of_a_run_waits_for_its_last_frames() -> None:
    aggregator = make(windows=[2, 5])
    rows = Rows()
    for one in FRAMES[:40]:
        rows.extend(aggregator.add(one))
    rows.extend(aggregator.finish(ended(FRAMES)))
    for one in reversed(FRAMES[40:]):
        rows.extend(aggregator.add(one))
    assert rows == EXPECTED


@pytest.mark.parametrize("cut", range(0, len(FRAMES), 5))
def test_a_successor_that_gets_the_state_goes_on_as_if_nothing_had_been(cut: int) -> None:
    first = make(windows=[2, 5])
    rows = Rows()
    for one in FRAMES[:cut]:
        rows.extend(first.add(one))
    for one in FRAMES[cut + 2 : cut + 4]:  # early ones, which wait inside
        rows.extend(first.add(one))
    second = make(windows=[2, 5])
    second.restore(first.state())
    for one in FRAMES[cut:]:
        rows.extend(second.add(one))
    rows.extend(second.finish(ended(FRAMES)))
    assert rows == EXPECTED


def test_a_state_that_is_none_is_refused() -> None:
    with pytest.raises(msgspec.DecodeError):
        make().restore(b"\x81\xa4runs\x01")


def test_a_dead_frame_is_a_dead_letter_and_holds_nobody_up() -> None:
    frames: list[FrameEmotions | Tombstone] = list(FRAMES)
    dead = FRAMES[20]
    frames[20] = Tombstone(
        camera_id=dead.camera_id, run_id=dead.run_id, seq=20, captured_at=dead.captured_at, stage="detect", reason="why"
    )
    rows = watch(frames, make(windows=[2, 5]))
    (letter,) = rows.dead_letters
    assert (letter.run_id, letter.seq, letter.stage, letter.reason) == ("run", 20, "detect", "why")
    assert {row.seq for row in rows.observations} == set(range(len(FRAMES))) - {20}
    assert {row.person_id for row in rows.observations} == {"run.1", "run.2"}
    assert sum(w.frames for w in rows.windows if w.person_id == "" and w.window_seconds == 2) == len(FRAMES)


def test_what_runs_wait_for_is_told() -> None:
    aggregator, seconds = make(), [frame.captured_at for frame in FRAMES]
    assert aggregator.gaps() == []
    for seq in (4, 5, 8):
        aggregator.add(FRAMES[seq])
    before, between = Gap("run", 0, 4, seconds[4], seconds[4]), Gap("run", 6, 8, seconds[5], seconds[8])
    assert aggregator.gaps() == [before, between]
    for seq in (2, 1, 0, 3, 9):
        aggregator.add(FRAMES[seq])
    assert aggregator.gaps() == [between]
    assert [between.time_of(seq) for seq in (6, 7)] == pytest.approx(seconds[6:8], abs=1)
    aggregator.finish(ended(FRAMES))
    assert aggregator.gaps() == [between, Gap("run", 10, len(FRAMES), seconds[9], seconds[9])]
    for seq in (6, 7, *range(10, len(FRAMES))):
        aggregator.add(FRAMES[seq])
    assert aggregator.gaps() == []


def test_a_run_of_which_only_the_end_has_come_waits_for_all_of_it() -> None:
    aggregator = make()
    aggregator.finish(ended(FRAMES))
    assert aggregator.gaps() == [Gap("run", 0, len(FRAMES), 0, 0)]
    aggregator.finish(ended([]))  # of the same run: what is known of it does not wait for ever
    assert aggregator.gaps() == []


def test_two_runs_of_a_camera_do_not_mix() -> None:
    other = film(scene, seconds=6, fps=8, run_id="other")
    aggregator = make(windows=[2, 5])
    rows: dict[str, Rows] = {"run": Rows(), "other": Rows()}
    for mine, theirs in zip(FRAMES, other, strict=True):
        rows["run"].extend(aggregator.add(mine))
        rows["other"].extend(aggregator.add(theirs))
    rows["run"].extend(aggregator.finish(ended(FRAMES)))
    rows["other"].extend(aggregator.finish(ended(other)))
    assert rows["run"] == EXPECTED
    assert len(rows["other"].observations) == len(EXPECTED.observations)


def test_a_clock_that_was_set_back_does_not_undo_anything() -> None:
    frames = list(FRAMES)
    frames[30] = msgspec.structs.replace(frames[30], captured_at=frames[2].captured_at)
    rows = watch(frames, make(windows=[2, 5]))
    times = [row.captured_at for row in sorted(rows.observations, key=lambda row: row.seq)]
    assert times == sorted(times)
    assert len(rows.observations) == len(EXPECTED.observations)


def test_aggregate_privacy_lets_nothing_out_about_any_one_person() -> None:
    rows = watch(FRAMES, make("aggregate", windows=[2, 5]))
    assert not any((rows.observations, rows.people, rows.episodes))
    assert rows.windows == [row for row in EXPECTED.windows if row.person_id == ""]


@pytest.mark.parametrize("over", [False, True])
def test_a_dead_frame_that_comes_good_is_stored_and_changes_nothing_else(over: bool) -> None:
    aggregator, dead = make(windows=[2, 5]), FRAMES[20]
    frames: list[FrameEmotions | Tombstone] = list(FRAMES)
    frames[20] = Tombstone(
        camera_id=dead.camera_id, run_id=dead.run_id, seq=20, captured_at=dead.captured_at, stage="detect", reason="why"
    )
    for one in frames:
        aggregator.add(one)
    if over:
        aggregator.finish(ended(FRAMES))
    before = aggregator.state()
    rows = aggregator.add(msgspec.structs.replace(dead, again=True))
    assert rows.revived == [("run", 20)]
    assert [(row.seq, row.face, row.person_id) for row in rows.observations] == [
        (20, face, "") for face in range(len(dead.boxes))
    ]
    assert not any((rows.windows, rows.people, rows.episodes, rows.dead_letters))
    assert msgspec.msgpack.decode(aggregator.state())["runs"] == msgspec.msgpack.decode(before)["runs"]
    stranger = msgspec.structs.replace(dead, run_id="of old", again=True)
    assert aggregator.add(stranger).revived == [("of old", 20)]
