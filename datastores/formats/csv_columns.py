"""One column of a CSV file: text to values and back, in the file's way of writing them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from datastores.errors import DataError, SchemaMismatchError
from datastores.formats import json_values, text_values
from datastores.formats.text_values import (
    CONVERSION_ERRORS,
    first_failure,
    is_binary,
    is_text,
    shown,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How a file writes numbers and times."""

    decimal_point: str = "."
    date_format: str | None = None
    timestamp_format: str | None = None

    def time_format(self, type_: pa.DataType) -> str | None:
        """Return the `strptime` format of a type, None for ISO 8601 or another kind of type."""
        if pa.types.is_date(type_):
            return self.date_format
        return self.timestamp_format if pa.types.is_timestamp(type_) else None


def read(text: pa.Array, field: pa.Field, dialect: Dialect, first_row: int) -> pa.Array:
    """Return a text column as its type.

    Args:
        text: A string array; NULL is NULL. For types whose values are never empty, so is `""`,
            which many programs write around every value.
        field: Name and type of the column.
        dialect: How the file writes values.
        first_row: Number of the first value's row, for errors.

    Raises:
        DataError: A value does not parse; the message names row, column and value.
    """
    try:
        return _read_values(text, field, dialect)
    except CONVERSION_ERRORS as error:
        at = first_failure(text, lambda values: _read_values(values, field, dialect))
        raise DataError(
            f"row {first_row + at}, column {field.name!r}: {shown(text[at].as_py())} "
            f"is not of type {field.type}",
            advice="Mend the value, or read the column as text",
        ) from error


def reads(text: pa.Array, type_: pa.DataType, dialect: Dialect) -> bool:
    """Return whether every text is a value of the type; an empty one is NULL where it can be."""
    try:
        _read_values(text, pa.field("", type_), dialect)
    except CONVERSION_ERRORS:
        return False
    return True


def write(array: pa.Array, column: str, dialect: Dialect) -> pa.Array:
    """Return a column as text, as `read` reads it back.

    Raises:
        DataError: A value has no exact text; the message names column and value.
    """
    type_ = array.type
    if pa.types.is_nested(type_):
        return json_values.nested_to_text(array, column)
    if (format_ := dialect.time_format(type_)) is not None:
        return _format_times(array, format_, column)
    text = text_values.to_text(array, column)
    if dialect.decimal_point != "." and _has_point(type_):
        text = pc.replace_substring(text, ".", dialect.decimal_point)
    return text


def _read_values(text: pa.Array, field: pa.Field, dialect: Dialect) -> pa.Array:
    """Return texts as values of the field's type, or raise one of `CONVERSION_ERRORS`."""
    if not (is_text(field.type) or is_binary(field.type)):
        text = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
    return _reader(field, dialect)(text)


def check_types(schema: pa.Schema) -> None:
    """Raise for the first column whose type has no text form."""
    for field in schema:
        try:
            write(pa.nulls(0, field.type), field.name, Dialect())
        except pa.ArrowNotImplementedError as error:
            raise SchemaMismatchError(
                f"column {field.name!r}: the type {field.type} has no text form",
                advice="Write Arrow files, or convert the column first",
            ) from error


def _reader(field: pa.Field, dialect: Dialect) -> Callable[[pa.Array], pa.Array]:
    type_ = field.type
    if pa.types.is_nested(type_):
        return lambda text: json_values.nested_from_text(text, type_, field.name)
    if (format_ := dialect.time_format(type_)) is not None:
        return lambda text: _parse_times(text, format_, type_)
    if dialect.decimal_point != "." and _has_point(type_):
        return lambda text: text_values.from_text(
            _with_point(text, dialect.decimal_point), type_, field.name
        )
    return lambda text: text_values.from_text(text, type_, field.name)


def _has_point(type_: pa.DataType) -> bool:
    return bool(pa.types.is_floating(type_) or pa.types.is_decimal(type_))


def _with_point(text: pa.Array, decimal_point: str) -> pa.Array:
    if pc.any(pc.match_substring(text, ".")).as_py():
        raise ValueError("a point where the decimal point is another character")
    return pc.replace_substring(text, decimal_point, ".")


def _parse_times(text: pa.Array, format_: str, type_: pa.DataType) -> pa.Array:
    unit = "s" if pa.types.is_date(type_) else type_.unit
    moments = pc.strptime(text, format=format_, unit=unit)
    return moments.cast(type_)


def _format_times(array: pa.Array, format_: str, column: str) -> pa.Array:
    moments = array
    if pa.types.is_date(array.type):
        moments = array.cast(pa.timestamp("s"))
    elif array.type.tz is not None:
        moments = array.cast(pa.timestamp(array.type.unit, "UTC"))
    text = pc.strftime(moments, format=format_)
    lost = pc.not_equal(_parse_times(text, format_, array.type), array)
    if pc.any(lost).as_py():
        at = lost.index(pa.scalar(value=True)).as_py()
        raise DataError(
            f"column {column!r}: {array[at]} cannot be read back from {text[at].as_py()!r}",
            advice="Give a format that holds the whole value, or none for ISO 8601",
        )
    return text
