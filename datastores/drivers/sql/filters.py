"""Filters as a condition with bound values: never pasted, never compared across kinds."""

from __future__ import annotations

import datetime as dt
import decimal
import math
import uuid
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from datastores.drivers.sql.dialect import Dialect
from datastores.errors import ConfigurationError, SchemaMismatchError
from datastores.filters import Condition, Filters

_NUMBER = (int, float, decimal.Decimal)


def comparable_types(type_: pa.DataType) -> tuple[type, ...]:
    """Return the Python types a column of this type may be compared with; empty for none.

    Engines compare text with numbers by converting one of them, each in its own way: `'00123' =
    123` is true in some. So a value must be of the column's kind.
    """
    if isinstance(type_, pa.UuidType):
        return (uuid.UUID,)
    if pa.types.is_dictionary(type_):
        return comparable_types(type_.value_type)
    if pa.types.is_boolean(type_):
        return (bool,)
    if pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_decimal(type_):
        return _NUMBER
    if _is_text(type_) or isinstance(type_, pa.JsonType):
        return (str,)
    if pa.types.is_binary(type_) or pa.types.is_large_binary(type_):
        return (bytes,)
    if pa.types.is_timestamp(type_):
        return (dt.datetime,)
    if pa.types.is_date(type_):
        return (dt.date,)
    if pa.types.is_time(type_):
        return (dt.time,)
    return ()


def condition(
    filters: Filters, types: Mapping[str, pa.DataType], dialect: Dialect
) -> tuple[str, dict[str, Any]]:
    """Return the condition (empty for every row) and the values to bind.

    Args:
        filters: Rows to keep; a NULL meets only `is null`, a NaN only `!=` and `not in`.
        types: Of the columns as the engine stores them.
        dialect: How to write it.

    Raises:
        SchemaMismatchError: A value is not of its column's kind.
    """
    if not filters:
        return "", {}
    values: dict[str, Any] = {}
    groups = [
        " AND ".join(_comparison(one, types[one.column], dialect, values) for one in group)
        or "TRUE"
        for group in filters
    ]
    return " OR ".join(f"({group})" for group in groups), values


def _comparison(
    one: Condition, type_: pa.DataType, dialect: Dialect, values: dict[str, Any]
) -> str:
    column = dialect.identifier(one.column)
    if one.operator.endswith("null"):
        is_null = dialect.is_null(one.column)
        return is_null if one.operator == "is null" else f"NOT ({is_null})"
    several = one.operator in {"in", "not in"}
    # One list for each Python type: a mixed one becomes the engine's widest type, a float, in which
    # whole numbers above 2**53 equal their neighbours.
    lists: dict[type, list[str]] = {}
    for given in one.value if several else (one.value,):
        value = _checked(given, one, type_)
        name = f"datastores_filter_{len(values)}"
        values[name] = value
        lists.setdefault(type(value), []).append(dialect.parameter(name))
    if several and not lists:
        # `IN ()` is no SQL. Nothing is in an empty list, and every value that is not NULL is outside.
        return "FALSE" if one.operator == "in" else f"{column} IS NOT NULL"
    if several:
        joined = " OR " if one.operator == "in" else " AND "
        tests = [f"{column} {one.operator.upper()} ({', '.join(of)})" for of in lists.values()]
        return f"({joined.join(tests)})" if len(tests) > 1 else tests[0]
    operator = "<>" if one.operator == "!=" else one.operator
    [[placeholder]] = lists.values()
    comparison = f"{column} {operator} {placeholder}"
    if dialect.is_nan and one.operator in {">", ">="} and pa.types.is_floating(type_):
        return f"({comparison} AND NOT {dialect.is_nan.format(column=column)})"
    return comparison


def _checked(value: Any, one: Condition, type_: pa.DataType) -> Any:
    wanted = comparable_types(type_)
    fits = isinstance(value, wanted) and (bool in wanted or not isinstance(value, bool))
    # A datetime is also a date, and would be cut to one.
    fits = fits and (dt.date not in wanted or not isinstance(value, dt.datetime))
    if not fits:
        kinds = " or ".join(kind.__name__ for kind in wanted)
        raise SchemaMismatchError(
            f"filter on {one.column!r}: {value!r} does not compare with {type_}",
            advice=f"Give a value of type {kinds}" if wanted else "Filter on another column",
        )
    if pa.types.is_timestamp(type_) and (value.tzinfo is None) != (type_.tz is None):
        raise SchemaMismatchError(
            f"filter on {one.column!r}: {value!r} does not compare with {type_}",
            advice="Give the datetime a time zone" if type_.tz else "Give it without a time zone",
        )
    if isinstance(value, float):
        if math.isnan(value):
            raise ConfigurationError(f"filter on {one.column!r}: nothing compares with NaN")
        # As a float a whole number above 2**53 would equal its neighbours.
        if value.is_integer() and not pa.types.is_floating(type_):
            return int(value)
    return value


def _is_text(type_: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(type_) or pa.types.is_large_string(type_) or type_ == pa.string_view()
    )
