"""Parquet files written: whole row groups, and for each column the encoding that pays."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from typing_extensions import override

from datastores.errors import DataError
from datastores.formats.base import FormatWriter
from datastores.formats.text_values import CONVERSION_ERRORS, first_failure, is_text, shown

# A row group ends at this much Arrow data, however few rows that is.
_ROW_GROUP_BYTES = 64 << 20
# Of the first row group; enough to tell a column of few values from one of many.
_SAMPLE_ROWS = 65_536
# Beyond this share of distinct values, plain ones compress better than a dictionary of them.
_MOST_DISTINCT = 0.2
# Of zstd. Numbers and moments of eight bytes mostly go up by regular steps, which the first level that
# looks for eight equal bytes finds: half the size, for twice the time of the first. Others gain nothing.
_ZSTD_LEVEL, _ZSTD_LEVEL_OF_STEPS = 1, 3
_OF_STEPS = (
    pa.types.is_int64,
    pa.types.is_uint64,
    pa.types.is_timestamp,
    pa.types.is_duration,
    pa.types.is_time64,
)


class ParquetFileWriter(FormatWriter):
    """Gathers batches to whole row groups, since readers are fast only on large ones.

    The first row group decides which columns get a dictionary: to try one on a column of many
    values costs as much as all the rest, and the file is larger for it. Decimals of up to 18 digits
    are written as integers, which are smaller and faster than bytes.
    Source: https://parquet.apache.org/docs/file-format/data-pages/encodings/

    Args:
        file: Written from its beginning.
        schema: Of all batches.
        compression: As Parquet names it.
        row_group_rows: Upper bound of rows in a row group.
    """

    def __init__(
        self, file: IO[bytes], schema: pa.Schema, *, compression: str, row_group_rows: int
    ) -> None:
        self._file = file
        self._schema = schema
        self._compression = compression
        self._group_rows = row_group_rows
        self._batches: list[pa.RecordBatch] = []
        self._rows = 0
        self._bytes = 0
        self._writer: pq.ParquetWriter | None = None

    @property
    @override
    def buffered_bytes(self) -> int:
        return self._bytes

    @override
    def write(self, batch: pa.RecordBatch) -> None:
        start = 0
        while start < batch.num_rows:
            piece = batch.slice(start, self._group_rows - self._rows)
            start += piece.num_rows
            self._batches.append(piece)
            self._rows += piece.num_rows
            self._bytes += piece.nbytes
            if self._rows >= self._group_rows or self._bytes >= _ROW_GROUP_BYTES:
                self.flush()

    @override
    def flush(self) -> None:
        if self._batches:
            self._write(pa.Table.from_batches(self._batches, self._schema))

    @override
    def close(self) -> None:
        if self._batches or self._writer is None:
            # A file without rows has no row group either, and still its columns.
            self._write(pa.Table.from_batches(self._batches, self._schema))
        assert self._writer is not None  # noqa: S101  # written to just now, or before
        self._writer.close()

    @override
    def abandon(self) -> None:
        if self._writer is not None:
            # Otherwise its finaliser writes a footer, into a file that is closed by then.
            self._writer.is_open = False
        self._batches = []

    def _write(self, table: pa.Table) -> None:
        self._batches, self._rows, self._bytes = [], 0, 0
        if self._writer is None:
            self._writer = self._opened(table)
        if not table.num_rows:
            return
        try:
            self._writer.write_table(table, row_group_size=self._group_rows)
        except pa.ArrowInvalid as error:
            raise _unfit(table, error) from error

    def _opened(self, first: pa.Table) -> pq.ParquetWriter:
        leaves: dict[str, list[pa.Array]] = {}
        for batch in first.slice(0, _SAMPLE_ROWS).to_batches():
            for name, array in zip(batch.schema.names, batch.columns, strict=True):
                for path, values in _leaves(name, array):
                    leaves.setdefault(path, []).append(values)
        levels = {path: _zstd_level(values[0].type) for path, values in leaves.items()}
        return pq.ParquetWriter(
            self._file,
            self._schema,
            compression=self._compression,
            compression_level=levels if self._compression == "zstd" else None,
            use_dictionary=[path for path, values in leaves.items() if _has_few_values(values)],
            # Bytes alone bound a page. In one of the usual 20,000 rows what repeats only after more
            # than that is not found, and dictionaries take longer to read.
            max_rows_per_page=self._group_rows,
            store_decimal_as_integer=True,
            write_page_checksum=True,
        )


def _leaves(path: str, array: pa.Array) -> Iterator[tuple[str, pa.Array]]:
    """Yield what Parquet writes as columns, each with its path in the file's schema."""
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    type_ = array.type
    if pa.types.is_struct(type_):
        for field, child in zip(type_, array.flatten(), strict=True):
            yield from _leaves(f"{path}.{field.name}", child)
    elif pa.types.is_map(type_):
        yield from _leaves(f"{path}.key_value.key", array.keys)
        yield from _leaves(f"{path}.key_value.value", array.items)
    elif type_.num_fields == 1:  # a list of any kind
        # Also what lies under a NULL or outside a slice: flatten() knows no extension types.
        yield from _leaves(f"{path}.list.element", array.values)
    else:
        yield path, array


