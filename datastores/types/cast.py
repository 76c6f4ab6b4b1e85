"""Casts of whole columns that are exact, or refused by naming a value.

Every result is cast back and compared as `canonical.py` compares, so nothing rests on what Arrow's
own checks happen to catch. Text is the exception, since `00123` as a number is what was asked for:

- whole numbers and decimals are read digit by digit, and a digit that does not fit is refused
- a float is the one nearest to the text, and a finite number never becomes an infinity or zero
- dates and times are ISO 8601; a zone must be there exactly if the type has one

Two conventions: a timestamp without a zone shows UTC when a zone comes or goes, and a float is the
decimal number that its shortest text says, so 0.1 as a decimal is 0.1.
"""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from datastores.errors import DataError, SchemaMismatchError
from datastores.types.canonical import hash_values, is_binary, is_text
from datastores.types.text import describe_type

_SHOWN_CHARACTERS = 60
_MAX_DECIMAL_DIGITS = 76
# As many digits as the longest integer has.
_INTEGER_DIGITS = 20


def check_cast(source: pa.DataType, target: pa.DataType, *, name: str) -> None:
    """Raise unless some values of the one type have an exact form in the other.

    Raises:
        SchemaMismatchError: There is no such conversion; the message names the column.
    """
    try:
        _cast_exactly(pa.array([], source), target)
    except (pa.ArrowNotImplementedError, _NoCastError) as error:
        raise SchemaMismatchError(
            f"column {name!r}: no exact conversion leads from "
            f"{describe_type(source)} to {describe_type(target)}",
            advice="Leave the column as it is, or convert it in a query",
        ) from error


def cast_column(array: pa.Array, target: pa.DataType, *, name: str, first_row: int) -> pa.Array:
    """Return the same values in another type.

    Args:
        name: The column's name, for the error.
        first_row: The number of the array's first row, for the error.

    Raises:
        DataError: A value has no exact form there; the message has the first one and its row.
    """
    try:
        return _cast_exactly(array, target)
    except (pa.ArrowInvalid, _InexactError) as error:
        index = _first_unfit(array, target)
        raise DataError(
            f"column {name!r}, row {first_row + index}: "
            f"{show(array[index])} has no exact form as {describe_type(target)}",
            advice="Choose a type that holds every value, or leave the column as it is",
        ) from error


class _NoCastError(Exception):
    """No conversion leads from one type to the other."""


class _InexactError(Exception):
    """A value would change."""


def _cast_exactly(array: pa.Array, target: pa.DataType) -> pa.Array:
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), target)
    if isinstance(array.type, pa.BaseExtensionType) or isinstance(target, pa.BaseExtensionType):
        return _cast_extension(array, target)
    plain = _plain(array)
    result = _cast(plain, target)
    if is_text(plain.type):
        _check_read(plain, _plain(result))
    elif not _same_values(plain, _cast(_plain(result), plain.type)):
        raise _InexactError
    return result


def _cast_extension(array: pa.Array, target: pa.DataType) -> pa.Array:
    # An extension's text may differ from its storage: a UUID's sixteen bytes are not its digits.
    old, new = _storage(array.type), _storage(target)
    if old != new and not any(is_kind(old) and is_kind(new) for is_kind in (is_text, is_binary)):
        raise _NoCastError
    storage = array.storage if isinstance(array.type, pa.BaseExtensionType) else array
    result = _cast_exactly(storage, new)
    return target.wrap_array(result) if isinstance(target, pa.BaseExtensionType) else result


def _storage(type_: pa.DataType) -> pa.DataType:
    return type_.storage_type if isinstance(type_, pa.BaseExtensionType) else type_


def _plain(array: pa.Array) -> pa.Array:
    """Return the values in a layout that Arrow's casts take: no dictionary, run ends or views."""
    if pa.types.is_dictionary(array.type):
        return _plain(array.dictionary_decode())
    if pa.types.is_run_end_encoded(array.type):
        return _plain(pc.run_end_decode(array))
    if pa.types.is_nested(array.type):
        # Arrow casts every element below, also those outside a slice or under a NULL.
        return array.take(pa.array(range(len(array)), pa.int64()))
    if pa.types.is_string_view(array.type):
        return array.cast(pa.large_string())
    if pa.types.is_binary_view(array.type):
        return array.cast(pa.large_binary())
    return array


def _same_values(before: pa.Array, after: pa.Array) -> bool:
    return bool((hash_values(before) == hash_values(after)).all())


