"""Values on their way into SQL and back: times, texts, and rows as columns."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import msgspec
from sqlalchemy import DateTime, Dialect, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

from contracts.emotions import EMOTIONS
from contracts.rows import Observation

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
TIMES: Final = frozenset({"captured_at", "window_start", "first_seen", "last_seen", "started_at", "ended_at"})
SEVENS: Final[Mapping[str, tuple[str, ...]]] = {
    field: tuple(f"{prefix}_{emotion}" for emotion in EMOTIONS)
    for field, prefix in {"probabilities": "p", "smoothed": "s", "mean": "mean"}.items()
}


def to_datetime(ns: int) -> datetime:
    """UTC nanoseconds as a datetime; what is finer than a microsecond is cut off, so that order is kept."""
    return EPOCH + timedelta(microseconds=ns // 1000)


def to_ns(moment: datetime) -> int:
    """An aware datetime as UTC nanoseconds, exactly."""
    return (moment - EPOCH) // timedelta(microseconds=1) * 1000


def to_text(moment: datetime) -> str:
    """`2026-03-01 12:00:00.000000Z`: sorts as time does, and against SQLite's own `datetime('now', '-1 hour')`."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds") + "Z"


class UtcTime(TypeDecorator[datetime]):
    """A moment: `timestamptz` in Postgres, text of fixed width in SQLite; aware and in UTC in Python."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        return value if value is None or dialect.name != "sqlite" else to_text(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        assert isinstance(moment, datetime)  # noqa: S101
        return moment.astimezone(UTC)


@lru_cache(maxsize=4096)
def storable(text: str) -> str:
    """The text, with what SQL cannot hold replaced: file names and error messages may have any bytes in them."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def as_columns(row: msgspec.Struct) -> dict[str, Any]:
    """A row of contracts.rows as column -> value."""
    columns: dict[str, Any] = {}
    for name in row.__struct_fields__:
        value = getattr(row, name)
        if name in SEVENS:
            columns |= zip(SEVENS[name], value or (None,) * len(EMOTIONS), strict=True)
        elif name in TIMES:
            columns[name] = None if value is None else to_datetime(value)
        else:
            columns[name] = storable(value) if isinstance(value, str) else value
    return columns


OBSERVATION_COLUMNS: Final = (
    *("camera_id", "run_id", "seq", "face", "captured_at", "person_id", "x", "y", "width", "height", "score"),
    *SEVENS["probabilities"],
    *SEVENS["smoothed"],
    *("dominant", "stress", "stressed"),
)


def observation_values(row: Observation) -> tuple[Any, ...]:
    """An observation in the order of OBSERVATION_COLUMNS, its time as text that both databases read.

    There is one per face and frame: this is `as_columns`, several times faster.
    """
    return (
        *(storable(row.camera_id), storable(row.run_id), row.seq, row.face, to_text(to_datetime(row.captured_at))),
        *(storable(row.person_id), row.x, row.y, row.width, row.height, row.score),
        *row.probabilities,
        *row.smoothed,
        *(row.dominant, row.stress, row.stressed),
    )
