"""Arrow values as text, both ways and exactly: what CSV, JSON lines and Hive folders hold.

Dates and times are ISO 8601, zoned timestamps in UTC with `Z`, floats the shortest text that
reads back as the same number, decimals with every digit, durations a count of their unit, binary
base64, UUIDs in their usual form, intervals ISO 8601 (`P1M2DT3.000000004S`).
"""

from __future__ import annotations

import base64
import decimal
import re
import uuid
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from datastores.errors import DataError, SchemaMismatchError

_DAYS_OF_YEARS_1_TO_9999 = (-719_162, 2_932_896)
_UNITS_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_SECONDS_PER_DAY = 86_400
# Arrow's parser floors to whole seconds first, which overflows in the first second of ns.
_FIRST_NANOSECOND = -9_223_372_036 * 10**9
_INFINITIES = "(?i)^[+-]?inf(inity)?$"
_INTERVAL = re.compile(r"P(-?\d+)M(-?\d+)DT(-?\d+(?:\.\d{1,9})?)S")
_NANOS = decimal.Decimal(10**9)
SHOWN = 80
"""How many characters of a bad value an error shows."""

# What Arrow and the Python decoders raise for a value they do not take.
CONVERSION_ERRORS = (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError, OverflowError)


def is_text(type_: pa.DataType) -> bool:
    """Return whether the values of a type are text, so that an empty one is not NULL."""
    return bool(
        pa.types.is_string(type_)
        or pa.types.is_large_string(type_)
        or pa.types.is_string_view(type_)
        or isinstance(type_, pa.JsonType)
        or (pa.types.is_dictionary(type_) and is_text(type_.value_type))
    )


def is_binary(type_: pa.DataType) -> bool:
    """Return whether a type holds bytes, of whichever layout."""
    return bool(
        pa.types.is_binary(type_)
        or pa.types.is_large_binary(type_)
        or pa.types.is_binary_view(type_)
        or pa.types.is_fixed_size_binary(type_)
    )


def to_text(array: pa.Array, column: str) -> pa.Array:
    """Return the values as a string array.

    Raises:
        DataError: A value has no exact text, such as a timestamp after the year 9999; named.
        SchemaMismatchError: The type has no text form; nested types are JSON's.
    """
    return _codec(array.type, column)[0](array, column)


def from_text(text: pa.Array, type_: pa.DataType, column: str) -> pa.Array:
    """Return the values that a string array says.

    Raises:
        ArrowInvalid, ValueError: A value does not parse; `explain` finds which.
    """
    return _codec(type_, column)[1](text, type_)


def first_failure(array: pa.Array, convert: Callable[[pa.Array], Any]) -> int:
    """Return the index of the first value that `convert` refuses, by bisection."""
    low, high = 0, len(array)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            convert(array.slice(low, middle - low))
        except CONVERSION_ERRORS:
            high = middle
        else:
            low = middle
    return low


