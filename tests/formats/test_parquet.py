"""Parquet: row groups, pruning by statistics, damage found, bounded memory."""

from __future__ import annotations

import gc
import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datastores.errors import ConfigurationError, DataError, SchemaMismatchError
from datastores.filters import parse_filters, to_expression
from datastores.formats.base import FilePart
from datastores.formats.parquet import ParquetFormat

NUMBERS = pa.table({"a": range(100), "s": [f"x{i:03}" if i % 10 else None for i in range(100)]})


def written(table: pa.Table, **options: Any) -> io.BytesIO:
    file = io.BytesIO()
    with ParquetFormat.from_options(options).writer(file, table.schema) as writer:
        for batch in table.to_batches(max_chunksize=7):
            writer.write(batch)
    return file


def groups(file: io.BytesIO, filters: list[Any], target_bytes: int = 1) -> list[int]:
    parts = ParquetFormat().parts(file, parse_filters(filters), target_bytes)
    return [part.first + i for part in parts for i in range(part.count or 0)]


def test_row_groups_are_of_the_size_asked() -> None:
    metadata = pq.read_metadata(written(NUMBERS, row_group_rows=30))
    assert [metadata.row_group(i).num_rows for i in range(4)] == [30, 30, 30, 10]
    assert metadata.row_group(0).column(0).compression == "ZSTD"


REPEATS = pa.table({"small": pa.array([at % 30_000 for at in range(131_072)], pa.int32())})
STEPS = pa.table({"at": pa.array([at * 1_000_001 for at in range(131_072)], pa.timestamp("us"))})


@pytest.mark.parametrize(
    ("table", "most_bytes"),
    [
        # A third of its values: the rest repeats them, which pages of 20,000 rows do not show.
        pytest.param(REPEATS, 131_072 * 4 // 3, id="repeats"),
        # Half of the values: zstd at its first level leaves three quarters.
        pytest.param(STEPS, 131_072 * 8 // 2, id="regular steps"),
    ],
)
def test_what_is_regular_is_small(table: pa.Table, most_bytes: int) -> None:
    assert len(written(table).getvalue()) < most_bytes


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([], list(range(10))),
        ([("a", "=", 42)], [4]),
        ([("a", ">=", 80)], [8, 9]),
        ([("a", "in", [5, 95])], [0, 9]),
        ([("s", "<", "x012")], [0, 1]),
        ([("a", ">", 10), ("a", "<", 25)], [1, 2]),
        ([[("a", "=", 1)], [("s", "=", "x099")]], [0, 9]),
        ([("a", ">", 1000)], []),
        ([[("a", ">", 1000)], [("elsewhere", "=", 1)]], list(range(10))),
        ([("a", "is null")], []),
    ],
)
def test_statistics_leave_out_row_groups(filters: list[Any], expected: list[int]) -> None:
    assert groups(written(NUMBERS, row_group_rows=10), filters) == expected


def test_pruning_keeps_nan_and_null() -> None:
    table = pa.table({"a": pa.array([float("nan"), 1.0, None, 2.0, 5.0, 5.0])})
    file = written(table, row_group_rows=2)
    for filters in (
        [("a", "!=", 5.0)],
        [("a", "is null")],
        [("a", ">", 1.5)],
        [("a", "not in", [1.0])],
    ):
        found = set(groups(file, filters))
        for index in range(3):
            piece = table.slice(index * 2, 2)
            if piece.filter(to_expression(parse_filters(filters))).num_rows:
                assert index in found, filters


def test_parts_gather_row_groups_to_a_size() -> None:
    file = written(NUMBERS, row_group_rows=10)
    (whole,) = ParquetFormat().parts(file, (), 1 << 30)
    assert (whole.first, whole.count, whole.rows) == (0, 10, 100)
    some = ParquetFormat().parts(file, parse_filters([("a", "in", [5, 15, 95])]), 1 << 30)
    assert [(one.first, one.count) for one in some] == [(0, 2), (9, 1)]


