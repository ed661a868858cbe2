"""Messages survive the wire."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from contracts import wire
from contracts.errors import StageError
from contracts.messages import EmotionsMessage, FrameEmotions, Tombstone

FLOATS = st.floats(-1e6, 1e6, width=32)


@given(st.integers(0, 20).flatmap(lambda n: st.tuples(hnp.arrays(np.float32, (n, 4), elements=FLOATS), st.just(n))))
def test_what_comes_out_is_what_went_in(drawn: tuple[np.ndarray[tuple[int, int], np.dtype[np.float32]], int]) -> None:
    boxes, count = drawn
    frame = FrameEmotions(
        camera_id="ü", run_id="r", seq=2**40, captured_at=1_763_640_000_123_456_789,
        boxes=boxes, scores=np.ones(count, np.float32), probabilities=np.zeros((count, 7), np.float32),
    )  # fmt: skip
    again = wire.decode(wire.encode(frame), FrameEmotions)
    assert again.boxes.dtype == np.float32
    np.testing.assert_array_equal(again.boxes, boxes)
    assert again.probabilities.shape == (count, 7)
    assert (again.camera_id, again.seq, again.captured_at) == (frame.camera_id, frame.seq, frame.captured_at)


@pytest.mark.parametrize("data", [b"", b"\xff\x00", b"\x81\xa4type\xa5Frame", wire.encode({"type": "FrameEmotions"})])
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        wire.decode(data, Tombstone)


def test_a_message_of_another_version_is_refused() -> None:
    dead = Tombstone(camera_id="c", run_id="r", seq=1, captured_at=2, stage="detect", reason="why")
    data = wire.pack(dead)
    assert wire.unpack(data, EmotionsMessage) == dead
    for damaged in (b"", b"\x63" + data[1:], data[:-3], data[:1] + b"\xc1" * 9, data[:1]):
        with pytest.raises(StageError):
            wire.unpack(damaged, EmotionsMessage)
