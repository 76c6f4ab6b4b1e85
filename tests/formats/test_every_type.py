"""Every type through every format: exact on return, or refused by name before anything is written."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pytest

from datastores.errors import ConfigurationError, DataError, SchemaMismatchError
from datastores.formats.base import Format
from datastores.formats.registry import FORMATS, open_format
from datastores.formats.sidecar import Sidecar

from .table_of_types import COLUMNS, NOT_FINITE, plain

DIALECTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "parquet": ("parquet", {}),
    "parquet, small groups": ("parquet", {"row_group_rows": 1, "compression": "none"}),
    "arrow": ("arrow", {}),
    "arrow, zstd": ("arrow", {"compression": "zstd"}),
    "csv": ("csv", {}),
    "csv, odd": (
        "csv",
        {
            "delimiter": ";",
            "quote": "'",
            "quoting": "all",
            "null_words": ["NULL", ""],
            "compression": "gzip",
            "decimal_point": ",",
        },
    ),
    "csv, utf-16": ("csv", {"encoding": "utf-16", "header": False}),
    "csv, escaped": ("csv", {"escape": "\\", "bom": True}),
    "jsonl": ("jsonl", {}),
    "jsonl, packed": ("jsonl", {"compression": "bzip2"}),
}


def there(format_: Format, table: pa.Table) -> io.BytesIO:
    format_.check(table.schema)
    file = io.BytesIO()
    with format_.writer(file, table.schema) as writer:
        for batch in table.to_batches(max_chunksize=2):
            writer.write(batch)
    return file


def back(format_: Format, file: io.BytesIO, schema: pa.Schema) -> pa.Table:
    kept = Sidecar.load(Sidecar(schema).dump()).schema if format_.needs_sidecar else None
    found = format_.schema(file, kept)
    assert found.equals(schema, check_metadata=True)
    batches = [
        batch
        for part in format_.parts(file, (), 1)
        for batch in format_.read(file, found, part, columns=tuple(schema.names), batch_rows=2)
    ]
    assert all(0 < batch.num_rows <= 2 for batch in batches)
    table = pa.Table.from_batches(batches, schema)
    table.validate(full=True)
    return table


def values(table: pa.Table) -> pa.Array:
    column = table["the column"]
    # Arrow cannot combine no chunks of some types.
    return column.combine_chunks() if column.num_chunks else pa.nulls(0, column.type)


def field_of(array: pa.Array) -> pa.Field:
    return pa.field("the column", array.type, metadata={"datastores:source": '{"engine":"x"}'})


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_alone_and_beside_another(dialect: str, column: str) -> None:
    name, options = DIALECTS[dialect]
    format_, array = open_format(name, "", options), COLUMNS[column]
    if name == "parquet" and column == "interval":
        with pytest.raises(SchemaMismatchError, match="column 'the column': Parquet holds no"):
            format_.check(pa.schema([field_of(array)]))
        return
    for piece in (array, array.slice(1), array.slice(0, 0)):
        alone = pa.table([piece], schema=pa.schema([field_of(array)]))
        found = values(back(format_, there(format_, alone), alone.schema))
        assert plain(found) == plain(piece)
        both = pa.table({"id": range(len(piece)), "the column": piece})
        found = values(back(format_, there(format_, both), both.schema))
        assert plain(found) == plain(piece)


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("column", NOT_FINITE)
def test_nan_and_infinity(format_name: str, column: str) -> None:
    format_, table = open_format(format_name, "", {}), pa.table({"c": NOT_FINITE[column]})
    if format_name == "jsonl":
        with pytest.raises(DataError, match="column 'c': nan has no JSON form"):
            there(format_, table)
    else:
        found = back(format_, there(format_, table), table.schema)
        assert plain(found["c"].combine_chunks()) == plain(NOT_FINITE[column])


@pytest.mark.parametrize("format_name", ["csv", "jsonl"])
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_that_text_cannot_hold_are_refused_by_value(format_name: str, unit: str) -> None:
    array = pa.array([0, -(2**63)], pa.int64()).view(pa.timestamp(unit, "UTC"))
    with pytest.raises(DataError, match=rf"column 'c'.*{-(2**63)}.*outside the years"):
        there(open_format(format_name, "", {}), pa.table({"c": array}))


def test_seconds_that_parquet_cannot_hold_are_refused_by_value() -> None:
    array = pa.array([1, 2**62], pa.int64()).view(pa.timestamp("s"))
    with pytest.raises(DataError, match=f"column 'c'.*{2**62} has no form in Parquet"):
        there(open_format("parquet", "", {}), pa.table({"a": [1, 2], "c": array}))


@pytest.mark.parametrize("format_name", ["parquet", "csv", "jsonl"])
def test_types_without_a_form_are_named(format_name: str) -> None:
    union = pa.dense_union([pa.field("a", pa.int64()), pa.field("b", pa.string())])
    for type_ in (union, pa.run_end_encoded(pa.int32(), pa.string())):
        with pytest.raises((SchemaMismatchError, ConfigurationError), match="column 'c'"):
            open_format(format_name, "", {}).check(pa.schema([("a", pa.int64()), ("c", type_)]))


def test_dictionaries_of_batches_may_differ() -> None:
    words = [pa.array(one).dictionary_encode() for one in (["a", "b"], ["b", "c"], [None, "a"])]
    table = pa.table({"c": pa.chunked_array(words)})
    for name in FORMATS:
        format_ = open_format(name, "", {})
        found = back(format_, there(format_, table), table.schema)
        assert found["c"].to_pylist() == ["a", "b", "b", "c", None, "a"]


def test_more_labels_than_the_index_type_can_number_are_refused() -> None:
    def batch(first: int) -> pa.RecordBatch:
        words = pa.array([str(i) for i in range(first, first + 100)]).dictionary_encode()
        narrow = words.indices.cast(pa.int8())
        return pa.record_batch({"c": pa.DictionaryArray.from_arrays(narrow, words.dictionary)})

    writer = open_format("arrow", "", {}).writer(io.BytesIO(), batch(0).schema)
    writer.write(batch(0))
    with pytest.raises(DataError, match="column 'c': more distinct values"):
        writer.write(batch(100))