def _first_unfit(array: pa.Array, target: pa.DataType) -> int:
    """Return the index of the first value that does not fit, given that one does not."""
    low, high = 0, len(array)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            _cast_exactly(array.slice(low, middle - low), target)
        except (pa.ArrowInvalid, _InexactError):
            high = middle
        else:
            low = middle
    return low


def show(scalar: pa.Scalar) -> str:
    """Return a value's text for people, cut where it is long."""
    if not scalar.is_valid:
        return "NULL"
    try:
        # Arrow's text, unlike Python's dates and times, exists for every value.
        plain = is_text(scalar.type) or is_binary(scalar.type)
        text = repr(scalar.as_py()) if plain else str(scalar.cast(pa.string()).as_py())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        text = _flat(scalar)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def _flat(scalar: pa.Scalar) -> str:
    try:
        return repr(scalar.as_py())
    except (ValueError, OverflowError):
        return f"a value of type {describe_type(scalar.type)}"


def _cast(array: pa.Array, target: pa.DataType) -> pa.Array:
    """Cast by the first route that claims the two types, else as Arrow does."""
    if array.type == target:
        return array
    for is_source, is_target, route in _ROUTES:
        if is_source(array.type) and is_target(target):
            return route(array, target)
    return array.cast(target)


def _integer_to_decimal(array: pa.Array, target: pa.DataType) -> pa.Array:
    # Arrow asks for room for every int64, whatever the values are; the values decide here.
    return (
        array.cast(pa.decimal256(_INTEGER_DIGITS, 0))
        .cast(pa.decimal256(_MAX_DECIMAL_DIGITS, max(target.scale, 0)))
        .cast(target)
    )


def _through_text(array: pa.Array, target: pa.DataType) -> pa.Array:
    # Between floats and decimals Arrow rounds by arithmetic; texts round correctly or not at all.
    return array.cast(pa.large_string()).cast(target)


def _nearest(array: pa.Array, target: pa.DataType) -> pa.Array:
    # Arrow refuses every integer above 2**53, also those that are floats; casting back decides.
    return array.cast(target, safe=False)


def _text_to_integer(array: pa.Array, target: pa.DataType) -> pa.Array:
    # Arrow reads hexadecimal, and 0xFF as the int8 -1.
    if pc.any(pc.match_substring(array, "x", ignore_case=True)).as_py():
        raise _InexactError
    return array.cast(target)


def _text_to_time(array: pa.Array, target: pa.DataType) -> pa.Array:
    day = pa.scalar("1970-01-01T", array.type)
    stamps = pc.binary_join_element_wise(day, array, pa.scalar("", array.type))
    return stamps.cast(pa.timestamp(target.unit)).cast(target)


def _to_dictionary(array: pa.Array, target: pa.DataType) -> pa.Array:
    encoded = _cast(array, target.value_type).dictionary_encode()
    indices = encoded.indices.cast(target.index_type)
    return pa.DictionaryArray.from_arrays(indices, encoded.dictionary, ordered=target.ordered)


def _to_null(array: pa.Array, target: pa.DataType) -> pa.Array:
    if array.null_count != len(array):
        raise _InexactError
    return pa.nulls(len(array), target)


def _check_read(text: pa.Array, result: pa.Array) -> None:
    """Refuse finite numbers that a float's range turned into an infinity or zero."""
    if not pa.types.is_floating(result.type):
        return
    wide = result.cast(pa.float64())
    infinite = pc.and_(pc.is_inf(wide), pc.match_substring_regex(text, "[0-9]"))
    vanished = pc.and_(pc.equal(wide, 0.0), pc.match_substring_regex(text, "^[^eE]*[1-9]"))
    if pc.any(pc.or_(infinite, vanished)).as_py():
        raise _InexactError


def _is_any(_: pa.DataType) -> bool:
    return True


_Predicate = Callable[[pa.DataType], bool]
_ROUTES: tuple[tuple[_Predicate, _Predicate, Callable[[pa.Array, pa.DataType], pa.Array]], ...] = (
    (_is_any, pa.types.is_null, _to_null),
    (_is_any, pa.types.is_dictionary, _to_dictionary),
    (pa.types.is_integer, pa.types.is_decimal, _integer_to_decimal),
    (pa.types.is_integer, pa.types.is_floating, _nearest),
    (pa.types.is_floating, pa.types.is_decimal, _through_text),
    (pa.types.is_decimal, pa.types.is_floating, _through_text),
    (is_text, pa.types.is_integer, _text_to_integer),
    (is_text, pa.types.is_time, _text_to_time),
)
