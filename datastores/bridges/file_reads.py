"""Reading files as a table: pruned by folder names and statistics, in splits of about equal size."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa

from datastores.bridges import partitions
from datastores.bridges.discovery import (
    DataFile,
    Dataset,
    DatasetSchema,
    check_file,
    find_dataset,
    inner_path,
    is_emptied,
    opened,
    read_schema,
)
from datastores.bridges.file_cursor import find_range
from datastores.drivers.increments import CursorRange
from datastores.drivers.new_files import FileRange
from datastores.drivers.reading import MAX_SPLIT_BYTES, ReadPlan, ScanRequest, Split
from datastores.errors import (
    ConfigurationError,
    DataError,
    NotFoundError,
    SchemaMismatchError,
    did_you_mean,
)
from datastores.filters import Condition, Filters, both, columns_of, to_expression
from datastores.formats.base import FilePart, slices
from datastores.types.widening import fitted

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_BIND_ERRORS = (pa.ArrowException, TypeError, ValueError, OverflowError)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSplit(Split):
    """Pieces of files, and all that reading them takes but the store."""

    dataset: Dataset
    """Its files are those of the pieces."""
    schema: DatasetSchema
    pieces: tuple[tuple[DataFile, FilePart], ...]
    columns: tuple[str, ...]
    filters: Filters
    limit: int | None
    batch_rows: int
    concurrent: bool
    """As the request has it."""


def plan_files(
    filesystem: AbstractFileSystem, path: str, request: ScanRequest, splits: int
) -> ReadPlan:
    """Divide a table of files; every file that the filters leave is opened for its layout."""
    dataset, files, range_ = _files(filesystem, path, request)
    if not files:
        return ReadPlan(schema=pa.schema([]), splits=(), split_by="files", rows=0, files=range_)
    schema = _with_path(read_schema(filesystem, dataset, files[0]), request.path_column)
    cursor, request = _new_rows(filesystem, path, request, schema.table)
    if request.limit is not None and request.limit < 0:
        raise ConfigurationError("limit is at least 0")
    columns = chosen_columns(schema.table, request.columns)
    if request.path_column is not None and request.path_column not in columns:
        columns += (request.path_column,)
    filters = bound_filters(schema.table, request.filters)
    files = [one for one in files if _folder_passes(one, schema, filters)]
    pieces: list[tuple[DataFile, FilePart]] = []
    target = max(1, min(MAX_SPLIT_BYTES, sum(one.size for one in files) // max(splits, 1)))
    for file in files:
        pieces += [
            (file, part) for part in _parts(filesystem, dataset, schema, file, filters, target)
        ]
    if request.limit is not None:
        splits = 1
    groups = _groups(pieces, max(splits, 1), whole=request.limit is not None)
    rows = _total(part.rows for _, part in pieces) if not filters else None
    if rows is not None and request.limit is not None:
        rows = min(rows, request.limit)
    empty = FileSplit(
        label="",
        dataset=replace(dataset, files=()),
        schema=schema,
        pieces=(),
        columns=columns,
        filters=filters,
        limit=request.limit,
        batch_rows=request.batch_rows,
        concurrent=request.concurrent,
    )
    return ReadPlan(
        schema=pa.schema([schema.table.field(name) for name in columns], schema.table.metadata),
        splits=tuple(_split(empty, group) for group in groups),
        split_by="one reader, for the limit" if request.limit is not None else "files",
        rows=rows,
        bytes=_total(part.bytes for _, part in pieces),
        cursor=cursor,
        files=range_,
    )


def _split(empty: FileSplit, group: Sequence[tuple[DataFile, FilePart]]) -> FileSplit:
    return replace(
        empty,
        label=_label(group),
        mark=_mark(group),
        rows=None if empty.filters else _total(part.rows for _, part in group),
        pieces=tuple(group),
    )


def _files(
    filesystem: AbstractFileSystem, path: str, request: ScanRequest
) -> tuple[Dataset, Sequence[DataFile], FileRange | None]:
    """Return the whole table, those of its files that are to be read, and the range of these."""
    range_ = request.files
    try:
        dataset = find_dataset(filesystem, path, request.format, request.format_options)
    except NotFoundError as error:
        if range_ is None or not is_emptied(range_, error):
            raise
        dataset = Dataset(root=path, files=(), format_name="")
    if range_ is None:
        return dataset, dataset.files, None
    return dataset, *range_.chosen(dataset.files)


def _with_path(schema: DatasetSchema, name: str | None) -> DatasetSchema:
    """Return a schema with a column for each row's file, if one is asked for."""
    if name is None:
        return schema
    if name in schema.table.names:
        raise SchemaMismatchError(
            f"the files have a column {name!r}", advice="Give path_column another name"
        )
    field = pa.field(name, pa.string(), nullable=False)
    return replace(schema, table=schema.table.append(field), path_column=name)


