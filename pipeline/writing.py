"""Rows into files: CSV, JSON and Parquet, any number of them in constant memory, and never half a file."""

import csv
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from shlex import quote
from typing import IO, Any, Final

import msgspec

from contracts.errors import AffectstreamError, InputError
from storage.records import columns_of, flat

STDOUT: Final = "-"


class Format(StrEnum):
    """What a file is written as."""

    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


Batches = Iterable[Sequence[msgspec.Struct]]
SUFFIXES: Final = {".csv": Format.CSV, ".json": Format.JSON, ".jsonl": Format.JSON, ".parquet": Format.PARQUET}


def write(
    batches: Batches, row: type[msgspec.Struct], form: Format, output: str | None, *, lines: bool = False
) -> None:
    """Writes rows into a file, or to standard output (None or -), with a column for each of their view's columns.

    JSON is one array, or with `lines` an object per line. Times are ISO 8601 in UTC. Raises InputError for an output
    that cannot be meant, AffectstreamError where it cannot be written.
    """
    if form is Format.PARQUET and output in {None, STDOUT} and sys.stdout.isatty():
        raise InputError("parquet is binary and not for a terminal; give --output FILE, or redirect it")
    with opened(output) as file:
        match form:
            case Format.CSV:
                _csv(batches, row, file)
            case Format.JSON:
                _json(batches, row, file, lines)
            case Format.PARQUET:
                _parquet(batches, row, file)


@contextmanager
def opened(output: str | None) -> Iterator[IO[bytes]]:
    """A file to write into. It is there with all that was written when the block ends, and not at all if it fails."""
    try:
        if output in {None, STDOUT}:
            sys.stdout.flush()
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
            return
        path = Path(str(output)).expanduser().resolve()
        if path.is_dir():
            raise InputError(f"{output} is a folder; give the name of a file in it")
        if not path.parent.is_dir():
            raise InputError(f"the folder of {output} does not exist; create it: mkdir -p {quote(str(path.parent))}")
        if path.exists() and not path.is_file():  # a device or a pipe takes it as it comes
            with path.open("wb") as file:
                yield file
            return
        with _replaced(path) as file:
            yield file
    except BrokenPipeError:  # the reader has gone
        raise
    except OSError as error:
        raise AffectstreamError(f"{output or 'the output'} cannot be written: {error.strerror or error}") from error


@contextmanager
def _replaced(path: Path) -> Iterator[IO[bytes]]:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _plain(value: Any) -> Any:
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value


def _cell(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else _plain(value)


def _csv(batches: Batches, row: type[msgspec.Struct], file: IO[bytes]) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    try:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns_of(row))
        for batch in batches:
            writer.writerows([_cell(value) for value in flat(one)] for one in batch)
    finally:
        text.detach()  # what it wraps is not ours to close


def _json(batches: Batches, row: type[msgspec.Struct], file: IO[bytes], lines: bool) -> None:
    names = tuple(columns_of(row))
    before, between, after = (b"", b"\n", b"\n") if lines else (b"[\n", b",\n", b"\n]\n")
    encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode
    file.write(before)
    first = True
    for batch in batches:
        objects = [encode(dict(zip(names, map(_plain, flat(one)), strict=True))) for one in batch]
        file.write((b"" if first else between) + between.join(objects))
        first = False
    file.write(b"" if first and lines else after)


def _parquet(batches: Batches, row: type[msgspec.Struct], file: IO[bytes]) -> None:
    import pyarrow as pa  # type: ignore[import-untyped]
    from pyarrow import parquet

    kinds = {
        str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_(),
        datetime: pa.timestamp("us", tz="UTC"),
    }  # fmt: skip
    schema = pa.schema([(name, kinds[kind]) for name, kind in columns_of(row).items()])
    # A pipe cannot tell where it is, so it gets the whole when that is there.
    with nullcontext(file) if file.seekable() else tempfile.TemporaryFile() as whole:
        with parquet.ParquetWriter(whole, schema, compression="zstd") as writer:
            for batch in batches:
                columns = zip(*map(flat, batch), strict=True)
                arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
                writer.write_batch(pa.record_batch(arrays, schema=schema))
        if whole is not file:
            whole.seek(0)
            shutil.copyfileobj(whole, file)
