"""Positions keep the order of values, across types, and bounds of a range miss none of them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastores.filters import Condition, to_expression
from datastores.types.positions import (
    HIGHEST,
    LOWEST,
    bounds,
    describe_range,
    has_order,
    positions_of,
)

WIDE = st.integers(-(10**30), 10**30)
VALUES: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.int8(): st.integers(-128, 127),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.uint64(): st.integers(0, 2**64 - 1),
    pa.decimal128(38, 3): WIDE.map(lambda n: Decimal(n).scaleb(-3)),
    pa.decimal256(75, 20): WIDE.map(lambda n: Decimal(n).scaleb(-20)),
    pa.decimal32(7, 2): st.integers(-9_999_999, 9_999_999).map(lambda n: Decimal(n).scaleb(-2)),
    pa.date32(): st.dates(),
    pa.date64(): st.dates(),
    pa.timestamp("s"): st.datetimes(),
    pa.timestamp("us", "UTC"): st.datetimes(timezones=st.just(dt.UTC)),
    pa.timestamp("ns"): st.datetimes(
        dt.datetime.fromisoformat("1700-01-01"), dt.datetime.fromisoformat("2200-01-01")
    ),
}


@pytest.mark.parametrize("type_", VALUES, ids=str)
@given(data=st.data())
def test_order_is_kept(type_: pa.DataType, data: st.DataObject) -> None:
    values = data.draw(st.lists(VALUES[type_], max_size=20))
    array = pa.array(sorted(values), type_)
    assert has_order(type_)
    found = positions_of(array)
    assert (found[1:] >= found[:-1]).all()
    with_null = pa.concat_arrays([pa.nulls(1, type_), array])
    assert positions_of(with_null).tolist() == [LOWEST, *positions_of(array).tolist()]
    assert positions_of(with_null.slice(1)).tolist() == positions_of(array).tolist()


@pytest.mark.parametrize(
    ("values", "types"),
    [
        ([5, -5], [pa.int8(), pa.int64(), pa.decimal128(5, 2), pa.decimal256(60, 9)]),
        ([2**63 + 5, 2**63 - 1], [pa.uint64(), pa.decimal128(38, 1)]),
        ([dt.date(1200, 1, 1), dt.date(2026, 1, 1)], [pa.date32(), pa.date64()]),
        (
            [
                dt.datetime.fromisoformat("1969-12-31T23:59:59"),
                dt.datetime.fromisoformat("2026-01-01"),
            ],
            [pa.timestamp(unit) for unit in ("s", "ms", "us", "ns")],
        ),
    ],
)
def test_equal_values_stand_together_whatever_type_holds_them(
    values: list[Any], types: list[pa.DataType]
) -> None:
    found = [positions_of(pa.array(values, type_)).tolist() for type_ in types]
    assert found == [found[0]] * len(types)


def test_what_has_no_order() -> None:
    for type_ in (pa.string(), pa.float64(), pa.binary(16), pa.bool_(), pa.decimal256(76, 0)):
        assert not has_order(type_)


@pytest.mark.parametrize("type_", [pa.int8(), pa.int64(), pa.uint64(), pa.date32()], ids=str)
@given(data=st.data())
def test_bounds_miss_no_value(type_: pa.DataType, data: st.DataObject) -> None:
    values = pa.array(data.draw(st.lists(VALUES[type_], min_size=1, max_size=20)), type_)
    low, high = sorted(
        data.draw(st.tuples(*[st.integers(LOWEST, HIGHEST) | st.integers(-300, 300)] * 2))
    )
    limits = bounds(type_, low, high)
    assert limits is not None
    group = [
        Condition("a", operator, pa.scalar(limit, type_))
        for operator, limit in zip((">=", "<="), limits, strict=True)
        if limit is not None
    ]
    passed = pa.table({"a": values})
    if group:
        passed = passed.filter(to_expression((tuple(group),)))
    places = positions_of(values)
    inside = values.filter(pa.array((places >= low) & (places <= high)))
    assert set(inside.to_pylist()) <= set(passed["a"].to_pylist())


def test_ranges_for_people() -> None:
    assert describe_range(pa.int64(), 5, 5) == "5"
    assert describe_range(pa.date32(), 0, 30) == "1970-01-01 to 1970-01-31"
    assert (
        describe_range(pa.timestamp("ns"), 0, 1_000_000)
        == "1970-01-01 00:00:00 to 1970-01-01 00:00:01"
    )
    assert describe_range(pa.int64(), LOWEST, -1) == "NULL to -1"
    assert describe_range(pa.date32(), LOWEST + 1, 0).endswith(" to 1970-01-01")