def _new_rows(
    filesystem: AbstractFileSystem, path: str, request: ScanRequest, schema: pa.Schema
) -> tuple[CursorRange | None, ScanRequest]:
    """Return the request's range with its end, and the request for its rows by filters alone."""
    cursor = request.cursor
    if cursor is None:
        return None, request
    name = cursor.column
    _refuse_unknown(schema, (name,))

    def column(newer: Filters) -> Iterator[pa.RecordBatch]:
        filters = both(request.filters, newer)
        alone = replace(request, columns=(name,), filters=filters, cursor=None)
        with plan_files(filesystem, path, alone, 1) as plan:
            for split in plan.splits:
                assert isinstance(split, FileSplit)  # noqa: S101  # it is our plan
                yield from read_split(filesystem, split)

    cursor, new = find_range(cursor, schema.field(name), column)
    return cursor, replace(request, filters=both(request.filters, new), cursor=None)


def _mark(group: Sequence[tuple[DataFile, FilePart]]) -> str:
    listed = [(one.path, one.size, one.version, part.first, part.count) for one, part in group]
    return hashlib.blake2b(repr(listed).encode(), digest_size=16).hexdigest()


def read_split(filesystem: AbstractFileSystem, split: FileSplit) -> pa.RecordBatchReader:
    """Stream the rows of a split's pieces that pass its filters, up to its limit."""
    schema = pa.schema(
        [split.schema.table.field(name) for name in split.columns], split.schema.table.metadata
    )
    batches = shaped(
        _piece_batches(filesystem, split),
        schema,
        filters=split.filters,
        limit=split.limit,
        batch_rows=split.batch_rows,
    )
    return pa.RecordBatchReader.from_batches(schema, batches)


def shaped(
    batches: Iterator[pa.RecordBatch],
    schema: pa.Schema,
    *,
    filters: Filters,
    limit: int | None,
    batch_rows: int,
) -> Iterator[pa.RecordBatch]:
    """Yield the rows that pass, with the schema's columns, in batches that are not empty."""
    expression = to_expression(filters)
    left = limit
    for batch in batches:
        passing = batch.filter(expression) if expression is not None else batch
        if left is not None:
            passing = passing.slice(0, left)
            left -= passing.num_rows
        arrays = [passing.column(name) for name in schema.names]
        yield from slices(pa.RecordBatch.from_arrays(arrays, schema=schema), batch_rows)
        if left == 0:
            return


def chosen_columns(schema: pa.Schema, columns: Sequence[str] | None) -> tuple[str, ...]:
    """Return the columns to read, in the order asked.

    Raises:
        SchemaMismatchError: One is not there; the message lists those that are.
    """
    if columns is None:
        return tuple(schema.names)
    if not columns:
        raise ConfigurationError("columns is empty", advice="Name at least one, or leave it out")
    if len(set(columns)) < len(columns):
        raise ConfigurationError("columns names a column twice")
    _refuse_unknown(schema, columns)
    return tuple(columns)


def bound_filters(schema: pa.Schema, filters: Filters) -> Filters:
    """Return the filters with their values as the columns' types, tried on no rows.

    Raises:
        SchemaMismatchError: No such column.
        ConfigurationError: A column cannot be compared with its value.
    """
    _refuse_unknown(schema, columns_of(filters))
    bound = tuple(tuple(_bound(schema, one) for one in group) for group in filters)
    for one in (one for group in bound for one in group):
        alone = pa.schema([schema.field(one.column)])
        try:
            alone.empty_table().filter(to_expression(((one,),)))
        except _BIND_ERRORS as error:
            raise ConfigurationError(
                f"filter on {one.column!r}: {alone.field(0).type} does not compare with {one.value!r}",
                advice="Give a value of the column's type",
            ) from error
    return bound


def _bound(schema: pa.Schema, one: Condition) -> Condition:
    """Return a condition whose numbers have the column's type, so that none is rounded."""
    type_ = schema.field(one.column).type
    if not (pa.types.is_integer(type_) or pa.types.is_decimal(type_)) or one.value is None:
        return one
    values = one.value if isinstance(one.value, tuple) else (one.value,)
    try:
        # Arrow makes 1 of 1.5. No value of the type is equal to what it cannot hold.
        typed = [found for value in values if (found := pa.scalar(value, type_)).as_py() == value]
    except _BIND_ERRORS:
        return one
    if isinstance(one.value, tuple):
        return replace(one, value=tuple(typed))
    return replace(one, value=typed[0]) if typed else one