def test_columns_come_in_the_order_asked() -> None:
    table = pa.table({"a.b": [1], "a": [2], "c": [3]})
    file = written(table)
    part = FilePart(label="all")
    (batch,) = ParquetFormat().read(file, table.schema, part, columns=("c", "a"), batch_rows=10)
    assert batch.to_pydict() == {"c": [3], "a": [2]}


def test_a_file_that_differs_is_named_by_column() -> None:
    file, part = written(NUMBERS), FilePart(label="all")
    for schema, words in (
        (pa.schema([("a", pa.int32()), ("s", pa.string())]), "column 'a' is int64 here and int32"),
        (pa.schema([("a", pa.int64())]), "column 's' is here"),
        (pa.schema([*NUMBERS.schema, pa.field("z", pa.int8())]), "column 'z'.*missing"),
    ):
        with pytest.raises(SchemaMismatchError, match=words):
            next(ParquetFormat().read(file, schema, part, columns=("a",), batch_rows=10))


@pytest.mark.parametrize("keep", [0, 3, 10, 200, -1])
def test_cut_files_are_refused(keep: int) -> None:
    data = written(NUMBERS).getvalue()
    with pytest.raises(DataError, match="not a whole Parquet file"):
        ParquetFormat().schema(io.BytesIO(data[:keep]), None)


def test_a_changed_byte_is_found() -> None:
    data = bytearray(written(pa.table({"a": range(10_000)}), compression="none").getvalue())
    data[len(data) // 2] ^= 1
    file = io.BytesIO(bytes(data))
    schema = ParquetFormat().schema(file, None)
    with pytest.raises(DataError, match="damaged Parquet data"):
        list(
            ParquetFormat().read(
                file, schema, FilePart(label="all"), columns=("a",), batch_rows=100
            )
        )


def test_files_of_other_writers() -> None:
    file = io.BytesIO()
    pq.write_table(NUMBERS, file, store_schema=False, use_dictionary=False)
    assert ParquetFormat().schema(file, None).equals(NUMBERS.schema, check_metadata=True)


def test_an_abandoned_writer_leaves_its_file_alone(tmp_path: Path) -> None:
    with (tmp_path / "x").open("wb") as file:
        writer = ParquetFormat().writer(file, NUMBERS.schema)
        writer.write(NUMBERS.to_batches()[0])
        writer.abandon()
    del writer
    gc.collect()
    assert (tmp_path / "x").stat().st_size <= 4


def test_wrong_options_are_refused() -> None:
    for options, words in (
        ({"compresion": "zstd"}, "Did you mean 'compression'"),
        ({"compression": "rar"}, "'zstd'"),
        ({"row_group_rows": 0}, "number of rows"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            ParquetFormat.from_options(options)


def test_reading_and_writing_are_bounded(tmp_path: Path) -> None:
    batch = pa.record_batch(
        {"a": pa.array(range(100_000), pa.int64()), "b": pa.array([b"x" * 90] * 100_000)}
    )
    before, peak = pa.total_allocated_bytes(), 0
    path = tmp_path / "big.parquet"
    with (
        path.open("wb") as file,
        ParquetFormat(compression="none").writer(file, batch.schema) as writer,
    ):
        for _ in range(30):
            writer.write(batch)
            peak = max(peak, pa.total_allocated_bytes() - before)
            assert writer.buffered_bytes <= 80 << 20
    assert peak < 160 << 20
    before, peak, rows = pa.total_allocated_bytes(), 0, 0
    with path.open("rb") as source:
        for (part,) in [ParquetFormat().parts(source, (), 1 << 40)]:
            for one in ParquetFormat().read(
                source, batch.schema, part, columns=("b",), batch_rows=10_000
            ):
                peak, rows = max(peak, pa.total_allocated_bytes() - before), rows + one.num_rows
    assert rows == 3_000_000
    assert peak < 64 << 20
