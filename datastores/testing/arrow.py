"""Hypothesis strategies for Arrow tables, and an equality of tables that hides nothing."""

from __future__ import annotations

import math
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_BYTES = st.binary(max_size=12)
# Years 1 to 9999, which every engine has; nanoseconds reach from 1678 to 2261 only.
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799
_FIRST_NANOSECOND_YEAR, _LAST_NANOSECOND_YEAR = -9_214_560_000, 9_214_560_000
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_DAY_SECONDS = 86_400

INTEGERS: tuple[pa.DataType, ...] = (
    *(pa.int8(), pa.int16(), pa.int32(), pa.int64()),
    *(pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
)
TEMPORALS: tuple[pa.DataType, ...] = (
    *(pa.date32(), pa.date64()),
    *(pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns")),
    *(pa.timestamp(unit) for unit in _PER_SECOND),
    *(pa.timestamp(unit, "UTC") for unit in ("us", "ns")),
    *(pa.timestamp("us", zone) for zone in ("Europe/Berlin", "+05:30")),
    *(pa.duration(unit) for unit in _PER_SECOND),
)
SIMPLE_TYPES: tuple[pa.DataType, ...] = (
    pa.bool_(),
    *INTEGERS,
    *(pa.float16(), pa.float32(), pa.float64()),
    *(pa.string(), pa.large_string(), pa.string_view()),
    *(pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(5)),
    *TEMPORALS,
    *(pa.decimal128(1, 0), pa.decimal128(18, 4), pa.decimal128(38, 10), pa.decimal256(60, 20)),
    *(pa.uuid(), pa.json_(), pa.null()),
    pa.month_day_nano_interval(),
    pa.dictionary(pa.int8(), pa.string()),
)
NESTED_TYPES: tuple[pa.DataType, ...] = (
    pa.list_(pa.int32()),
    pa.large_list(pa.string()),
    pa.list_(pa.float64(), 3),
    pa.list_(pa.list_(pa.timestamp("us", "UTC"))),
    pa.struct([("a", pa.int64()), ("ä b", pa.decimal128(9, 2))]),
    pa.list_(pa.struct([("x", pa.bool_()), ("y", pa.list_(pa.string()))])),
    pa.map_(pa.string(), pa.int32()),
    pa.list_(pa.uuid()),
)
TYPES: tuple[pa.DataType, ...] = (*SIMPLE_TYPES, *NESTED_TYPES)
"""Every kind of type that a driver either holds exactly or refuses by name."""


def names() -> st.SearchStrategy[str]:
    """Column names: plain, non-ASCII, with quotes, dots and spaces."""
    letters = string.ascii_letters + string.digits + "_ .,'\"`äßŽ日本😀%$;-"
    return st.text(letters, min_size=1, max_size=10).filter(lambda name: name.strip() == name)


@st.composite
def tables(
    draw: st.DrawFn,
    types: Sequence[pa.DataType] = TYPES,
    *,
    max_columns: int = 4,
    max_rows: int = 12,
) -> pa.Table:
    """Tables of some of the types, with NULLs, extremes, no rows at times, and uneven batches."""
    chosen = draw(st.lists(st.sampled_from(list(types)), min_size=1, max_size=max_columns))
    columns = draw(
        st.lists(
            names(),
            min_size=len(chosen),
            max_size=len(chosen),
            # Some engines ignore case, also that of ß and of ligatures.
            unique_by=lambda name: name.casefold(),
        )
    )
    rows = draw(st.integers(0, max_rows))
    arrays = [draw(arrays_of(type_, rows)) for type_ in chosen]
    schema = pa.schema([pa.field(*pair) for pair in zip(columns, chosen, strict=True)])
    batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
    cut = draw(st.integers(0, rows))
    return pa.Table.from_batches([batch.slice(0, cut), batch.slice(cut)], schema=schema)


def arrays_of(type_: pa.DataType, rows: int) -> st.SearchStrategy[pa.Array]:
    """Arrays of one type and length, NULLs among them."""
    if pa.types.is_null(type_):
        return st.just(pa.nulls(rows))
    slots = st.lists(st.none() | values_of(type_), min_size=rows, max_size=rows)
    return slots.map(lambda values: array_of(values, type_))


def array_of(values: Sequence[Any], type_: pa.DataType) -> pa.Array:
    """Build an array from values as `values_of` gives them: temporal ones are integers."""
    if pa.types.is_dictionary(type_):
        return array_of(values, type_.value_type).dictionary_encode().cast(type_)
    if pa.types.is_nested(type_):
        return _nested_array(values, type_)
    if (width := _integer_width(type_)) is not None:
        return pa.array(values, width).view(type_)
    return pa.array(values, type_)


def _nested_array(values: Sequence[Any], type_: pa.DataType) -> pa.Array:
    mask = pa.array([value is None for value in values], pa.bool_())
    if pa.types.is_struct(type_):
        children = [
            array_of([None if value is None else value[at] for value in values], field.type)
            for at, field in enumerate(type_)
        ]
        return pa.StructArray.from_arrays(children, fields=list(type_), mask=mask)
    if pa.types.is_fixed_size_list(type_):
        flat = [item for value in values for item in (value or [None] * type_.list_size)]
        items = array_of(flat, type_.value_type)
        return pa.FixedSizeListArray.from_arrays(items, type=type_, mask=mask)
    offsets = [0]
    for value in values:
        offsets.append(offsets[-1] + len(value or ()))
    flat = [item for value in values for item in (value or ())]
    if pa.types.is_map(type_):
        keys = array_of([key for key, _ in flat], type_.key_type)
        items = array_of([item for _, item in flat], type_.item_type)
        at = pa.array(offsets, pa.int32())
        return pa.MapArray.from_arrays(at, keys, items, type=type_, mask=mask)
    large = pa.types.is_large_list(type_)
    at = pa.array(offsets, pa.int64() if large else pa.int32())
    kind = pa.LargeListArray if large else pa.ListArray
    return kind.from_arrays(at, array_of(flat, type_.value_type), type=type_, mask=mask)


def values_of(type_: pa.DataType) -> st.SearchStrategy[Any]:
    """Values of one type that are not NULL, extremes among them."""
    if pa.types.is_dictionary(type_):
        return st.sampled_from(["", "red", "grün"])
    if pa.types.is_map(type_):
        pair = st.tuples(values_of(type_.key_type), st.none() | values_of(type_.item_type))
        return st.lists(pair, max_size=3, unique_by=lambda one: one[0])
    if pa.types.is_struct(type_):
        return st.tuples(*(st.none() | values_of(field.type) for field in type_))
    if pa.types.is_nested(type_):
        items = st.none() | values_of(type_.value_type)
        size = getattr(type_, "list_size", None)
        return st.lists(items, min_size=size or 0, max_size=3 if size is None else size)
    for fits, strategy in _VALUES.items():
        if fits(type_):
            return strategy(type_)
    raise TypeError(f"no values of type {type_}")


def _integers(type_: pa.DataType) -> st.SearchStrategy[int]:
    signed = pa.types.is_signed_integer(type_)
    bits = type_.bit_width - signed
    return st.integers(-(2**bits) if signed else 0, 2**bits - 1)


def _decimals(type_: pa.DataType) -> st.SearchStrategy[Any]:
    most = 10**type_.precision - 1
    return st.integers(-most, most).map(lambda digits: _decimal(digits, type_.scale))


def _decimal(digits: int, scale: int) -> Any:
    from decimal import Decimal

    return Decimal((digits < 0, tuple(map(int, str(abs(digits)))), -scale))


def _instants(type_: pa.DataType) -> st.SearchStrategy[int]:
    per = _PER_SECOND[type_.unit]
    first, last = (
        (_FIRST_NANOSECOND_YEAR, _LAST_NANOSECOND_YEAR)
        if type_.unit == "ns"
        else (_FIRST_SECOND, _LAST_SECOND)
    )
    return st.integers(first * per, last * per + per - 1)


def _dates(type_: pa.DataType) -> st.SearchStrategy[int]:
    days = st.integers(_FIRST_SECOND // _DAY_SECONDS, _LAST_SECOND // _DAY_SECONDS)
    return days if pa.types.is_date32(type_) else days.map(lambda day: day * _DAY_SECONDS * 1000)


_VALUES: Mapping[Callable[[pa.DataType], bool], Callable[[Any], st.SearchStrategy[Any]]] = {
    lambda type_: isinstance(type_, pa.UuidType): lambda _: st.binary(min_size=16, max_size=16),
    lambda type_: isinstance(type_, pa.JsonType): lambda _: st.sampled_from(
        ['{"a": 1}', "[1,  2]", '"x"', "null", "12345678901234567890123"]
    ),
    pa.types.is_boolean: lambda _: st.booleans(),
    pa.types.is_integer: _integers,
    pa.types.is_floating: lambda type_: st.floats(width=type_.bit_width),
    pa.types.is_decimal: _decimals,
    pa.types.is_fixed_size_binary: lambda type_: st.binary(
        min_size=type_.byte_width, max_size=type_.byte_width
    ),
    lambda type_: "string" in str(type_): lambda _: _TEXT,
    lambda type_: "binary" in str(type_): lambda _: _BYTES,
    pa.types.is_date: _dates,
    pa.types.is_time: lambda type_: st.integers(0, _DAY_SECONDS * _PER_SECOND[type_.unit] - 1),
    pa.types.is_timestamp: _instants,
    pa.types.is_duration: lambda _: st.integers(-(2**62), 2**62),
    # Whole microseconds: not every engine has finer ones.
    pa.types.is_interval: lambda _: st.builds(
        lambda months, days, us: pa.MonthDayNano([months, days, us * 1000]),
        st.integers(-9999, 9999),
        st.integers(-9999, 9999),
        st.integers(-(10**12), 10**12),
    ),
}


def _integer_width(type_: pa.DataType) -> pa.DataType | None:
    """Return the integer type that a temporal one is stored as, or None."""
    if pa.types.is_interval(type_) or not pa.types.is_temporal(type_):
        return None
    return pa.int32() if type_.bit_width == 32 else pa.int64()


def assert_same_table(actual: pa.Table, expected: pa.Table, *, ordered: bool = False) -> None:
    """Fail unless both tables have the same names, types and rows; metadata is not compared.

    Args:
        actual: What came back.
        expected: What went in.
        ordered: Rows must also come in the same order; else they are compared as a multiset.
    """
    assert actual.schema.names == expected.schema.names
    for name in actual.schema.names:
        assert actual.schema.field(name).type == expected.schema.field(name).type, name
    got, wanted = rows_of(actual), rows_of(expected)
    if ordered:
        assert got == wanted
    else:
        assert Counter(got) == Counter(wanted)


def rows_of(table: pa.Table) -> list[tuple[Any, ...]]:
    """Return the rows as hashable values: temporal ones as integers, NaNs equal, zeros not."""
    columns = [
        [value for chunk in column.chunks for value in _canonical(chunk)]
        for column in table.columns
    ]
    return list(zip(*columns, strict=True)) if columns else []


def _canonical(array: pa.Array) -> list[Any]:
    type_ = array.type
    if isinstance(type_, pa.BaseExtensionType):
        return _canonical(array.storage)
    if pa.types.is_dictionary(type_):
        return _canonical(array.dictionary_decode())
    if pa.types.is_union(type_):
        return [(one.type_code, repr(one.as_py())) for one in array]
    if pa.types.is_struct(type_):
        children = [_canonical(child) for child in array.flatten()]
        valid = array.is_valid().to_pylist()
        return [
            tuple(child[at] for child in children) if ok else None for at, ok in enumerate(valid)
        ]
    if pa.types.is_nested(type_):
        return [None if not one.is_valid else tuple(_canonical(one.values)) for one in array]
    if (width := _integer_width(type_)) is not None:
        integers: list[Any] = array.view(width).to_pylist()
        return integers
    if pa.types.is_floating(type_):
        return [_canonical_float(value) for value in array.to_pylist()]
    plain: list[Any] = array.to_pylist()
    return plain


def _canonical_float(value: float | None) -> Any:
    if value is None or value:
        return "nan" if value is not None and math.isnan(value) else value
    return (math.copysign(1.0, value), 0.0)
