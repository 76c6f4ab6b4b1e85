"""Types are comparable exactly where their equal values have one digest."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from itertools import product
from typing import Any

import pyarrow as pa
import pytest

from datastores.errors import SchemaMismatchError
from datastores.types.digest import Digest
from datastores.types.kinds import comparable

DAY = dt.datetime.fromisoformat("2026-05-01")
FAMILIES: list[list[pa.Array]] = [
    [
        pa.array([5], pa.int8()),
        pa.array([5], pa.uint64()),
        pa.array([Decimal(5)], pa.decimal128(9, 2)),
        pa.array([Decimal(5)], pa.decimal256(50, 0)),
        pa.array([5], pa.int32()).dictionary_encode(),
    ],
    [pa.array([5.0], pa.float32()), pa.array([5.0], pa.float64())],
    [pa.array([True])],
    [pa.array([DAY], pa.timestamp("s")), pa.array([DAY], pa.timestamp("ns"))],
    [pa.array([DAY], pa.timestamp("ms", "UTC")), pa.array([DAY], pa.timestamp("us", "Asia/Tokyo"))],
    [pa.array([DAY.date()], pa.date32()), pa.array([DAY.date()], pa.date64())],
    [pa.array([5], pa.time32("s")), pa.array([5_000_000], pa.time64("us"))],
    [pa.array([5], pa.duration("s")), pa.array([5_000], pa.duration("ms"))],
    [pa.array([(1, 2, 3)], pa.month_day_nano_interval())],
    [
        pa.array(["5"]),
        pa.array(["5"], pa.large_string()),
        pa.array(["5"], pa.string_view()),
        pa.array(["5"]).dictionary_encode(),
    ],
    [
        pa.array([b"5"]),
        pa.array([b"5"], pa.binary(1)),
        pa.array([b"5"], pa.binary_view()),
    ],
    [
        pa.array([[5]]),
        pa.array([[5]], pa.large_list(pa.int8())),
        pa.array([[5]], pa.list_(pa.uint8(), 1)),
        pa.array([[5]], pa.list_view(pa.int8())),
    ],
    [pa.array([["5"]])],
    [pa.array([{"a": 5}]), pa.array([{"a": 5}], pa.struct([("a", pa.uint8())]))],
    [pa.array([{"b": 5}])],
    [pa.array([[("a", 5)]], pa.map_(pa.string(), pa.int8()))],
    [pa.array([[("a", "5")]], pa.map_(pa.string(), pa.string()))],
]
ARRAYS = [(number, array) for number, family in enumerate(FAMILIES) for array in family]


def digest(array: pa.Array) -> Digest:
    return Digest.of([pa.record_batch({"a": array})])


@pytest.mark.parametrize(("number", "one"), ARRAYS, ids=lambda one: getattr(one, "type", one))
def test_comparable_types_are_those_of_one_digest(number: int, one: pa.Array) -> None:
    for other_number, other in ARRAYS:
        assert comparable(one.type, other.type) == (number == other_number), other.type
        assert (digest(one) == digest(other)) == (number == other_number), other.type


def test_a_column_of_nulls_goes_with_every_type() -> None:
    nulls = pa.nulls(2)
    for _, array in ARRAYS:
        assert comparable(array.type, nulls.type)
        assert digest(pa.nulls(2, array.type)) == digest(nulls)


def test_what_stands_for_another_type() -> None:
    for array, plain in (
        (pa.array(["a"], pa.string()).cast(pa.json_()), pa.string()),
        (pa.RunEndEncodedArray.from_arrays([1], [5]), pa.int32()),
    ):
        assert comparable(array.type, plain)


def test_a_type_without_canonical_values_is_refused() -> None:
    union: Any = pa.dense_union([pa.field("a", pa.int8())])
    for types in product((union, pa.int8()), repeat=2):
        if union in types:
            with pytest.raises(SchemaMismatchError, match="union"):
                comparable(*types)
