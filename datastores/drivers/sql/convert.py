"""Arrow arrays from one type to another, exactly or not at all: at the border to an engine, both ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datastores.errors import DataError

Check = Callable[[pa.Array, str], None]
"""Refuses values of an array, given the column's name, that the engine has no word for."""


def convert(
    array: pa.Array, target: pa.DataType, column: str, check: Check | None = None
) -> pa.Array:
    """Return the array as another type, each value the same.

    Args:
        array: Of a type for which `convertible` holds.
        target: The wanted type; if it is the array's own, only `check` is made.
        column: Named in errors.
        check: Of every array of a plain type, as it comes out.

    Raises:
        DataError: A value has no equal in the target type; column and value are named.
    """
    if pa.types.is_null(target):
        return _to_null(array, column)
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), target)
    if pa.types.is_dictionary(array.type) and array.type != target:
        return convert(array.dictionary_decode(), target, column, check)
    if pa.types.is_dictionary(target) and array.type != target:
        values = convert(array, target.value_type, column, check)
        return _cast_dictionary(values, target, column)
    if nested := _nested(target):
        work = array.type != target or (check is not None and _holds_temporal(target))
        return nested(array, target, column, check) if work else array
    converted = array if array.type == target else _cast(array, target, column)
    if check:
        check(converted, column)
    return converted


def convertible(source: pa.DataType, target: pa.DataType) -> bool:
    """Whether a value of one type can have an equal in the other; values may still be refused."""
    if source == target or pa.types.is_null(source):
        return True
    if pa.types.is_dictionary(source):
        return convertible(source.value_type, target)
    if pa.types.is_dictionary(target):
        return convertible(source, target.value_type)
    if _is_list(source) and _is_list(target):
        sizes = {getattr(one, "list_size", None) for one in (source, target)} - {None}
        return len(sizes) < 2 and convertible(source.value_type, target.value_type)  # noqa: PLR2004
    if pa.types.is_map(source) and pa.types.is_map(target):
        return convertible(source.key_type, target.key_type) and convertible(
            source.item_type, target.item_type
        )
    if pa.types.is_struct(source) and pa.types.is_struct(target):
        return [one.name for one in source] == [one.name for one in target] and all(
            convertible(one.type, other.type) for one, other in zip(source, target, strict=True)
        )
    return _kind(source) == _kind(target) or (_kind(source), _kind(target)) in _ALSO


_ALSO = {("integer", "float"), ("integer", "decimal"), ("json", "text"), ("text", "json")}


def _kind(type_: pa.DataType) -> str:
    """Return the family within which values can be compared across types."""
    if pa.types.is_timestamp(type_):
        return "instant" if type_.tz else "timestamp"
    for kind, tests in _KINDS.items():
        if any(test(type_) for test in tests):
            return kind
    return str(type_)


