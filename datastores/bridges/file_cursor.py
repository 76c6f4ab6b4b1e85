"""Which rows of files are new by the values of one column: found by reading that column."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pyarrow as pa
import pyarrow.compute as pc

from datastores.drivers.increments import CursorRange
from datastores.errors import SchemaMismatchError
from datastores.filters import Condition, Filters


def find_range(
    cursor: CursorRange,
    field: pa.Field,
    column: Callable[[Filters], Iterable[pa.RecordBatch]],
) -> tuple[CursorRange, Filters]:
    """Return a range with its end, and the filters that its rows pass.

    Args:
        cursor: As it was asked for.
        field: Of its column.
        column: Returns the column's values that pass further filters.

    Raises:
        SchemaMismatchError: Values of the column have no order, or no text that is exactly theirs.
        DataError: A row has no value there, or the greatest is none that another can follow.
    """
    cursor = cursor.of_type(str(field.type))
    after = None if cursor.after is None else _value(cursor.after, field)
    name = cursor.column
    # Rows without a value have no place in the order, and are looked for whatever is new.
    newer: Filters = ()
    if after is not None:
        newer = ((Condition(name, ">", after),), (Condition(name, "is null"),))
    nulls, greatest = 0, None
    for batch in column(newer):
        values = batch.column(0)
        nulls += values.null_count
        greatest = _greater(greatest, values, field)
    cursor.refuse_nulls(nulls)
    if cursor.until is None:
        cursor = cursor.up_to(None if greatest is None else _text(greatest, field))
    if cursor.until is None:
        return cursor, ((Condition(name, "in", ()),),)
    conditions = [Condition(name, "<=", _value(cursor.until, field))]
    if after is not None:
        conditions.append(Condition(name, ">=" if cursor.inclusive else ">", after))
    return cursor, (tuple(conditions),)


def _greater(greatest: pa.Scalar | None, values: pa.Array, field: pa.Field) -> pa.Scalar | None:
    """Return the greatest of an earlier value and of an array's; None if there is none."""
    if pa.types.is_floating(values.type) and pc.any(pc.is_nan(values)).as_py():
        # Not greater than any other for Arrow, so that it would never be new.
        return pa.scalar(float("nan"), values.type)
    if values.null_count == len(values):
        return greatest
    try:
        found = pc.max(values)
        return found if greatest is None or pc.greater(found, greatest).as_py() else greatest
    except pa.ArrowException as error:
        raise _no_cursor(field) from error


def _text(value: pa.Scalar, field: pa.Field) -> str:
    """Return the text that is exactly this value."""
    try:
        text = str(value.cast(pa.string()).as_py())
        same = text == "nan" or _value(text, field).equals(value)
    except pa.ArrowException as error:
        raise _no_cursor(field) from error
    if not same:
        raise _no_cursor(field)
    return text


def _value(text: str, field: pa.Field) -> pa.Scalar:
    return pa.scalar(text).cast(field.type)


def _no_cursor(field: pa.Field) -> SchemaMismatchError:
    return SchemaMismatchError(
        f"column {field.name!r} is of type {field.type}, which is no cursor in files",
        advice="Name a column of numbers, dates, times with a date, or text",
    )
