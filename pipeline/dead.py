"""The dead letters whose payload is kept: looking at them, trying them again, dropping them."""

from typing import Any, Final

import msgspec

from contracts.errors import TransportError
from pipeline import scripts
from pipeline.link import Link
from pipeline.streams import AGAIN, READS, key

PAGE: Final = 100


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A message that was given up. What could not be read of it is empty."""

    shard: int
    id: bytes
    stage: str
    reason: str
    camera: str
    run: str
    seq: str
    captured_at: int | None
    """Event time, UTC ns."""
    size: int
    """Bytes of the payload that is kept; 0 if it is not."""

    @property
    def name(self) -> str:
        """What it is called on the command line."""
        return f"{self.shard}:{self.id.decode()}"

    @property
    def died_at(self) -> int:
        """UTC ns, by Redis' clock."""
        return int(self.id.split(b"-")[0]) * 1_000_000


def letters(link: Link, names: set[str] | None = None) -> list[Letter]:
    """All dead letters, or those of these names, of each shard the oldest first. Raises TransportError."""
    found = []
    for shard in range(link.settings.shards):
        start = "-"
        while page := _page(link, shard, start):
            found += [_letter(shard, *pair) for pair in page]
            start = f"({page[-1][0].decode()}"
    return [letter for letter in found if names is None or letter.name in names]


def retry(link: Link, letter: Letter) -> bool:
    """Puts it back before the stage that gave it up; False if it is gone. Raises TransportError."""
    dead = key(link.settings.prefix, letter.shard, "dead")
    entries: Any = link.once(lambda redis: redis.xrange(dead, letter.id, letter.id))
    if not entries:
        return False
    content = entries[0][1]
    if not content.get(b"entry") or letter.stage not in READS:
        raise TransportError(
            f"the payload of the dead letter {letter.name} was not kept; it can only be dropped ({letter.reason})"
        )
    original = msgspec.msgpack.decode(content[b"entry"], type=dict[bytes, bytes])
    target = next(key(link.settings.prefix, letter.shard, READS[stage]) for stage in READS if stage == letter.stage)
    original[AGAIN] = b"1"
    parts: list[Any] = [part for pair in original.items() for part in pair]
    return bool(link.once(lambda redis: redis.eval(scripts.RETRY, 2, target, dead, letter.id, *parts)))


def drop(link: Link, letter: Letter) -> bool:
    """Forgets it; False if it is gone already. Raises TransportError."""
    dead = key(link.settings.prefix, letter.shard, "dead")
    return bool(link.once(lambda redis: redis.xdel(dead, letter.id)))


def drop_payloads(link: Link, camera_id: str, since: int, until: int | None) -> int:
    """Drops those that may hold a picture that the camera took in [since, until], UTC ns; up to now if that is None.

    Also those of which camera and time cannot be read. Raises TransportError.
    """

    def may_hold(letter: Letter) -> bool:
        at = letter.captured_at
        in_time = at is None or (since <= at and (until is None or at <= until))
        return letter.size > 0 and letter.camera in {camera_id, ""} and in_time

    return sum(drop(link, letter) for letter in letters(link) if may_hold(letter))


def _page(link: Link, shard: int, start: str) -> list[tuple[bytes, dict[bytes, bytes]]]:
    dead = key(link.settings.prefix, shard, "dead")
    page: Any = link.once(lambda redis: redis.xrange(dead, start, "+", count=PAGE))
    return list(page)


def _letter(shard: int, id_: bytes, content: dict[bytes, bytes]) -> Letter:
    def text(name: bytes) -> str:
        return content.get(name, b"").decode(errors="replace")

    return Letter(
        shard=shard, id=id_, stage=text(b"stage"), reason=text(b"reason"), camera=text(b"camera"), run=text(b"run"),
        seq=text(b"seq"), captured_at=int(at) if (at := text(b"at")).isdecimal() else None,
        size=len(content.get(b"entry", b"")),
    )  # fmt: skip