_KINDS: Mapping[str, tuple[Callable[[pa.DataType], bool], ...]] = {
    "integer": (pa.types.is_integer,),
    "float": (pa.types.is_floating,),
    "decimal": (pa.types.is_decimal,),
    "text": (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
    "bytes": (
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_fixed_size_binary,
        pa.types.is_binary_view,
    ),
    "date": (pa.types.is_date,),
    "time": (pa.types.is_time,),
    "duration": (pa.types.is_duration,),
    "json": (lambda type_: isinstance(type_, pa.JsonType),),
}


def _is_list(type_: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(type_)
        or pa.types.is_large_list(type_)
        or pa.types.is_fixed_size_list(type_)
        or _is_list_view(type_)
    )


def _is_list_view(type_: pa.DataType) -> bool:
    return bool(pa.types.is_list_view(type_) or pa.types.is_large_list_view(type_))


def _holds_temporal(type_: pa.DataType) -> bool:
    if pa.types.is_temporal(type_):
        return True
    return any(_holds_temporal(type_.field(at).type) for at in range(type_.num_fields))


def _nested(target: pa.DataType) -> Callable[[Any, Any, str, Check | None], Any] | None:
    if _is_list(target):
        return _convert_list
    if pa.types.is_map(target):
        return _convert_map
    if pa.types.is_struct(target):
        return _convert_struct
    return None


def _convert_struct(
    array: pa.Array, target: pa.DataType, column: str, check: Check | None
) -> pa.Array:
    # flatten() carries the parent's NULLs down, so that what lies under them is not converted.
    children = [
        convert(child, field.type, column, check)
        for child, field in zip(array.flatten(), target, strict=True)
    ]
    mask = array.is_null() if array.null_count else None
    return pa.StructArray.from_arrays(children, fields=list(target), mask=mask)


def _convert_list(
    array: pa.Array, target: pa.DataType, column: str, check: Check | None
) -> pa.Array:
    valid = array.is_valid()
    if pa.types.is_fixed_size_list(target):
        values = _fixed_values(array, target.list_size, column)
        values = convert(values, target.value_type, column, check)
        mask = pc.invert(valid) if array.null_count else None
        return pa.FixedSizeListArray.from_arrays(values, type=target, mask=mask)
    lengths = pc.fill_null(pc.list_value_length(array), 0).cast(pa.int64())
    offsets = pa.concat_arrays([pa.array([0], pa.int64()), pc.cumulative_sum(lengths)])
    values = convert(_values(array, lengths), target.value_type, column, check)
    mask = pc.invert(valid) if array.null_count else None
    large = pa.types.is_large_list(target) or pa.types.is_large_list_view(target)
    whole = pa.int64() if large else pa.int32()
    bounds = offsets.cast(whole)
    if _is_list_view(target):
        views = pa.LargeListViewArray if large else pa.ListViewArray
        return views.from_arrays(bounds[:-1], lengths.cast(whole), values, type=target, mask=mask)
    lists = pa.LargeListArray if large else pa.ListArray
    return lists.from_arrays(bounds, values, type=target, mask=mask)


def _values(array: pa.Array, lengths: pa.Array) -> pa.Array:
    """Return the values of all lists, one after the other."""
    if pa.types.is_fixed_size_list(array.type):
        return array.flatten()
    if _is_list_view(array.type):
        # Arrow's cast of views to lists is wrong where a NULL stands.
        starts, sizes = (one.to_numpy().astype(np.int64) for one in (array.offsets, lengths))
        before = np.cumsum(sizes) - sizes
        indices = np.arange(int(sizes.sum())) + np.repeat(starts - before, sizes)
        return array.values.take(pa.array(indices))
    offsets = array.offsets
    first, end = offsets[0].as_py(), offsets[-1].as_py()
    # flatten() copies, and knows no extension types; it is needed only if a NULL hides values.
    hides = (pc.sum(lengths).as_py() or 0) != end - first
    return array.flatten() if hides else array.values.slice(first, end - first)


def _fixed_values(array: pa.Array, size: int, column: str) -> pa.Array:
    """Return `size` values for each slot, NULL ones included."""
    if pa.types.is_fixed_size_list(array.type):
        return array.values.slice(array.offset * size, len(array) * size)
    lengths = pc.list_value_length(array)
    wrong = pc.fill_null(pc.not_equal(lengths, size), fill_value=False)
    if pc.any(wrong).as_py():
        at = pc.index(wrong, value=True).as_py()
        raise misfit(array[at], pa.list_(array.type.value_type, size), column)
    # A NULL slot has no values in a list, and needs some in a list of fixed size.
    starts = pc.fill_null(pc.cumulative_sum(pc.fill_null(lengths, 0).cast(pa.int64())), 0)
    filled = pc.is_valid(array)
    indices: list[int | None] = []
    for end, valid in zip(starts.to_pylist(), filled.to_pylist(), strict=True):
        indices.extend(range(end - size, end) if valid else [None] * size)
    return _values(array, pc.fill_null(lengths, 0)).take(pa.array(indices, pa.int64()))


def _convert_map(
    array: pa.Array, target: pa.DataType, column: str, check: Check | None
) -> pa.Array:
    as_list = array.cast(pa.list_(pa.struct([array.type.key_field, array.type.item_field])))
    lengths = pc.fill_null(pc.list_value_length(as_list), 0)
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths)])
    offsets = offsets.cast(pa.int32())
    entries = _values(as_list, lengths)
    keys = convert(entries.field(0), target.key_type, column, check)
    items = convert(entries.field(1), target.item_type, column, check)
    mask = array.is_null() if array.null_count else None
    return pa.MapArray.from_arrays(offsets, keys, items, type=target, mask=mask)


