"""Columns chosen, renamed and cast: exact, or refused by naming the column, row and value."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datastores.errors import ConfigurationError, DataError, SchemaMismatchError
from datastores.types.cast import cast_column, check_cast
from datastores.types.convert import Conversion
from datastores.types.fields import SourceType, source_of, with_source

SMALL = settings(max_examples=50, deadline=None)
NOTE = SourceType(engine="duckdb", type="DECIMAL(12,2)", key=True)
SCHEMA = pa.schema(
    [
        with_source(pa.field("id", pa.int32(), nullable=False), NOTE),
        with_source(pa.field("total", pa.float64()), NOTE),
        pa.field("name", pa.string()),
    ],
    metadata={b"made": b"here"},
)


def batch(ids: list[int | None], totals: list[float], names: list[str]) -> pa.RecordBatch:
    return pa.record_batch(
        [pa.array(ids, pa.int32()), pa.array(totals), pa.array(names)], schema=SCHEMA
    )


def reader(*batches: pa.RecordBatch) -> pa.RecordBatchReader:
    return pa.RecordBatchReader.from_batches(SCHEMA, batches)


def cast(values: list[Any], source: pa.DataType, target: pa.DataType) -> list[Any]:
    check_cast(source, target, name="c")
    result = cast_column(pa.array(values, source), target, name="c", first_row=1)
    result.validate(full=True)
    assert result.type == target
    found: list[Any] = result.to_pylist()
    return found


def test_identity_keeps_the_very_batch() -> None:
    plan = Conversion.plan(SCHEMA)
    source = batch([1], [2.0], ["x"])
    assert plan.identity
    assert plan.schema.equals(SCHEMA, check_metadata=True)
    assert plan.convert(source).equals(source, check_metadata=True)
    assert not Conversion.plan(SCHEMA, columns=["total", "id", "name"]).identity
    assert not Conversion.plan(SCHEMA, rename={"id": "key"}).identity
    assert not Conversion.plan(SCHEMA, types={"id": "int64"}).identity
    assert Conversion.plan(SCHEMA, types={"id": "int32"}, rename={"id": "id"}).identity


def test_columns_names_and_types_together() -> None:
    plan = Conversion.plan(
        SCHEMA,
        columns=["total", "id"],
        rename={"id": "order_id"},
        types={"total": "decimal(18,2)"},
    )
    result = plan.apply(reader(batch([1, 2], [1.5, 0.1], ["x", "y"]))).read_all()
    assert result.to_pydict() == {"total": [Decimal("1.50"), Decimal("0.10")], "order_id": [1, 2]}
    assert result.schema.equals(plan.schema, check_metadata=True)
    assert source_of(plan.schema.field("order_id")) == NOTE
    assert source_of(plan.schema.field("total")) is None
    assert not plan.schema.field("order_id").nullable
    assert [step.description for step in plan.columns] == [
        "total: double to decimal(18,2)",
        "order_id (was id): int32",
    ]


def test_untouched_columns_keep_their_buffers() -> None:
    source = batch([1, 2], [1.5, 2.5], ["x", "y"])
    result = Conversion.plan(SCHEMA, rename={"name": "title"}, types={"id": "int64"}).convert(
        source
    )
    for old, new in (("total", "total"), ("name", "title")):
        addresses = [[b and b.address for b in one.buffers()] for one in (source[old], result[new])]
        assert addresses[0] == addresses[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"columns": ["id", "totl"]}, "columns: there is no column 'totl'. Did you mean 'total'? The columns are id, total, name"),
        ({"rename": {"idd": "x"}}, "rename: there is no column 'idd'. Did you mean 'id'?"),
        ({"rename": {"id": "key"}, "types": {"id": "int64"}}, "types: there is no column 'id'"),
        ({"columns": ["id"], "rename": {"name": "x"}}, "rename: there is no column 'name'. The columns are id"),
        ({"rename": {"id": "name"}}, "rename: gives more than one column 'name'"),
        ({"rename": {"id": "x", "name": "x"}}, "more than one column 'x'"),
        ({"columns": ["id", "id"]}, "more than one column 'id'"),
        ({"columns": []}, "names no column"),
        ({"types": {"id": "int47"}}, "'int47' is not a type"),
    ],
)  # fmt: skip
def test_refused_plans(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Conversion.plan(SCHEMA, **arguments)
    assert words in str(caught.value)


def test_names_may_be_exchanged() -> None:
    plan = Conversion.plan(SCHEMA, rename={"id": "name", "name": "id"})
    assert plan.convert(batch([1], [2.0], ["x"])).to_pydict() == {
        "name": [1],
        "total": [2.0],
        "id": ["x"],
    }


def test_a_source_with_one_name_twice_is_refused() -> None:
    twice = pa.schema([("a", pa.int8()), ("a", pa.int8())])
    with pytest.raises(ConfigurationError, match="the source has more than one column 'a'"):
        Conversion.plan(twice)


def test_the_row_is_counted_over_all_batches() -> None:
    plan = Conversion.plan(SCHEMA, types={"total": "int64"})
    batches = [batch([1] * 3, [1.0] * 3, ["x"] * 3), batch([1] * 3, [1.0, 1.0, 2.5], ["x"] * 3)]
    converted = plan.apply(reader(*batches))
    assert converted.read_next_batch().num_rows == 3
    with pytest.raises(DataError) as caught:
        converted.read_next_batch()
    assert caught.value.message == "column 'total', row 6: 2.5 has no exact form as int64"


def test_null_where_none_may_be() -> None:
    with pytest.raises(DataError, match="column 'key', row 11: NULL is not allowed"):
        Conversion.plan(SCHEMA, rename={"id": "key"}).convert(
            batch([1, None], [1.0, 1.0], ["x", "y"]), first_row=10
        )


def test_batches_of_another_schema() -> None:
    other = pa.table({"id": [1]})
    with pytest.raises(SchemaMismatchError, match="id int64, and id int32, total double"):
        Conversion.plan(SCHEMA).apply(other.to_reader())


D = Decimal
S, I64, F64, US = pa.string(), pa.int64(), pa.float64(), pa.timestamp("us")

EXACT: list[tuple[pa.DataType, Any, pa.DataType, Any]] = [
    (S, "00123", I64, 123),
    (S, "-0", I64, 0),
    (pa.string_view(), "12", pa.uint8(), 12),
    (S, "1.50", pa.decimal128(18, 2), D("1.50")),
    (S, "1.500", pa.decimal128(18, 2), D("1.50")),
    (S, "1e2", pa.decimal128(18, 2), D("100.00")),
    (S, "0.1", F64, 0.1),
    (S, "-0.0", F64, -0.0),
    (S, "0e9", F64, 0.0),
    (S, "inf", F64, float("inf")),
    (S, "12:30:00.5", pa.time64("us"), dt.time(12, 30, 0, 500000)),
    (S, "TRUE", pa.bool_(), True),
    (I64, 2**62, F64, 2.0**62),
    (I64, 5, pa.decimal128(18, 2), D("5.00")),
    (I64, 500, pa.decimal128(3, -2), D("5E+2")),
    (pa.uint64(), 2**64 - 1, pa.decimal128(20, 0), D(2**64 - 1)),
    (I64, 1, pa.bool_(), True),
    (pa.bool_(), True, pa.int8(), 1),
    (F64, 2.0**62, I64, 2**62),
    (F64, 0.1, pa.decimal128(38, 30), D("0.1")),
    (F64, 1e22, pa.decimal128(38, 2), D("1E22")),
    (F64, 0.5, pa.float16(), 0.5),
    (pa.float32(), 0.1, F64, 0.10000000149011612),
    (pa.decimal128(18, 2), D("1.00"), I64, 1),
    (pa.decimal128(18, 2), D("0.10"), F64, 0.1),
    (pa.decimal128(18, 2), D("1.50"), pa.decimal128(3, 1), D("1.5")),
    (pa.decimal128(18, 2), D("1.50"), S, "1.50"),
    (US, 1_000_000, pa.timestamp("s"), dt.datetime(1970, 1, 1, 0, 0, 1)),  # noqa: DTZ001  # a clock without a zone
    (US, 86_400_000_000, pa.date32(), dt.date(1970, 1, 2)),
    (US, 0, S, "1970-01-01 00:00:00.000000"),
    (pa.time64("us"), 1, S, "00:00:00.000001"),
    (pa.dictionary(pa.int8(), S), "7", I64, 7),
    (S, "7", pa.dictionary(pa.int8(), S), "7"),
    (I64, 7, pa.dictionary(pa.int8(), I64), 7),
    (pa.large_string(), "x", pa.string_view(), "x"),
    (pa.binary(), b"abc", pa.binary(3), b"abc"),
    (pa.binary(), b"abc", S, "abc"),
    (pa.binary(), b"0" * 16, pa.uuid(), uuid.UUID(bytes=b"0" * 16)),
    (pa.json_(), "{}", S, "{}"),
    (pa.list_(I64), [1, None], pa.large_list(pa.int8()), [1, None]),
]  # fmt: skip


@pytest.mark.parametrize(("source", "value", "target", "expected"), EXACT)
def test_exact(source: pa.DataType, value: Any, target: pa.DataType, expected: Any) -> None:
    found = cast([value, None], source, target)
    assert found == [expected, None]
    assert str(found[0]) == str(expected) or isinstance(expected, D)


REFUSED: list[tuple[pa.DataType, Any, pa.DataType]] = [
    *((S, text, I64) for text in ("", " 1", "1.0", "1e3", "0x10", "9223372036854775808", "one")),
    (S, "0xFF", pa.int8()),
    *((S, text, pa.decimal128(18, 2)) for text in ("1.005", "", "NaN", "12345678901234567")),
    *((S, text, F64) for text in ("1e400", "-1e400", "1e-400", "", "1,5")),
    *((S, text, pa.float32()) for text in ("1e39", "1e-60")),
    *((S, text, US) for text in ("2020-13-01", "2020-01-01 00:00:00.1234567", "2020-01-01T00:00:00Z")),
    (S, "2020-01-01", pa.timestamp("us", "UTC")),
    *((S, text, pa.time64("us")) for text in ("24:00:00", "12:00:00.1234567", "")),
    (S, "2020-02-30", pa.date32()),
    (S, "yes", pa.bool_()),
    (I64, 300, pa.uint8()),
    (I64, -1, pa.uint64()),
    (I64, 2, pa.bool_()),
    (I64, 2**53 + 1, F64),
    (I64, 2**63 - 1, F64),
    (I64, 2**24 + 1, pa.float32()),
    (I64, 10**17, pa.decimal128(18, 2)),
    (pa.uint64(), 2**64 - 1, I64),
    (F64, 0.5, I64),
    (F64, 2.0**63, I64),
    (F64, -0.0, I64),
    (F64, float("nan"), I64),
    (F64, 1.005, pa.decimal128(18, 2)),
    (F64, 1e-30, pa.decimal128(18, 2)),
    (F64, float("nan"), pa.decimal128(18, 2)),
    (F64, 0.1, pa.float32()),
    (F64, 1e300, pa.float32()),
    (F64, 5e-324, pa.float32()),
    (pa.decimal128(18, 2), D("1.05"), pa.decimal128(18, 1)),
    (pa.decimal128(18, 2), D("1000.00"), pa.decimal128(5, 2)),
    (pa.decimal128(18, 2), D("1.50"), I64),
    (pa.decimal128(18, 2), D("99999999999999.99"), F64),
    (pa.decimal128(18, 8), D("1.23456789"), pa.float32()),
    (US, 1, pa.timestamp("s")),
    (US, 1, pa.date32()),
    (US, 2**63 - 1, pa.timestamp("ns")),
    (US, 2**63 - 1, S),
    (pa.date32(), 2**31 - 1, S),
    (pa.date64(), 86_400_001, pa.date32()),
    (pa.time64("us"), 1, pa.time32("ms")),
    (pa.time64("us"), 86_400_000_000, S),
    (pa.duration("us"), 1, pa.duration("s")),
    (pa.binary(), b"\xff", S),
    (pa.binary(), b"ab", pa.binary(3)),
    (pa.list_(I64), [1, 300], pa.list_(pa.int8())),
    (pa.struct({"a": I64, "b": I64}), {"a": 1, "b": 2}, pa.struct({"a": I64})),
    (I64, 1, pa.null()),
]  # fmt: skip


@pytest.mark.parametrize(("source", "value", "target"), REFUSED)
def test_refused(source: pa.DataType, value: Any, target: pa.DataType) -> None:
    check_cast(source, target, name="c")
    values = pa.concat_arrays([pa.nulls(4, source), pa.array([value], source), pa.nulls(2, source)])
    with pytest.raises(DataError) as caught:
        cast_column(values, target, name="c", first_row=100)
    assert caught.value.message.startswith("column 'c', row 104: ")
    assert "has no exact form as" in caught.value.message


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (pa.uuid(), S),
        (S, pa.uuid()),
        (pa.binary(), I64),
        (pa.list_(I64), S),
        (US, pa.time64("us")),
        (pa.duration("s"), S),
        (F64, US),
        (I64, pa.list_(I64)),
    ],
)
def test_no_conversion(source: pa.DataType, target: pa.DataType) -> None:
    schema = pa.schema({"total": source})
    with pytest.raises(SchemaMismatchError, match="column 'total': no exact conversion leads from"):
        Conversion.plan(schema, types={"total": target})


NUMBERS = [
    pa.int8(), pa.int32(), I64, pa.uint64(), pa.float32(), F64, pa.decimal128(18, 2),
    pa.decimal128(38, 10), pa.decimal256(50, 3),
]  # fmt: skip


@SMALL
@given(
    st.sampled_from([I64, F64, pa.decimal128(20, 4)]),
    st.lists(st.none() | st.integers(-(10**15), 10**15), min_size=1, max_size=5),
    st.sampled_from(NUMBERS),
)
def test_numbers_come_back_or_are_refused(
    source: pa.DataType, values: Any, target: pa.DataType
) -> None:
    array = pa.array(values, I64).cast(pa.decimal128(19, 0))
    array = (
        array.cast(pa.decimal128(38, 4)).cast(source) if source != F64 else pa.array(values, F64)
    )
    try:
        there = cast_column(array, target, name="c", first_row=1)
    except DataError:
        return
    back = cast_column(there, source, name="c", first_row=1)
    assert back.equals(array)


@SMALL
@given(st.lists(st.none() | st.floats(width=64), max_size=5))
def test_floats_as_text_come_back(values: list[float | None]) -> None:
    array = pa.array(values, F64)
    there = cast_column(array, S, name="c", first_row=1)
    assert str(cast_column(there, F64, name="c", first_row=1)) == str(array)
