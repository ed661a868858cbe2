"""Values to bytes and back: MessagePack, with arrays kept as raw memory.

What travels between processes carries the version of its layout in its first byte, so that a worker of another release
refuses what it would misread.
"""

from typing import Any, TypeVar, get_origin

import msgspec
import numpy as np

from contracts.errors import StageError

T = TypeVar("T")

VERSION = 1
"""The layout of the messages."""


class _Array(msgspec.Struct, frozen=True, array_like=True):
    dtype: str
    shape: tuple[int, ...]
    data: bytes


def _to_plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return _Array(value.dtype.str, value.shape, np.ascontiguousarray(value).tobytes())
    raise NotImplementedError(f"no encoding for {type(value).__name__}")


def _from_plain(kind: Any, value: Any) -> Any:
    if kind is np.ndarray or get_origin(kind) is np.ndarray:
        array = msgspec.convert(value, _Array)
        return np.frombuffer(array.data, dtype=array.dtype).reshape(array.shape)
    raise NotImplementedError(f"no decoding for {kind}")


def encode(value: Any) -> bytes:
    """The bytes of a message or of a state."""
    return msgspec.msgpack.encode(value, enc_hook=_to_plain)


def decode(data: bytes, kind: type[T]) -> T:
    """The value again. Raises msgspec.DecodeError for bytes that are no such value."""
    return msgspec.msgpack.decode(data, type=kind, dec_hook=_from_plain)


def pack(message: Any) -> bytes:
    """A message for another process: the version, then the value."""
    return bytes([VERSION]) + encode(message)


def unpack(data: bytes, kind: Any) -> Any:
    """The message again, one of the types of the union `kind`. Raises StageError for bytes that are none."""
    if not data or data[0] != VERSION:
        raise StageError(f"message of version {data[0] if data else 'none'}, expected {VERSION}")
    try:
        return msgspec.msgpack.decode(memoryview(data)[1:], type=kind, dec_hook=_from_plain)
    except (msgspec.DecodeError, ValueError, TypeError) as error:
        raise StageError(f"damaged message: {error}") from None
