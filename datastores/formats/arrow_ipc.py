"""Arrow IPC files: every Arrow type as it is, divided by record batches."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, ClassVar

import pyarrow as pa
from typing_extensions import override

from datastores.errors import DataError
from datastores.filters import Filters
from datastores.formats.base import FilePart, Format, FormatWriter, check_same, choose, slices

_MAGIC = b"ARROW1"
_COMPRESSIONS = ("zstd", "lz4", "none")
_READ_ERRORS = (pa.ArrowException, OSError, ValueError, EOFError)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrowFormat(Format):
    """Arrow IPC files, also called Feather version 2; the stream format is read too."""

    name: ClassVar[str] = "arrow"
    suffixes: ClassVar[tuple[str, ...]] = (".arrow", ".feather", ".arrows", ".ipc")

    compression: str = "lz4"

    def __post_init__(self) -> None:
        choose(self.name, "compression", self.compression, _COMPRESSIONS)

    @property
    @override
    def description(self) -> str:
        return f"Arrow IPC ({self.compression})"

    @override
    def schema(self, file: IO[bytes], sidecar: pa.Schema | None) -> pa.Schema:
        found: pa.Schema = _opened(file).schema
        return found

    @override
    def parts(self, file: IO[bytes], filters: Filters, target_bytes: int) -> list[FilePart]:
        opened = _opened(file)
        if isinstance(opened, pa.RecordBatchStreamReader):
            return [FilePart(label="whole stream", bytes=_size(file))]
        total, count = _size(file), opened.num_record_batches
        if not count:
            return []
        # The footer says where batches are, not how large; they are written about equal.
        together = max(1, target_bytes * count // max(total, 1))
        return [
            FilePart(
                label=f"record batches {first} to {min(first + together, count) - 1}",
                first=first,
                count=min(together, count - first),
                bytes=total * min(together, count - first) // count,
            )
            for first in range(0, count, together)
        ]

    @override
    def read(
        self,
        file: IO[bytes],
        schema: pa.Schema,
        part: FilePart,
        *,
        columns: tuple[str, ...],
        batch_rows: int,
        threads: bool = True,
    ) -> Iterator[pa.RecordBatch]:
        opened = _opened(file)
        check_same(opened.schema, schema)
        wanted = pa.schema([schema.field(name) for name in columns])
        for batch in _batches(opened, part):
            arrays = [batch.column(name) for name in columns]
            yield from slices(pa.RecordBatch.from_arrays(arrays, schema=wanted), batch_rows)

    @override
    def check(self, schema: pa.Schema) -> None:
        pass  # the format is Arrow's own

    @override
    def writer(self, file: IO[bytes], schema: pa.Schema) -> FormatWriter:
        return _ArrowWriter(file, schema, self)


class _ArrowWriter(FormatWriter):
    def __init__(self, file: IO[bytes], schema: pa.Schema, options: ArrowFormat) -> None:
        codec = None if options.compression == "none" else options.compression
        self._schema = schema
        self._dictionaries: dict[int, pa.Array] = {}
        settings = pa.ipc.IpcWriteOptions(compression=codec, emit_dictionary_deltas=True)
        self._writer = pa.ipc.new_file(file, schema, options=settings)

    @override
    def write(self, batch: pa.RecordBatch) -> None:
        arrays = [self._with_grown_dictionary(at, one) for at, one in enumerate(batch.columns)]
        try:
            self._writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        except pa.ArrowInvalid as error:
            raise DataError(f"a batch does not fit an Arrow file: {error}") from error

    @override
    def close(self) -> None:
        self._writer.close()

    def _with_grown_dictionary(self, position: int, array: pa.Array) -> pa.Array:
        # A file may add to a column's dictionary, never replace it; batches from different
        # places bring dictionaries of their own.
        if not pa.types.is_dictionary(array.type):
            return array
        before = self._dictionaries.get(position, array.slice(0, 0))
        try:
            both = pa.chunked_array([before, array]).unify_dictionaries()
        except pa.ArrowInvalid as error:
            name = self._schema.field(position).name
            raise DataError(
                f"column {name!r}: more distinct values than {array.type.index_type} can number",
                advice="Write it with a wider index type, or as plain values",
            ) from error
        grown = both.chunk(both.num_chunks - 1)
        self._dictionaries[position] = grown.slice(0, 0)
        return grown


def _opened(file: IO[bytes]) -> Any:
    file.seek(0)
    magic = file.read(len(_MAGIC))
    file.seek(0)
    try:
        return pa.ipc.open_file(file) if magic == _MAGIC else pa.ipc.open_stream(file)
    except _READ_ERRORS as error:
        raise DataError(
            f"not a whole Arrow file: {error}",
            advice="It may be damaged, cut short or of another format",
        ) from error


def _batches(opened: Any, part: FilePart) -> Iterator[pa.RecordBatch]:
    streamed = isinstance(opened, pa.RecordBatchStreamReader)
    last = None if streamed else part.first + (part.count or opened.num_record_batches)
    index = part.first
    while last is None or index < last:
        try:
            batch = opened.read_next_batch() if streamed else opened.get_batch(index)
            # Offsets of a damaged file would be followed out of the buffer.
            batch.validate(full=True)
        except StopIteration:
            return
        except _READ_ERRORS as error:
            raise DataError(f"damaged Arrow data in record batch {index}: {error}") from error
        yield batch
        index += 1


def _size(file: IO[bytes]) -> int:
    return file.seek(0, os.SEEK_END)
