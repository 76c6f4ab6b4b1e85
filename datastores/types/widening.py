"""Which Arrow types hold every value of which others, as a table; and rows that are made to fit a schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pyarrow as pa

from datastores.types.canonical import is_binary, is_text
from datastores.types.cast import cast_column

# Decimal digits of the longest value.
_DIGITS: Mapping[pa.DataType, int] = {
    pa.int8(): 3,
    pa.int16(): 5,
    pa.int32(): 10,
    pa.int64(): 19,
    pa.uint8(): 3,
    pa.uint16(): 5,
    pa.uint32(): 10,
    pa.uint64(): 20,
}
# Nanoseconds in 64 bits reach from 1677 to 2262 only.
_MOMENTS: Mapping[str, int] = {"s": 0, "ms": 1, "us": 2}
_TIMES: Mapping[str, int] = {"s": 0, "ms": 1, "us": 2, "ns": 3}


def holds_all(wide: pa.DataType, narrow: pa.DataType) -> bool:
    """Return whether each value of one type has an equal of the same kind in the other."""
    if wide == narrow or pa.types.is_null(narrow):
        return True
    if pa.types.is_dictionary(narrow):
        return holds_all(wide, narrow.value_type)
    return any(
        is_wide(wide) and is_narrow(narrow) and holds(wide, narrow)
        for is_wide, is_narrow, holds in _ROWS
    )


def fitted(batch: pa.RecordBatch, schema: pa.Schema, *, first_row: int) -> pa.RecordBatch:
    """Return rows with a schema's columns: NULL where a batch has none, else each value the same.

    Raises:
        DataError: A value has no equal in its column's type; named.
    """
    arrays, names = [], set(batch.schema.names)
    for one in schema:
        if one.name not in names:
            array = pa.nulls(batch.num_rows, one.type)
        else:
            array = batch.column(one.name)
            if array.type != one.type:
                array = cast_column(array, one.type, name=one.name, first_row=first_row)
        arrays.append(array)
    return pa.RecordBatch.from_arrays(arrays, names=schema.names)


def _integers(wide: pa.DataType, narrow: pa.DataType) -> bool:
    if pa.types.is_signed_integer(wide) == pa.types.is_signed_integer(narrow):
        return bool(wide.bit_width >= narrow.bit_width)
    return bool(pa.types.is_signed_integer(wide) and wide.bit_width > narrow.bit_width)


def _whole_digits(wide: pa.DataType, narrow: pa.DataType) -> bool:
    return bool(wide.scale >= 0 and wide.precision - wide.scale >= _DIGITS[narrow])


def _decimals(wide: pa.DataType, narrow: pa.DataType) -> bool:
    whole, others = wide.precision - wide.scale, narrow.precision - narrow.scale
    return bool(whole >= others and wide.scale >= narrow.scale)


def _widths(wide: pa.DataType, narrow: pa.DataType) -> bool:
    return bool(wide.bit_width >= narrow.bit_width)


def _moments(wide: pa.DataType, narrow: pa.DataType) -> bool:
    zones = [getattr(one, "tz", None) for one in (wide, narrow)]
    units = [_MOMENTS.get(one.unit, -1) for one in (wide, narrow)]
    return zones[0] == zones[1] and -1 not in units and units[0] >= units[1]


def _times(wide: pa.DataType, narrow: pa.DataType) -> bool:
    return _TIMES[wide.unit] >= _TIMES[narrow.unit]


def _elements(wide: pa.DataType, narrow: pa.DataType) -> bool:
    return holds_all(wide.value_type, narrow.value_type)


def _entries(wide: pa.DataType, narrow: pa.DataType) -> bool:
    return holds_all(wide.key_type, narrow.key_type) and holds_all(wide.item_type, narrow.item_type)


def _members(wide: pa.DataType, narrow: pa.DataType) -> bool:
    return [one.name for one in wide] == [one.name for one in narrow] and all(
        holds_all(one.type, other.type) for one, other in zip(wide, narrow, strict=True)
    )


def _always(_: pa.DataType, __: pa.DataType) -> bool:
    return True


def _is_list(type_: pa.DataType) -> bool:
    return bool(pa.types.is_list(type_) or pa.types.is_large_list(type_))


def _is_any_binary(type_: pa.DataType) -> bool:
    return is_binary(type_) and not pa.types.is_fixed_size_binary(type_)


_Test = Callable[[pa.DataType], bool]
_ROWS: tuple[tuple[_Test, _Test, Callable[[pa.DataType, pa.DataType], bool]], ...] = (
    (pa.types.is_integer, pa.types.is_integer, _integers),
    (pa.types.is_decimal, pa.types.is_integer, _whole_digits),
    (pa.types.is_decimal, pa.types.is_decimal, _decimals),
    (pa.types.is_floating, pa.types.is_floating, _widths),
    (is_text, is_text, _always),
    (_is_any_binary, is_binary, _always),
    (pa.types.is_date, pa.types.is_date, _widths),
    (pa.types.is_time, pa.types.is_time, _times),
    (pa.types.is_timestamp, pa.types.is_timestamp, _moments),
    (pa.types.is_duration, pa.types.is_duration, _moments),
    (_is_list, _is_list, _elements),
    (_is_list, pa.types.is_fixed_size_list, _elements),
    (pa.types.is_map, pa.types.is_map, _entries),
    (pa.types.is_struct, pa.types.is_struct, _members),
)
