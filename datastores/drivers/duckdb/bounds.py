"""What DuckDB and Arrow have no common value for: infinite dates, 24:00, fractions of a microsecond."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from datastores.drivers.sql.convert import misfit
from datastores.errors import DataError

_DAY = 86_400
_UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
# DuckDB's finite range is -290308 to 294247; its infinities are the ends of int64 and their
# negatives, and lower numbers stop the whole database.
# https://duckdb.org/docs/stable/sql/data_types/timestamp
_FIRST_MICROSECOND, _LAST_MICROSECOND = -9_223_372_022_400_000_000, 2**63 - 2
_FIRST_NANOSECOND = -9_223_286_400_000_000_000
# https://duckdb.org/docs/stable/sql/data_types/date
_FIRST_DAY, _LAST_DAY = -(2**31) + 2, 2**31 - 2


def check_bounds(array: pa.Array, column: str) -> None:
    """Refuse the values of one array that one of both sides has no word for."""
    type_ = array.type
    if len(array) == array.null_count:
        return
    if pa.types.is_interval(type_):
        _check_interval(array, column)
        return
    bounds = _bounds(type_)
    if bounds is None:
        return
    first, last, width = bounds
    numbers = array.view(width)
    extremes = pc.min_max(numbers)
    if extremes["min"].as_py() < first or extremes["max"].as_py() > last:
        outside = pc.or_(pc.less(numbers, first), pc.greater(numbers, last))
        at = pc.index(pc.fill_null(outside, fill_value=False), value=True).as_py()
        raise DataError(
            f"column {column!r}: the {type_} number {numbers[at].as_py()} is infinite or out of range",
            advice="Arrow and DuckDB have no common value for it; convert it to text or NULL",
        )


def _bounds(type_: pa.DataType) -> tuple[int, int, pa.DataType] | None:
    if pa.types.is_date32(type_):
        return _FIRST_DAY, _LAST_DAY, pa.int32()
    if pa.types.is_time(type_):
        width = pa.int32() if type_.bit_width == 32 else pa.int64()  # noqa: PLR2004
        return 0, _DAY * _UNITS[type_.unit] - 1, width
    if pa.types.is_timestamp(type_):
        if type_.unit == "ns":
            return _FIRST_NANOSECOND, _LAST_MICROSECOND, pa.int64()
        per = _UNITS["us"] // _UNITS[type_.unit]
        return -(-_FIRST_MICROSECOND // per), _LAST_MICROSECOND // per, pa.int64()
    return None


def _check_interval(array: pa.Array, column: str) -> None:
    # Sixteen bytes each: months and days as int32, nanoseconds as int64.
    halves = pa.Array.from_buffers(
        pa.int64(), 2 * (array.offset + len(array)), [None, array.buffers()[1]]
    )
    nanoseconds = halves.take(pa.array(range(2 * array.offset + 1, len(halves), 2), pa.int64()))
    whole = pc.multiply(pc.divide(nanoseconds, 1_000), 1_000)
    wrong = pc.and_(pc.not_equal(whole, nanoseconds), array.is_valid())
    if pc.any(wrong).as_py():
        raise misfit(array[pc.index(wrong, value=True).as_py()], "microseconds", column)
