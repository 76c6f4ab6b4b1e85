"""Parquet: typed, compressed, divided by row groups."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
from typing_extensions import override

from datastores.errors import ConfigurationError, DataError, SchemaMismatchError
from datastores.filters import Filters
from datastores.formats.base import FilePart, Format, FormatWriter, check_same, choose, slices
from datastores.formats.parquet_pruning import passing_row_groups
from datastores.formats.parquet_write import ParquetFileWriter, stored_type
from datastores.formats.text_values import encode_dictionary

_COMPRESSIONS = ("zstd", "snappy", "gzip", "brotli", "lz4", "none")
_ARROW_SCHEMA = b"ARROW:schema"
# Bounds on what a hostile footer can make the parser allocate.
_MAX_FOOTER_TEXT_BYTES = 64 << 20
_MAX_FOOTER_LIST_LENGTH = 1_000_000
# Column chunks are read through a buffer of this size, instead of whole.
_READ_BUFFER_BYTES = 1 << 20
_READ_ERRORS = (pa.ArrowException, OSError, ValueError, OverflowError)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParquetFormat(Format):
    """Parquet files. Intervals, decimals of negative scale and empty structs have no form in it."""

    name: ClassVar[str] = "parquet"
    suffixes: ClassVar[tuple[str, ...]] = (".parquet", ".parq", ".pq")

    compression: str = "zstd"
    row_group_rows: int = 131_072
    """Upper bound of rows in a row group; one ends at 64 MiB of Arrow data too."""

    def __post_init__(self) -> None:
        choose(self.name, "compression", self.compression, _COMPRESSIONS)
        if type(self.row_group_rows) is not int or self.row_group_rows < 1:
            raise ConfigurationError("parquet option 'row_group_rows' is a number of rows from 1")

    @property
    @override
    def description(self) -> str:
        return f"Parquet ({self.compression})"

    @override
    def schema(self, file: IO[bytes], sidecar: pa.Schema | None) -> pa.Schema:
        return _exact_schema(_opened(file))

    @override
    def parts(self, file: IO[bytes], filters: Filters, target_bytes: int) -> list[FilePart]:
        opened = _opened(file)
        parts: list[FilePart] = []
        for index in passing_row_groups(opened, filters):
            group = opened.metadata.row_group(index)
            size, last = group.total_byte_size, parts[-1] if parts else None
            if (
                last is not None
                and last.first + (last.count or 0) == index
                and (last.bytes or 0) + size <= target_bytes
            ):
                parts[-1] = _part(last.first, index, (last.rows or 0) + group.num_rows, last, size)
            elif group.num_rows:
                parts.append(_part(index, index, group.num_rows, None, size))
        return parts

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
        check_same(_exact_schema(opened), schema)
        last = opened.num_row_groups if part.count is None else part.first + part.count
        wanted = pa.schema([schema.field(name) for name in columns])
        try:
            batches = opened.iter_batches(
                batch_size=batch_rows,
                row_groups=list(range(part.first, last)),
                columns=list(columns),
                use_threads=threads,
            )
            for batch in batches:
                arrays = [_restore(batch.column(one.name), one.type) for one in wanted]
                yield from slices(pa.RecordBatch.from_arrays(arrays, schema=wanted), batch_rows)
        except _READ_ERRORS as error:
            raise DataError(
                f"damaged Parquet data in {part.label}: {_first_line(error)}"
            ) from error

    @override
    def check(self, schema: pa.Schema) -> None:
        # Tried on an empty file, since the rules are Parquet's and the library's, not ours.
        for field in schema:
            alone = pa.schema([field])
            file = io.BytesIO()
            try:
                with self.writer(file, alone):
                    pass
                opened = _opened(file)
                physical = opened.schema_arrow.field(0).type
                exact = _exact_schema(opened).field(0).type == field.type
                _restore(pa.nulls(0, physical), field.type)
            except (pa.ArrowException, OSError) as error:
                raise _no_form(field) from error
            if not exact:
                raise _no_form(field)

    @override
    def writer(self, file: IO[bytes], schema: pa.Schema) -> FormatWriter:
        return ParquetFileWriter(
            file, schema, compression=self.compression, row_group_rows=self.row_group_rows
        )


def _opened(file: IO[bytes]) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(
            file,
            pre_buffer=False,
            buffer_size=_READ_BUFFER_BYTES,
            thrift_string_size_limit=_MAX_FOOTER_TEXT_BYTES,
            thrift_container_size_limit=_MAX_FOOTER_LIST_LENGTH,
            page_checksum_verification=True,
        )
    except _READ_ERRORS as error:
        raise DataError(
            f"not a whole Parquet file: {_first_line(error)}",
            advice="It may be damaged, cut short or of another format",
        ) from error


def _part(first: int, last: int, rows: int, before: FilePart | None, size: int) -> FilePart:
    words = f"row group {first}" if first == last else f"row groups {first} to {last}"
    total = size + ((before.bytes or 0) if before else 0)
    return FilePart(label=words, first=first, count=last - first + 1, rows=rows, bytes=total)


def _exact_schema(opened: pq.ParquetFile) -> pa.Schema:
    """Return the schema as it was written, where Parquet's own types are coarser."""
    found = opened.schema_arrow
    metadata = {k: v for k, v in (found.metadata or {}).items() if k != _ARROW_SCHEMA}
    written = _written_schema(opened)
    fields = []
    for position, field in enumerate(found):
        original = written.field(position) if written is not None else field
        restored = original.name == field.name and stored_type(original.type) == field.type
        kept = field.with_type(original.type) if restored else field
        notes = {
            k: v for k, v in (field.metadata or {}).items() if not k.startswith(b"PARQUET:")
        } or None
        fields.append(kept.with_metadata(notes))
    return pa.schema(fields, metadata or None)


def _written_schema(opened: pq.ParquetFile) -> pa.Schema | None:
    note = (opened.metadata.metadata or {}).get(_ARROW_SCHEMA)
    if note is None:
        return None
    try:
        schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(note)))
    except (pa.ArrowException, OSError, binascii.Error):
        return None  # another writer's note; Parquet's own types hold
    return schema if len(schema) == len(opened.schema_arrow) else None


def _restore(array: pa.Array, type_: pa.DataType) -> pa.Array:
    if array.type == type_:
        return array
    if pa.types.is_dictionary(type_) and not pa.types.is_dictionary(array.type):
        return encode_dictionary(_restore(array, type_.value_type), type_)
    return array.cast(type_)


def _no_form(field: pa.Field) -> SchemaMismatchError:
    return SchemaMismatchError(
        f"column {field.name!r}: Parquet holds no {field.type}",
        advice="Write Arrow files, or convert the column first",
    )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
