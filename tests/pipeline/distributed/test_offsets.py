"""How far a partition is stored, gaps in what was delivered, and consumers that stop without a word."""

import pytest

from pipeline.topic import Standing
from pipeline.workers.offsets import GapError, Offsets, Passed
from pipeline.workers.watchdog import Watchdog


def located(*, committed: int | None = 10, low: int = 0, high: int = 100) -> tuple[Offsets, list[str]]:
    said: list[str] = []
    offsets = Offsets(said.append)
    offsets.locate(3, Standing(committed, low, high))
    return offsets, said


@pytest.mark.parametrize(
    ("standing", "begins"),
    [(Standing(10, 0, 100), 10), (Standing(None, 7, 100), 7), (Standing(10, 40, 100), 40), (Standing(None, 0, 0), 0)],
)
def test_a_partition_begins_where_the_group_is_or_at_the_oldest_that_is_kept(standing: Standing, begins: int) -> None:
    offsets = Offsets(print)
    assert offsets.unknown({3, 4}) == {3, 4}
    offsets.locate(3, standing)
    assert offsets.stored == {3: begins}
    assert offsets.unknown({3, 4}) == {4}


def test_what_is_stored_is_skipped_and_what_is_new_counts_up() -> None:
    offsets, _ = located()
    indexes, ends = offsets.fresh([(3, 8), (3, 9), (3, 10), (3, 11), (3, 10), (3, 12)])
    assert (indexes, ends) == ([2, 3, 5], {3: 13})
    assert offsets.stored == {3: 10}  # until it is
    offsets.advance(ends)
    assert offsets.fresh([(3, 12)]) == ([], {})


def test_a_gap_is_read_again_and_only_then_believed() -> None:
    offsets, said = located()
    with pytest.raises(GapError, match="10 to 14 of partition 3"):
        offsets.fresh([(3, 15)])
    assert offsets.fresh([(3, 10), (3, 11)])[1] == {3: 12}  # it was Faust
    assert not said
    assert offsets.fresh([(3, 15)])[1] == {3: 16}  # it was Kafka
    assert "lost" in said[0]


def test_what_others_did_in_between_is_not_done_again_nor_undone() -> None:
    offsets, _ = located()
    offsets.advance({3: 20})
    offsets.forget()
    assert offsets.located() == {}
    offsets.locate(3, Standing(15, 0, 100))
    assert offsets.located() == {3: 20}
    offsets.forget()
    offsets.locate(3, Standing(50, 0, 100))
    assert offsets.located() == {3: 50}


@pytest.mark.parametrize("high", [5, 500])
def test_a_topic_that_was_made_anew_begins_anew(high: int) -> None:
    offsets, _ = located()
    offsets.advance({3: 90})
    offsets.locate(3, Standing(None, 0, high))
    assert offsets.stored == {3: 0}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def watch(looks: list[tuple[dict[int, int], dict[int, int], bool]]) -> list[str | None]:
    """A look every ten seconds, by a watchdog with a patience of 25."""
    clock = Clock()
    dog = Watchdog(25, clock)
    answers = []
    for positions, ends, joined in looks:
        answers.append(dog.look(positions, ends, joined=joined))
        clock.now += 10
    return answers


def test_the_watchdog_barks_at_a_partition_that_stands_still_while_something_waits() -> None:
    answers = watch([({0: n, 1: 5}, {0: 100, 1: 9}, True) for n in range(4)])
    assert answers[:3] == [None] * 3
    assert answers[3] is not None
    assert "partition 1" in answers[3]
    assert "4 wait" in answers[3]


def test_the_watchdog_is_quiet_where_nothing_waits_or_all_moves() -> None:
    assert not any(watch([({0: 9}, {0: 9}, True)] * 9))
    assert not any(watch([({0: n // 2}, {0: 99}, True) for n in range(9)]))
    assert not any(watch([({}, {}, True)] * 9))


def test_the_watchdog_counts_from_the_moment_that_something_waits() -> None:
    assert not any(watch([({0: 9}, {0: 9}, True)] * 9 + [({0: 9}, {0: 12}, True)] * 2))
    assert watch([({0: 9}, {0: 9}, True)] * 9 + [({0: 9}, {0: 12}, True)] * 4)[-1] is not None


def test_the_watchdog_barks_when_the_group_never_shares_out() -> None:
    answers = watch([({}, {}, False)] * 4)
    assert answers[:3] == [None] * 3
    assert "partitions" in str(answers[3])
    assert not any(watch([({}, {}, n % 2 == 0) for n in range(9)]))


def test_a_reset_watchdog_has_all_its_patience() -> None:
    clock = Clock()
    dog = Watchdog(25, clock)
    for _ in range(9):
        assert dog.look({0: 1}, {0: 2}, joined=False) is None
        dog.reset()
        clock.now += 20


def test_until_when_all_is_stored_is_known_where_nothing_comes_and_where_some_always_waits() -> None:
    passed = Passed()
    assert passed.look({1: 5, 2: 7}, {1: 5, 2: 8}, 100) is None  # how they stood before that is not known
    assert passed.look({1: 5, 2: 8}, {1: 6, 2: 9}, 101) == 100
    assert passed.look({1: 5, 2: 9}, {1: 20, 2: 10}, 102) is None
    assert passed.look({1: 6, 2: 9}, {1: 30, 2: 10}, 103) == 101
    assert passed.look({1: 30, 2: 10}, {1: 30, 2: 10}, 104) == 103
    assert passed.look({1: 30, 2: 10}, {1: 30, 2: 10}, 105) == 104
    assert passed.look({1: 30, 3: 5}, {1: 30, 3: 5}, 106) is None  # other partitions
    assert passed.look({1: 30, 3: 5}, {1: 30, 3: 5}, 107) == 106
    assert passed.look({}, {}, 108) is None
    assert passed.look({}, {}, 109) is None