def _zstd_level(type_: pa.DataType) -> int:
    return _ZSTD_LEVEL_OF_STEPS if any(one(type_) for one in _OF_STEPS) else _ZSTD_LEVEL


def _has_few_values(arrays: list[pa.Array]) -> bool:
    """Return whether a dictionary of the values is likely to be smaller than they are."""
    values = pa.chunked_array(arrays)
    if pa.types.is_dictionary(values.type):
        return True
    if pa.types.is_boolean(values.type) or pa.types.is_null(values.type):
        return False
    try:
        return bool(len(values.unique()) <= _MOST_DISTINCT * len(values))
    except pa.ArrowNotImplementedError:
        return True


def stored_type(type_: pa.DataType) -> pa.DataType:
    """Return the type in which Parquet gives back one that it has no room for."""
    if pa.types.is_timestamp(type_) and type_.unit == "s":
        return pa.timestamp("ms", type_.tz)
    if pa.types.is_time32(type_):
        return pa.time32("ms")
    if pa.types.is_date64(type_):
        return pa.date32()
    if pa.types.is_dictionary(type_) and not is_text(type_.value_type):
        return stored_type(type_.value_type)
    if pa.types.is_struct(type_):
        return pa.struct([field.with_type(stored_type(field.type)) for field in type_])
    if pa.types.is_map(type_):
        item = type_.item_field.with_type(stored_type(type_.item_type))
        return pa.map_(type_.key_field.with_type(stored_type(type_.key_type)), item)
    if pa.types.is_fixed_size_list(type_):
        return pa.list_(type_.value_field.with_type(stored_type(type_.value_type)), type_.list_size)
    if pa.types.is_list(type_):
        return pa.list_(type_.value_field.with_type(stored_type(type_.value_type)))
    if pa.types.is_large_list(type_):
        return pa.large_list(type_.value_field.with_type(stored_type(type_.value_type)))
    return type_


def _unfit(table: pa.Table, error: Exception) -> DataError:
    """Return the error that names the column, and the value, which Parquet could not take."""
    for field in table.schema:
        column = table[field.name].combine_chunks()
        convert = partial(pc.cast, target_type=stored_type(field.type))
        try:
            convert(column)
        except CONVERSION_ERRORS:
            at = first_failure(column, convert)
            value: Any = column[at].cast(pa.int64()) if not field.type.num_fields else column[at]
            return DataError(
                f"column {field.name!r}: the {field.type} value {shown(value.as_py())} "
                "has no form in Parquet",
                advice="Write Arrow files, which hold it",
            )
    return DataError(f"a value has no form in Parquet: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
