"""What lies in the topic, entry by entry: reading it, and what becomes of that which cannot be read."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from contracts import wire
from contracts.errors import StageError
from contracts.messages import EmotionsMessage, FrameEmotions, Tombstone
from contracts.rows import DeadLetter
from pipeline.checking import check, check_place

STAGE: Final = "aggregate"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A message as it lies in the topic."""

    partition: str  # with the topic's name; with `offset`, an identity for what cannot be read
    offset: int
    at: int  # when it was published, UTC ns
    camera_id: str  # its key
    value: bytes


def read(entries: Sequence[Entry], spoiled: Mapping[int, str]) -> tuple[dict[int, EmotionsMessage], list[DeadLetter]]:
    """The messages, by their place in the batch, and letters for what is none.

    A frame that makes no sense but has a place in a run becomes a tombstone there, so that nobody waits for it. Where
    no place can be read, the run waits for a while (`pipeline.overdue`). Those that `spoiled` gives a reason for are
    treated as if they made no sense.
    """
    messages: dict[int, EmotionsMessage] = {}
    letters: list[DeadLetter] = []
    for index, entry in enumerate(entries):
        message, complaint = _decoded(entry.value)
        complaint = spoiled.get(index, complaint)
        if complaint is not None:
            message = _tombstone(message, complaint)
        if message is not None:
            messages[index] = message
        elif complaint is not None:
            letters.append(_letter(entry, complaint))
    return messages, letters


def _decoded(value: bytes) -> tuple[EmotionsMessage | None, str | None]:
    """The message, where there is one, and what is wrong with it."""
    message: EmotionsMessage | None = None
    try:
        message = wire.unpack(value, EmotionsMessage)
        check(message)
    except StageError as error:
        return message, str(error)
    except Exception as error:  # noqa: BLE001  (whatever these bytes were made to do)
        return message, f"damaged message: {error!r}"
    return message, None


def _tombstone(message: EmotionsMessage | None, reason: str) -> Tombstone | None:
    """Takes the place of a frame; None where there is no such place, or where it is a tombstone that is at fault."""
    if not isinstance(message, FrameEmotions):
        return None
    try:
        check_place(message)
    except StageError:
        return None
    return Tombstone(
        camera_id=message.camera_id, run_id=message.run_id, seq=message.seq, captured_at=message.captured_at,
        again=message.again, stage=STAGE, reason=reason,
    )  # fmt: skip


def _letter(entry: Entry, reason: str) -> DeadLetter:
    return DeadLetter(
        camera_id=entry.camera_id, run_id=entry.partition, seq=entry.offset, captured_at=entry.at,
        stage=STAGE, reason=reason,
    )  # fmt: skip
