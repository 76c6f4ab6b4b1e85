"""Values that have an order, as 64-bit numbers of the same order, whatever type holds them.

Equal values have equal positions. So may close ones: what is finer than a whole number, a day or a
microsecond counts for nothing, and what lies beyond 64 bits stands at their ends.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Positions = npt.NDArray[np.int64]

LOWEST, HIGHEST = -(2**63), 2**63 - 1
"""NULL stands at the lowest."""

_MILLISECONDS_PER_DAY = 86_400_000
# What a microsecond is worth in the unit, and the other way round.
_MICROSECONDS = {"s": 1_000_000, "ms": 1_000, "us": 1}
_NANOSECONDS_PER_MICROSECOND = 1_000
_MAX_DIGITS = 76
_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001  # what a clock shows, or UTC


def has_order(type_: pa.DataType) -> bool:
    """Return whether the values have positions: integers, decimals, dates and timestamps."""
    return bool(
        pa.types.is_integer(type_)
        or pa.types.is_date(type_)
        or pa.types.is_timestamp(type_)
        or (pa.types.is_decimal(type_) and type_.scale >= 0 and type_.precision < _MAX_DIGITS)
    )


def positions_of(array: pa.Array) -> Positions:
    """Return the position of each value; the type is one that `has_order`."""
    type_ = array.type
    if pa.types.is_decimal(type_):
        found = _decimals(array)
    elif type_ == pa.uint64():
        found = np.minimum(_numbers(array, type_), np.uint64(HIGHEST)).astype(np.int64)
    elif pa.types.is_integer(type_):
        found = _numbers(array, pa.int64())
    elif pa.types.is_date32(type_):
        found = _numbers(array.view(pa.int32()), pa.int64())
    elif pa.types.is_date64(type_):
        found = _numbers(array.view(pa.int64()), pa.int64()) // _MILLISECONDS_PER_DAY
    elif type_.unit == "ns":
        found = _numbers(array.view(pa.int64()), pa.int64()) // _NANOSECONDS_PER_MICROSECOND
    else:
        factor = _MICROSECONDS[type_.unit]
        numbers = _numbers(array.view(pa.int64()), pa.int64())
        found = np.clip(numbers, LOWEST // factor + 1, HIGHEST // factor) * factor
    if array.null_count:
        found[array.is_null().to_numpy(zero_copy_only=False)] = LOWEST
    return found


def describe_range(type_: pa.DataType, low: int, high: int) -> str:
    """Return the values between two positions for people: `700 to 799`."""
    first, last = (_describe(type_, one) for one in (low, high))
    return first if first == last else f"{first} to {last}"


def bounds(type_: pa.DataType, low: int, high: int) -> tuple[Any, Any] | None:
    """Return the values to compare with so that no value between two positions is missed.

    None for a type whose comparisons are not the same in every store. A bound is None where every
    value of the type meets it.
    """
    if pa.types.is_integer(type_):
        limits = np.iinfo(type_.to_pandas_dtype())
        lowest, highest = int(limits.min), min(int(limits.max), HIGHEST)
        return (
            None if low <= lowest else min(low, highest),
            None if high >= highest else max(high, lowest),
        )
    if pa.types.is_date32(type_):
        return _date(low), _date(high)
    return None


def _numbers(array: pa.Array, type_: pa.DataType) -> Any:
    # A copy: what Arrow hands out may not be written to.
    return np.array(array.cast(type_).fill_null(0))


def _decimals(array: pa.Array) -> Positions:
    # Rounding down may need one digit more.
    wide = array.cast(pa.decimal256(array.type.precision + 1, array.type.scale))
    whole = pc.floor(wide.fill_null(0)).cast(pa.decimal256(_MAX_DIGITS, 0))
    words = np.frombuffer(whole.buffers()[1], np.int64, count=4 * (whole.offset + len(whole)))
    words = words.reshape(-1, 4)[whole.offset :]
    fits = (words[:, 1:] == (words[:, :1] >> 63)).all(axis=1)
    return np.where(fits, words[:, 0], np.where(words[:, 3] < 0, LOWEST, HIGHEST))


def _date(days: int) -> dt.date | None:
    with contextlib.suppress(OverflowError):
        return _EPOCH.date() + dt.timedelta(days)
    return None


def _describe(type_: pa.DataType, position: int) -> str:
    if position == LOWEST:
        return "NULL"
    with contextlib.suppress(OverflowError):
        if pa.types.is_date(type_):
            return str(_EPOCH.date() + dt.timedelta(position))
        if pa.types.is_timestamp(type_):
            return str(_EPOCH + dt.timedelta(microseconds=position))
    return str(position)
