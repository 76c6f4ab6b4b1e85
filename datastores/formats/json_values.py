"""Arrow values as JSON values, both ways and exactly, nested types included.

Every type has a *wire type*: what Arrow's JSON reader can read without a loss. Types without a
JSON value of their own travel as the text that `text_values` gives them; decimals too, and are
read from strings and numbers alike; maps are lists of `{"key": ..., "value": ...}`.
"""

from __future__ import annotations

import io
import json
import math
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from datastores.errors import DataError, SchemaMismatchError
from datastores.formats import text_values
from datastores.types.text import MAX_DECIMAL128_DIGITS

# Made once: `json.dumps` with options makes one for each call.
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def wire_type(type_: pa.DataType, column: str) -> pa.DataType:
    """Return the type that a column is read as before `from_wire` makes it exact.

    Raises:
        SchemaMismatchError: The type has no JSON form; the message names the column.
    """
    if pa.types.is_boolean(type_) or pa.types.is_integer(type_) or pa.types.is_null(type_):
        return type_
    if pa.types.is_floating(type_):
        return pa.float64()
    if pa.types.is_decimal(type_) and type_.scale >= 0:
        wide = pa.decimal256 if type_.precision > MAX_DECIMAL128_DIGITS else pa.decimal128
        return wide(type_.precision, type_.scale)
    if pa.types.is_duration(type_):
        return pa.int64()
    if pa.types.is_struct(type_):
        return pa.struct([field.with_type(wire_type(field.type, column)) for field in type_])
    if pa.types.is_map(type_):
        key, value = wire_type(type_.key_type, column), wire_type(type_.item_type, column)
        return pa.list_(pa.struct([("key", key), ("value", value)]))
    if _is_list(type_):
        return pa.list_(wire_type(type_.value_type, column))
    if pa.types.is_dictionary(type_):
        return wire_type(type_.value_type, column)
    text_values.to_text(pa.nulls(0, type_), column)
    return pa.string()


def to_json(array: pa.Array, column: str) -> list[Any]:
    """Return the values as what `json.dumps` writes.

    Raises:
        DataError: A value has no JSON form, such as NaN; the message names column and value.
    """
    type_ = array.type
    if pa.types.is_boolean(type_) or pa.types.is_integer(type_) or pa.types.is_null(type_):
        return list(array.to_pylist())
    if pa.types.is_floating(type_):
        return _floats_to_json(array, column)
    if pa.types.is_duration(type_):
        return list(array.cast(pa.int64()).to_pylist())
    if pa.types.is_struct(type_):
        names = [field.name for field in type_]
        children = [to_json(child, f"{column}.{name}") for name, child in _children(array)]
        rows = zip(*children, strict=True) if children else ((),) * len(array)
        return [
            dict(zip(names, row, strict=True)) if valid else None
            for valid, row in zip(array.is_valid().to_pylist(), rows, strict=True)
        ]
    if pa.types.is_map(type_):
        return to_json(array.cast(_entries_type(type_)), column)
    if _is_list(type_):
        return _lists_to_json(array, column)
    if pa.types.is_dictionary(type_):
        return to_json(array.cast(type_.value_type), column)
    return list(text_values.to_text(array, column).to_pylist())


def from_wire(array: pa.Array, type_: pa.DataType, column: str) -> pa.Array:
    """Return wire values as the type they stand for.

    Raises:
        ArrowInvalid, ValueError: A value does not parse or fit.
    """
    if array.type == type_:
        return array
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), type_)
    if pa.types.is_struct(type_):
        children = [
            from_wire(child, field.type, f"{column}.{field.name}")
            for field, (_, child) in zip(type_, _children(array), strict=True)
        ]
        return pa.StructArray.from_arrays(children, fields=list(type_), mask=array.is_null())
    if pa.types.is_map(type_):
        entries = from_wire(array, _entries_type(type_), column)
        keys, items = entries.flatten().flatten()
        return pa.MapArray.from_arrays(_offsets(entries), keys, items, type=type_)
    if pa.types.is_fixed_size_list(type_):
        return _fixed_size(array, type_, column)
    if _is_list(type_):
        values = from_wire(array.flatten(), type_.value_type, column)
        maker = pa.LargeListArray if pa.types.is_large_list(type_) else pa.ListArray
        offsets = _offsets(array, pa.int64() if maker is pa.LargeListArray else pa.int32())
        return maker.from_arrays(offsets, values, type=type_)
    if pa.types.is_dictionary(type_):
        return text_values.encode_dictionary(from_wire(array, type_.value_type, column), type_)
    if pa.types.is_string(array.type):
        return text_values.from_text(array, type_, column)
    return array.cast(type_)


