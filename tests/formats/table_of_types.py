"""One column for each Arrow type that has a written form, with its extremes and a NULL."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pyarrow as pa

_INT64 = (-(2**63), 2**63 - 1)


def _numbers(type_: pa.DataType, *values: int) -> pa.Array:
    width = pa.int32() if type_.bit_width == 32 else pa.int64()
    return pa.array([*values, None], width).view(type_)


def _integers() -> dict[str, pa.Array]:
    columns = {}
    for bits in (8, 16, 32, 64):
        signed, unsigned = getattr(pa, f"int{bits}")(), getattr(pa, f"uint{bits}")()
        columns[str(signed)] = pa.array([-(2 ** (bits - 1)), 2 ** (bits - 1) - 1, None], signed)
        columns[str(unsigned)] = pa.array([0, 2**bits - 1, None], unsigned)
    return columns


def _decimals() -> dict[str, pa.Array]:
    makers: tuple[tuple[Any, int, int], ...] = (
        (pa.decimal32, 9, 2),
        (pa.decimal64, 18, 2),
        (pa.decimal128, 38, 10),
    )
    makers += ((pa.decimal256, 76, 30), (pa.decimal128, 38, 38), (pa.decimal128, 10, 0))
    columns = {}
    for make, precision, scale in makers:
        largest = Decimal(f"{'9' * precision}E-{scale}")
        smallest = Decimal(1).scaleb(-scale)
        type_ = make(precision, scale)
        columns[str(type_)] = pa.array([largest, largest.copy_negate(), smallest, None], type_)
    return columns


def _times() -> dict[str, pa.Array]:
    columns: dict[str, pa.Array] = {}
    for unit, factor in (("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)):
        for zone in (None, "UTC", "Europe/Copenhagen", "+05:30"):
            first, last = -62_135_596_800 * factor, 253_402_300_800 * factor - 1
            if unit == "ns":
                first, last = -9_223_372_036 * factor, 2**63 - 1
            type_ = pa.timestamp(unit, zone)
            columns[str(type_)] = _numbers(type_, first, -1, 0, last)
        columns[f"duration {unit}"] = _numbers(pa.duration(unit), *_INT64)
        time = pa.time32(unit) if factor < 10**6 else pa.time64(unit)
        columns[f"time {unit}"] = _numbers(time, 0, 86_400 * factor - 1)
    return columns


def _nested() -> dict[str, pa.Array]:
    day, nothing = dt.date(2024, 2, 29), None
    entries = pa.map_(pa.string(), pa.decimal128(5, 2))
    strict = pa.list_(pa.field("item", pa.int32(), nullable=False))
    return {
        "list": pa.array([[1, None], [], nothing], pa.list_(pa.int32())),
        "large list": pa.array([["x", ""], [], nothing], pa.large_list(pa.string())),
        "fixed list": pa.array([[1, 2], nothing, [3, None]], pa.list_(pa.int8(), 2)),
        "strict list": pa.array([[1], [], nothing], strict),
        "list of uuids": pa.ListArray.from_arrays(
            pa.array([0, 1, 1]),
            pa.array([uuid.UUID(int=5).bytes], pa.uuid()),
            type=pa.list_(pa.uuid()),
        ),
        "list of bytes": pa.array([[b"\xff", None], nothing], pa.list_(pa.binary())),
        "list of seconds": pa.array(
            [[dt.datetime(2024, 1, 1, tzinfo=dt.UTC)]], pa.list_(pa.timestamp("s", "UTC"))
        ),
        "list of lists": pa.array([[[1], nothing, []], nothing], pa.list_(pa.list_(pa.int64()))),
        "struct": pa.array(
            [{"a": 1, "b": [day]}, {"a": None, "b": None}, nothing],
            pa.struct([("a", pa.int32()), ("b", pa.list_(pa.date32()))]),
        ),
        "map": pa.array([[("k", Decimal("1.00")), ("l", None)], [], nothing], entries),
    }


def _texts() -> dict[str, pa.Array]:
    words = ["", "é😀", 'a"b', "a,b", "a\r\nb", "\\", "null", "\0", " padded ", "00123", None]
    bytes_ = [b"", b"\xff\x00", b"a\nb", None]
    columns = {
        str(one): pa.array(words, one) for one in (pa.string(), pa.large_string(), pa.string_view())
    }
    columns |= {
        str(one): pa.array(bytes_, one)
        for one in (pa.binary(), pa.large_binary(), pa.binary_view())
    }
    return {
        **columns,
        "fixed binary": pa.array([b"abc", b"\0\0\0", None], pa.binary(3)),
        "uuid": pa.array(
            [uuid.UUID(int=5).bytes, uuid.UUID(int=2**128 - 1).bytes, None], pa.uuid()
        ),
        "json": pa.array(['{"a":1.00,"a":2}', "null", None], pa.json_()),
        "labels": pa.array(["a", "", None], pa.dictionary(pa.int8(), pa.string())),
        "ordered labels": pa.array(
            ["b", "a"], pa.dictionary(pa.uint16(), pa.string(), ordered=True)
        ),
        "numbered": pa.array([7, 9, None], pa.dictionary(pa.int32(), pa.int64())),
    }


FLOATS: Mapping[str, pa.Array] = {
    "half": pa.array([1.5, 65504.0, -0.0, 6e-8, None], pa.float16()),
    "float": pa.array([0.1, 3.4028235e38, -0.0, 1e-45, 16777216.0, None], pa.float32()),
    "double": pa.array([0.1, 5e-324, -0.0, 1.7976931348623157e308, 2.0**53, None], pa.float64()),
}
NOT_FINITE: Mapping[str, pa.Array] = {
    "half nan": pa.array([float("nan"), float("-inf"), None], pa.float16()),
    "float nan": pa.array([float("nan"), float("inf"), None], pa.float32()),
    "double nan": pa.array([float("nan"), float("-inf"), None], pa.float64()),
}
COLUMNS: Mapping[str, pa.Array] = {
    "null": pa.nulls(3),
    "bool": pa.array([True, False, None]),
    "date32": pa.array([dt.date.min, dt.date.max, None], pa.date32()),
    "date64": pa.array([dt.date.min, dt.date.max, None], pa.date64()),
    "interval": pa.array(
        [pa.MonthDayNano([-1, 2, -3]), pa.MonthDayNano([0, 0, 2**63 - 1]), None],
        pa.month_day_nano_interval(),
    ),
    **_integers(),
    **_decimals(),
    **_times(),
    **_texts(),
    **_nested(),
    **FLOATS,
}


def plain(array: Any) -> str:
    """Return the values as text in which NaN equals NaN, and -0.0 does not equal 0.0."""
    if pa.types.is_timestamp(array.type) or pa.types.is_duration(array.type):
        array = array.view(pa.int64())
    return repr(array.to_pylist())
