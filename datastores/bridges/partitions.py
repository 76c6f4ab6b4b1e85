"""Hive partitions: columns whose values are folder names, such as `month=1/day=2`.

Values are the text of `formats.text_values`, percent-encoded, so that any value makes one folder
name. NULL is `__HIVE_DEFAULT_PARTITION__`, and the empty string is nothing after the `=`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.compute as pc

from datastores.errors import ConfigurationError, DataError, SchemaMismatchError
from datastores.formats import text_values

NULL_NAME = "__HIVE_DEFAULT_PARTITION__"
# The longest file name of the usual filesystems, and below Azure's limit for a path segment.
MAX_NAME_BYTES = 255

_WHOLE_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,17}")

Keys = tuple[tuple[str, str | None], ...]
"""A file's partition columns and their texts, outermost first; None is NULL."""


def is_key(segment: str) -> bool:
    """Return whether a folder's name says a partition."""
    return segment.find("=") > 0


def parse_keys(inner: str) -> Keys:
    """Return the partition values that a file's path, relative to its table, says."""
    keys: list[tuple[str, str | None]] = []
    for segment in inner.split("/")[:-1]:
        if is_key(segment):
            name, _, value = segment.partition("=")
            keys.append((unquote(name), None if value == NULL_NAME else unquote(value)))
    return tuple(keys)


def folder_of(keys: Keys) -> str:
    """Return the folder, relative to its table, that holds the rows of these values.

    Raises:
        DataError: A value is too long for a folder's name; the message names column and value.
    """
    segments = []
    for name, value in keys:
        text = NULL_NAME if value is None else quote(value, safe=" ")
        if value == NULL_NAME:
            text = text.replace("_", "%5F", 1)  # the word itself is not NULL
        segment = f"{quote(name, safe=' ')}={text}"
        if len(segment) > MAX_NAME_BYTES:
            raise DataError(
                f"column {name!r}: {text_values.shown(value)} is too long for a folder's name",
                advice=f"Partition by values of less than {MAX_NAME_BYTES} bytes",
            )
        segments.append(segment)
    return "/".join(segments)


def infer_field(name: str, values: Iterable[str | None]) -> pa.Field:
    """Return the column of a folder that another tool wrote: int64 if all are, else string."""
    whole = all(value is None or _WHOLE_NUMBER.fullmatch(value) for value in values)
    return pa.field(name, pa.int64() if whole else pa.string())


def value_array(field: pa.Field, value: str | None) -> pa.Array:
    """Return one partition value as an array of one, of the column's type.

    Raises:
        DataError: The folder's name does not say a value of that type.
    """
    try:
        return text_values.from_text(pa.array([value], pa.string()), field.type, field.name)
    except text_values.CONVERSION_ERRORS as error:
        raise DataError(
            f"partition column {field.name!r}: the folder's {text_values.shown(value)} "
            f"is not of type {field.type}"
        ) from error


def check_partition_by(schema: pa.Schema, partition_by: Sequence[str]) -> None:
    """Raise unless the columns can be folders, and a column is left for the files."""
    for name in partition_by:
        if name not in schema.names:
            raise SchemaMismatchError(
                f"no column {name!r} to partition by", advice=f"There are {', '.join(schema.names)}"
            )
        type_ = schema.field(name).type
        if pa.types.is_nested(type_):
            raise SchemaMismatchError(f"column {name!r}: {type_} cannot be a folder's name")
        text_values.to_text(pa.nulls(0, type_), name)
    if len(set(partition_by)) < len(partition_by):
        raise ConfigurationError("partition_by names a column twice")
    if len(partition_by) >= len(schema):
        raise ConfigurationError(
            "partition_by names every column", advice="Leave a column for the files"
        )


def divide(
    batch: pa.RecordBatch, partition_by: Sequence[str]
) -> Iterator[tuple[Keys, pa.RecordBatch]]:
    """Yield the rows of each partition, in their order, without the partition columns."""
    rest = batch.select([name for name in batch.schema.names if name not in partition_by])
    if not partition_by:
        yield (), rest
        return
    texts = [text_values.to_text(batch.column(name), name) for name in partition_by]
    group = pa.array([0] * batch.num_rows, pa.int64())
    for text in texts:
        codes = text.dictionary_encode(null_encoding="encode").indices.cast(pa.int64())
        # Numbered anew each time, so that many columns do not overflow.
        wide = pc.add(pc.multiply(group, batch.num_rows + 1), codes)
        group = wide.dictionary_encode().indices.cast(pa.int64())
    order = pc.sort_indices(group)
    start = 0
    for count in pc.run_end_encode(group.take(order)).run_ends.to_pylist():
        first = order[start].as_py()
        keys = tuple(
            (name, text[first].as_py()) for name, text in zip(partition_by, texts, strict=True)
        )
        # Taken, not sliced: a slice waiting to be written would keep the whole batch in memory.
        yield keys, rest.take(order.slice(start, count - start))
        start = count