def shown(value: Any) -> str:
    """Return a value as an error shows it: quoted, and cut if it is long."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def encode_dictionary(values: pa.Array, type_: pa.DictionaryType) -> pa.Array:
    """Return plain values as a dictionary array of exactly that type."""
    plain = values.dictionary_encode()
    return pa.DictionaryArray.from_arrays(
        plain.indices.cast(type_.index_type), plain.dictionary, ordered=type_.ordered
    )


def _codec(
    type_: pa.DataType, column: str
) -> tuple[Callable[[pa.Array, str], pa.Array], Callable[[pa.Array, pa.DataType], pa.Array]]:
    for matches, write, read in _CODECS:
        if matches(type_):
            return write, read
    raise SchemaMismatchError(
        f"column {column!r}: the type {type_} has no text form",
        advice="Write Parquet or Arrow files, or convert the column first",
    )


def _cast_to_text(array: pa.Array, _: str) -> pa.Array:
    return array.cast(pa.string())


def _cast_from_text(text: pa.Array, type_: pa.DataType) -> pa.Array:
    return text.cast(type_)


def _null_to_text(array: pa.Array, _: str) -> pa.Array:
    return pa.nulls(len(array), pa.string())


def _null_from_text(text: pa.Array, _: pa.DataType) -> pa.Array:
    if text.null_count != len(text):
        raise ValueError("not NULL")
    return pa.nulls(len(text))


def _integer_from_text(text: pa.Array, type_: pa.DataType) -> pa.Array:
    # Arrow would take 0x10 for 16.
    if pc.any(pc.match_substring(text, "x", ignore_case=True)).as_py():
        raise ValueError("hexadecimal")
    return text.cast(type_)


def _float_from_text(text: pa.Array, type_: pa.DataType) -> pa.Array:
    values = text.cast(type_)
    # Arrow reads 1e400 as infinity without a word.
    wide = values.cast(pa.float64())
    overflow = pc.and_(pc.is_inf(wide), pc.invert(pc.match_substring_regex(text, _INFINITIES)))
    if pc.any(overflow).as_py():
        raise ValueError("out of range")
    return values


def _refuse(array: pa.Array, bad: pa.Array, column: str, why: str) -> None:
    if pc.any(bad).as_py():
        at = pc.index(bad, value=True).as_py()
        value = array[at].cast(pa.int64()).as_py()
        raise DataError(
            f"column {column!r}: the {array.type} value {value} {why}",
            advice="Write Parquet or Arrow files, which hold it",
        )


def _outside(numbers: pa.Array, low: int, high: int) -> pa.Array:
    return pc.or_(pc.less(numbers, low), pc.greater(numbers, high))


def _date_to_text(array: pa.Array, column: str) -> pa.Array:
    if pa.types.is_date64(array.type):
        numbers = array.cast(pa.int64())
        days = pc.divide(numbers, _SECONDS_PER_DAY * 1000)
        partial = pc.not_equal(pc.multiply(days, _SECONDS_PER_DAY * 1000), numbers)
        _refuse(array, partial, column, "is not a whole day")
    else:
        days = array.cast(pa.int32()).cast(pa.int64())
    bad = _outside(days, *_DAYS_OF_YEARS_1_TO_9999)
    if pc.any(bad).as_py():
        _refuse(days, bad, column, "days after 1970 is outside the years 1 to 9999")
    return days.cast(pa.int32()).cast(pa.date32()).cast(pa.string())


def _date_from_text(text: pa.Array, type_: pa.DataType) -> pa.Array:
    return text.cast(pa.date32()).cast(type_)


def _timestamp_to_text(array: pa.Array, column: str) -> pa.Array:
    per_day = _UNITS_PER_SECOND[array.type.unit] * _SECONDS_PER_DAY
    first, last = _DAYS_OF_YEARS_1_TO_9999
    low, high = first * per_day, (last + 1) * per_day - 1
    if array.type.unit == "ns":
        low, high = _FIRST_NANOSECOND, 2**63 - 1
    bad = _outside(array.cast(pa.int64()), low, high)
    _refuse(array, bad, column, "is outside the years that text can hold")
    if array.type.tz is not None:
        # Offsets lose the seconds of historic zones; UTC loses nothing, and the type has the zone.
        array = array.cast(pa.timestamp(array.type.unit, "UTC"))
    return array.cast(pa.string())


def _timestamp_from_text(text: pa.Array, type_: pa.TimestampType) -> pa.Array:
    if type_.tz is None:
        return text.cast(type_)
    return text.cast(pa.timestamp(type_.unit, "UTC")).cast(type_)


def _time_from_text(text: pa.Array, type_: pa.DataType) -> pa.Array:
    moments = pc.binary_join_element_wise("1970-01-01", text, " ").cast(pa.timestamp(type_.unit))
    numbers = moments.cast(pa.int64())
    return numbers.cast(pa.int32() if pa.types.is_time32(type_) else pa.int64()).cast(type_)


def _duration_to_text(array: pa.Array, _: str) -> pa.Array:
    return array.cast(pa.int64()).cast(pa.string())


def _duration_from_text(text: pa.Array, type_: pa.DataType) -> pa.Array:
    return _integer_from_text(text, pa.int64()).cast(type_)


def _each(
    array: pa.Array, convert: Callable[[Any], Any], type_: pa.DataType | None = None
) -> pa.Array:
    converted = [None if value is None else convert(value) for value in array.to_pylist()]
    return pa.array(converted, type_ or pa.string())


def _binary_to_text(array: pa.Array, _: str) -> pa.Array:
    return _each(array, lambda value: base64.b64encode(value).decode())


def _binary_from_text(text: pa.Array, type_: pa.DataType) -> pa.Array:
    return _each(text, lambda value: base64.b64decode(value, validate=True), type_)


def _uuid_to_text(array: pa.Array, _: str) -> pa.Array:
    return _each(array.storage, lambda value: str(uuid.UUID(bytes=value)))


def _uuid_from_text(text: pa.Array, type_: pa.DataType) -> pa.Array:
    storage = _each(text, lambda value: uuid.UUID(value).bytes, pa.binary(16))
    return pa.ExtensionArray.from_storage(type_, storage)


def _json_to_text(array: pa.Array, _: str) -> pa.Array:
    return array.storage.cast(pa.string())


def _json_from_text(text: pa.Array, type_: pa.BaseExtensionType) -> pa.Array:
    return pa.ExtensionArray.from_storage(type_, text.cast(type_.storage_type))


def _interval_to_text(array: pa.Array, _: str) -> pa.Array:
    def write(value: Any) -> str:
        seconds = decimal.Decimal(value.nanoseconds) / _NANOS
        return f"P{value.months}M{value.days}DT{seconds:f}S"

    return _each(array, write)


def _interval_from_text(text: pa.Array, type_: pa.DataType) -> pa.Array:
    def read(value: str) -> Any:
        match = _INTERVAL.fullmatch(value)
        if match is None:
            raise ValueError("not an interval")
        months, days, seconds = match.groups()
        return pa.MonthDayNano([int(months), int(days), int(decimal.Decimal(seconds) * _NANOS)])

    return _each(text, read, type_)


def _dictionary_to_text(array: pa.Array, column: str) -> pa.Array:
    return to_text(array.cast(array.type.value_type), column)


def _dictionary_from_text(text: pa.Array, type_: pa.DictionaryType) -> pa.Array:
    return encode_dictionary(from_text(text, type_.value_type, ""), type_)


_CODECS: tuple[tuple[Callable[[pa.DataType], bool], Any, Any], ...] = (
    (pa.types.is_dictionary, _dictionary_to_text, _dictionary_from_text),
    (lambda type_: isinstance(type_, pa.JsonType), _json_to_text, _json_from_text),
    (is_text, _cast_to_text, _cast_from_text),
    (pa.types.is_null, _null_to_text, _null_from_text),
    (pa.types.is_boolean, _cast_to_text, _cast_from_text),
    (pa.types.is_integer, _cast_to_text, _integer_from_text),
    (pa.types.is_floating, _cast_to_text, _float_from_text),
    (pa.types.is_decimal, _cast_to_text, _cast_from_text),
    (pa.types.is_date, _date_to_text, _date_from_text),
    (pa.types.is_timestamp, _timestamp_to_text, _timestamp_from_text),
    (pa.types.is_time, _cast_to_text, _time_from_text),
    (pa.types.is_duration, _duration_to_text, _duration_from_text),
    (is_binary, _binary_to_text, _binary_from_text),
    (lambda type_: isinstance(type_, pa.UuidType), _uuid_to_text, _uuid_from_text),
    (pa.types.is_interval, _interval_to_text, _interval_from_text),
)