def nested_to_text(array: pa.Array, column: str) -> pa.Array:
    """Return lists, structs and maps as JSON text, for formats of flat columns."""
    values = to_json(array, column)
    return pa.array([None if one is None else dump(one) for one in values], pa.string())


def nested_from_text(text: pa.Array, type_: pa.DataType, column: str) -> pa.Array:
    """Return what `nested_to_text` wrote, as its type."""
    lines = ['{"v": ' + (one or "null").replace("\n", " ") + "}" for one in text.to_pylist()]
    if not lines:
        return pa.nulls(0, type_)
    wire = parse_lines(
        "\n".join(lines).encode(), pa.schema([("v", wire_type(type_, column))]), infer=False
    )
    if wire.num_rows != len(text):
        raise ValueError("not one JSON value")
    return from_wire(wire["v"].combine_chunks(), type_, column)


def dump(value: Any) -> str:
    """Return a value as compact JSON on one line."""
    return _ENCODER.encode(value)


def parse_lines(data: bytes | pa.Buffer, schema: pa.Schema | None, *, infer: bool) -> pa.Table:
    """Return JSON lines as a table of wire columns.

    Args:
        data: Whole lines, one object each.
        schema: Wire types; None to take each from the values.
        infer: Take columns that are not in the schema too.

    Raises:
        ArrowInvalid, ValueError: Not JSON, or another type.
    """
    options = pj.ParseOptions(
        explicit_schema=schema, unexpected_field_behavior="infer" if infer else "error"
    )
    # One block: the caller bounds the data, and a type inferred from a part would not hold.
    reading = pj.ReadOptions(use_threads=False, block_size=max(len(data), 1))
    return pj.read_json(io.BytesIO(data), read_options=reading, parse_options=options)


def _is_list(type_: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(type_)
        or pa.types.is_large_list(type_)
        or pa.types.is_fixed_size_list(type_)
    )


def _entries_type(type_: pa.MapType) -> pa.DataType:
    entry = pa.struct(
        [
            pa.field("key", type_.key_type, nullable=False),
            pa.field("value", type_.item_type, nullable=type_.item_field.nullable),
        ]
    )
    return pa.list_(entry)


def _children(array: pa.StructArray) -> list[tuple[str, pa.Array]]:
    return [(field.name, child) for field, child in zip(array.type, array.flatten(), strict=True)]


def _floats_to_json(array: pa.Array, column: str) -> list[Any]:
    values = list(array.to_pylist())
    for value in values:
        if value is not None and not math.isfinite(value):
            raise DataError(
                f"column {column!r}: {value} has no JSON form",
                advice="Write Parquet, Arrow or CSV, or replace it by NULL",
            )
    return values


def _lists_to_json(array: pa.Array, column: str) -> list[Any]:
    values = to_json(array.flatten(), column)
    lists: list[Any] = []
    start = 0
    for length in pc.list_value_length(array).to_pylist():
        if length is None:
            lists.append(None)
        else:
            lists.append(values[start : start + length])
            start += length
    return lists


def _offsets(array: pa.Array, type_: pa.DataType | None = None) -> pa.Array:
    """Return fresh offsets into `array.flatten()`, NULL where the list is NULL."""
    lengths = pc.list_value_length(array)
    ends = pc.cumulative_sum(pc.fill_null(lengths, 0)).cast(pa.int64())
    starts = pa.concat_arrays([pa.array([0], pa.int64()), ends])
    valid = pa.concat_arrays([lengths.is_valid(), pa.array([True])])
    marked = pc.if_else(valid, starts, pa.scalar(None, pa.int64()))
    return marked.cast(type_ or pa.int32())


def _fixed_size(array: pa.Array, type_: pa.FixedSizeListType, column: str) -> pa.Array:
    size = type_.list_size
    lengths = pc.list_value_length(array)
    if pc.any(pc.not_equal(lengths, size)).as_py():
        raise DataError(f"column {column!r}: a list does not hold {size} values")
    values = from_wire(array.flatten(), type_.value_type, column)
    # A NULL list still takes its place among the values.
    indices: list[int | None] = []
    used = 0
    for valid in array.is_valid().to_pylist():
        indices += range(used, used + size) if valid else [None] * size
        used += size if valid else 0
    padded = values.take(pa.array(indices, pa.int64()))
    return pa.FixedSizeListArray.from_arrays(padded, type=type_, mask=array.is_null())


def check_types(schema: pa.Schema) -> None:
    """Raise for the first column whose type has no JSON form."""
    for field in schema:
        try:
            wire_type(field.type, field.name)
        except pa.ArrowNotImplementedError as error:
            raise SchemaMismatchError(
                f"column {field.name!r}: the type {field.type} has no JSON form"
            ) from error
