"""Types as text: every type that has a text comes back from it as itself."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datastores.errors import ConfigurationError
from datastores.types.text import describe_type, format_type, parse_type

SMALL = settings(max_examples=50, deadline=None)
UNITS = st.sampled_from(["s", "ms", "us", "ns"])
ZONES = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "+02:00", "-03:30", "Etc/GMT-14"]
)
NAMES = st.text(max_size=6) | st.text('"\\:,<>() \nanot null', max_size=8)
SIMPLE = [
    pa.null(), pa.bool_(), pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(),
    pa.uint32(), pa.uint64(), pa.float16(), pa.float32(), pa.float64(), pa.string(),
    pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.binary_view(),
    pa.date32(), pa.date64(), pa.month_day_nano_interval(), pa.uuid(), pa.json_(),
    pa.json_(pa.large_string()), pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns"),
]  # fmt: skip


def decimals(draw: Any) -> pa.DataType:
    make, digits = draw(
        st.sampled_from(
            [(pa.decimal32, 9), (pa.decimal64, 18), (pa.decimal128, 38), (pa.decimal256, 76)]
        )
    )
    return make(draw(st.integers(1, digits)), draw(st.integers(-9, digits)))


LEAVES = st.one_of(
    st.sampled_from(SIMPLE),
    st.builds(pa.timestamp, UNITS, st.none() | ZONES),
    st.builds(pa.duration, UNITS),
    st.builds(pa.binary, st.integers(0, 99)),
    st.composite(decimals)(),
)


def nested(inner: st.SearchStrategy[pa.DataType]) -> st.SearchStrategy[pa.DataType]:
    fields = st.builds(
        lambda name, type_, null: pa.field(name, type_, nullable=null or pa.types.is_null(type_)),
        NAMES,
        inner,
        st.booleans(),
    )
    keys = st.builds(
        lambda name, type_: pa.field(name, type_, nullable=False),
        NAMES,
        inner.filter(lambda type_: not pa.types.is_null(type_)),
    )
    integers = st.sampled_from([pa.int8(), pa.uint16(), pa.int32(), pa.int64()])
    return st.one_of(
        st.builds(pa.list_, fields),
        st.builds(pa.large_list, fields),
        st.builds(pa.list_view, fields),
        st.builds(pa.large_list_view, fields),
        st.builds(pa.list_, fields, st.integers(0, 9)),
        st.builds(pa.struct, st.lists(fields, max_size=3)),
        st.builds(pa.map_, keys, fields),
        st.builds(pa.dictionary, integers, inner, st.booleans()),
    )


@SMALL
@given(st.recursive(LEAVES, nested, max_leaves=5))
def test_types_come_back(type_: pa.DataType) -> None:
    text = format_type(type_)
    assert parse_type(text) == type_
    assert format_type(parse_type(text)) == text == describe_type(type_)


@pytest.mark.parametrize("type_", SIMPLE, ids=str)
def test_simple_types_come_back(type_: pa.DataType) -> None:
    assert parse_type(format_type(type_)) == type_


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("int", pa.int64()),
        (" INTEGER ", pa.int64()),
        ("text", pa.string()),
        ("double", pa.float64()),
        ("float32", pa.float32()),
        ("boolean", pa.bool_()),
        ("date", pa.date32()),
        ("bytes", pa.binary()),
        ("decimal(18, 2)", pa.decimal128(18, 2)),
        ("numeric(5)", pa.decimal128(5, 0)),
        ("decimal(40,2)", pa.decimal256(40, 2)),
        ("decimal(5,-2)", pa.decimal128(5, -2)),
        ("timestamp", pa.timestamp("us")),
        ("timestamp[ns, tz=UTC]", pa.timestamp("ns", "UTC")),
        ("time", pa.time64("us")),
        ("list<int32>", pa.list_(pa.int32())),
        ("list<list<text not null>>", pa.list_(pa.list_(pa.field("item", pa.string(), nullable=False)))),
        ("struct<a: int, b: text not null>", pa.struct([("a", pa.int64()), pa.field("b", pa.string(), nullable=False)])),
        ("map<text, int>", pa.map_(pa.string(), pa.int64())),
        ("dictionary<int8, text, ordered>", pa.dictionary(pa.int8(), pa.string(), ordered=True)),
    ],
)  # fmt: skip
def test_what_people_write(text: str, expected: pa.DataType) -> None:
    assert parse_type(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "int47", "int64 int64", "int64,", "decimal", "decimal(", "decimal()", "decimal(0,0)",
        "decimal(77,2)", "decimal(18,x)", "decimal(18,2", "decimal32(10,2)", "decimal(-1)", "binary(-1)",
        "binary(99999999999999)", "timestamp[", "timestamp[us", "timestamp[us,", "timestamp[us,]",
        "timestamp[min]", "time[h]", "list", "list<", "list<int", "list<>", "list(-1)<int>", "struct<a:>",
        "map<int>", "map<int,int,int>", "dictionary<int8>", "list<null not null>", "dictionary<text, text>",
        "dictionary<int8, text, unordered>", "json<int>", "(", "\0", '"int64"', "<" * 50,
    ],
)  # fmt: skip
def test_not_a_type(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is not a type") as caught:
        parse_type(text)
    assert repr(text) in caught.value.message


@SMALL
@given(st.text('int64decmal<>()[],:"\\ us-+', max_size=25))
def test_any_text_is_a_type_or_our_error(text: str) -> None:
    try:
        parse_type(text)
    except ConfigurationError:
        return


@pytest.mark.parametrize(
    "type_",
    [
        pa.sparse_union([pa.field("a", pa.int8())]),
        pa.run_end_encoded(pa.int32(), pa.string()),
        pa.map_(pa.string(), pa.int8(), keys_sorted=True),
    ],
    ids=str,
)
def test_types_without_a_text(type_: pa.DataType) -> None:
    with pytest.raises(ConfigurationError, match="has no written form"):
        format_type(type_)
    assert describe_type(type_) == str(type_)