def _refuse_unknown(schema: pa.Schema, columns: Sequence[str]) -> None:
    for name in columns:
        if name not in schema.names:
            raise SchemaMismatchError(
                f"no column {name!r}", advice=did_you_mean(name, schema.names, "The columns are")
            )


def _folder_passes(file: DataFile, schema: DatasetSchema, filters: Filters) -> bool:
    """Return whether the folder's name lets any row of the file pass."""
    if not filters or not file.keys:
        return True
    fields = [schema.table.field(name) for name in schema.partition_by]
    keys = dict(file.keys)
    row = pa.RecordBatch.from_arrays(
        [partitions.value_array(one, keys[one.name]) for one in fields], schema=pa.schema(fields)
    )
    for group in filters:
        known = tuple(one for one in group if one.column in keys)
        if not known or row.filter(to_expression((known,))).num_rows:
            return True
    return False


def _parts(
    filesystem: AbstractFileSystem,
    dataset: Dataset,
    schema: DatasetSchema,
    file: DataFile,
    filters: Filters,
    target: int,
) -> list[FilePart]:
    format_ = dataset.format_of(file)
    with opened(filesystem, file) as handle:
        if not format_.needs_sidecar:
            check_file(schema, format_.schema(handle, None))
        parts = format_.parts(handle, filters, target)
        if format_.needs_sidecar:
            # Of text nothing is known but its length.
            parts = [replace(one, bytes=file.size) for one in parts]
        return parts


def _groups(
    pieces: list[tuple[DataFile, FilePart]], splits: int, *, whole: bool
) -> list[list[tuple[DataFile, FilePart]]]:
    """Put pieces that follow one another together, in groups of about one size; one group at least."""
    sizes = [part.bytes or 0 for _, part in pieces]
    total = sum(sizes)
    if whole or not total:
        return [pieces]
    # A group reaches over its share by two halves of a piece at most.
    largest = max(sizes)
    room = splits * max(largest, MAX_SPLIT_BYTES - largest)
    share = total / (splits * -(-total // room))
    groups: dict[int, list[tuple[DataFile, FilePart]]] = {}
    before = 0
    for piece, size in zip(pieces, sizes, strict=True):
        # Where its middle lies: cut at the first that is too much, two workers would get three groups.
        groups.setdefault(int((before + size / 2) / share), []).append(piece)
        before += size
    return list(groups.values())


def _piece_batches(filesystem: AbstractFileSystem, split: FileSplit) -> Iterator[pa.RecordBatch]:
    schema = split.schema
    needed = {*split.columns, *columns_of(split.filters)}
    # A file column is read even if only folder names are asked for: it says how many rows.
    from_file = [one for one in schema.file.names if one in needed] or schema.file.names[:1]
    of_path = (schema.path_column,) if schema.path_column else ()
    constant = [
        schema.table.field(one) for one in (*schema.partition_by, *of_path) if one in needed
    ]
    wanted = pa.schema([schema.file.field(name) for name in from_file])
    fields = pa.schema([*wanted, *constant])
    for file, part in split.pieces:
        format_ = split.dataset.format_of(file)
        with opened(filesystem, file) as handle:
            own = format_.schema(handle, None) if schema.evolved else schema.file
            # A column of the file's is read even if it has none that is asked for.
            names = set(own.names)
            columns = [name for name in from_file if name in names] or own.names[:1]
            batches = format_.read(
                *(handle, own, part),
                columns=tuple(columns),
                batch_rows=split.batch_rows,
                threads=not split.concurrent,
            )
            for read in batches:
                batch = fitted(read, wanted, first_row=1) if schema.evolved else read
                zeros = pa.array([0] * batch.num_rows, pa.int64()) if constant else None
                values = [_constant(split, file, one).take(zeros) for one in constant]
                yield pa.RecordBatch.from_arrays([*batch.columns, *values], schema=fields)


def _constant(split: FileSplit, file: DataFile, field: pa.Field) -> pa.Array:
    """Return the value, as an array of one, that a column has in all rows of a file."""
    if field.name == split.schema.path_column:
        return pa.array([inner_path(file.path, split.dataset.root)], field.type)
    if not file.keys:
        raise DataError(
            "the file has rows and lies outside the table's partition folders",
            advice="Move it into one",
        )
    return partitions.value_array(field, dict(file.keys)[field.name])


def _total(numbers: Iterator[int | None]) -> int | None:
    known = list(numbers)
    return None if None in known else sum(one or 0 for one in known)


def _label(group: Sequence[tuple[DataFile, FilePart]]) -> str:
    if not group:
        return "no rows"
    names: Mapping[str, None] = dict.fromkeys(file.path for file, _ in group)
    first = next(iter(names))
    if len(names) > 1:
        return f"{len(names)} files from {first}"
    return f"{first} {group[0][1].label}" if len(group) == 1 else first