def _to_null(array: pa.Array, column: str) -> pa.Array:
    if array.null_count < len(array):
        at = pc.index(array.is_valid(), value=True).as_py()
        raise misfit(array[at], pa.null(), column)
    return pa.nulls(len(array))


def _cast_dictionary(values: pa.Array, target: pa.DataType, column: str) -> pa.Array:
    encoded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    try:
        indices = encoded.indices.cast(target.index_type)
    except pa.ArrowInvalid as error:
        raise DataError(
            f"column {column!r}: {len(encoded.dictionary)} distinct values are too many for {target}",
            advice="Use a wider index type",
        ) from error
    return pa.DictionaryArray.from_arrays(indices, encoded.dictionary, ordered=target.ordered)


_CAST_ERRORS = (pa.ArrowInvalid, pa.ArrowNotImplementedError, OverflowError)


def _cast(array: pa.Array, target: pa.DataType, column: str) -> pa.Array:
    try:
        return _exact_cast(array, target)
    except _CAST_ERRORS as error:
        value = _first_misfit(array, target)
        if value is None:
            raise
        raise misfit(value, target, column) from error


def _first_misfit(array: pa.Array, target: pa.DataType) -> pa.Scalar | None:
    """Return the first value that does not fit, given that the whole does not; None if each does."""
    while len(array) > 1:
        half = array.slice(0, len(array) // 2)
        array = half if not _fits(half, target) else array.slice(len(half))
    return array[0] if len(array) and not _fits(array, target) else None


def _fits(array: pa.Array, target: pa.DataType) -> bool:
    try:
        _exact_cast(array, target)
    except _CAST_ERRORS:
        return False
    return True


def _exact_cast(array: pa.Array, target: pa.DataType) -> pa.Array:
    if isinstance(array.type, pa.BaseExtensionType) and array.type != target:
        array = array.storage
    if pa.types.is_integer(array.type) and pa.types.is_decimal(target):
        # Arrow asks for room for every int64; what counts is the values.
        array = array.cast(pa.decimal256(20, 0))
    cast = array.cast(target)
    narrows = pa.types.is_floating(target) and pa.types.is_floating(array.type)
    if narrows and target.bit_width < array.type.bit_width:
        wide, back = array.cast(pa.float64()), cast.cast(pa.float64())
        same = pc.or_(pc.equal(back, wide), pc.and_(pc.is_nan(back), pc.is_nan(wide)))
        if not pc.all(same, min_count=0).as_py():
            raise pa.ArrowInvalid("a float loses digits")
    return cast


def misfit(value: Any, target: object, column: str) -> DataError:
    """Return the error for a value that has no equal in a type, for the caller to raise."""
    try:
        # Python's own have no nanoseconds, and pandas takes the first one for none at all.
        nanoseconds = getattr(value.type, "unit", None) == "ns"
        shown = str(value.cast(pa.string())) if nanoseconds else repr(value.as_py())
    except (ValueError, OverflowError):
        # Python's dates and times end in the year 9999; Arrow's number says which one it is.
        shown = f"{_numbers(value)} of {value.type}"
    shown = shown if len(shown) <= 80 else f"{shown[:77]}..."  # noqa: PLR2004
    return DataError(
        f"column {column!r}: the value {shown} has no equal in {target}",
        advice="Convert the column with types={...}, or choose a wider column",
    )


def _numbers(value: Any) -> str:
    if isinstance(value, pa.StructScalar | pa.ListScalar):
        return f"[{', '.join(_numbers(value[at]) for at in range(len(value)))}]"
    return str(value.value if pa.types.is_temporal(value.type) else value.as_py())
