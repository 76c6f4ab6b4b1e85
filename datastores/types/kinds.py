"""Which Arrow types hold the same values, as `canonical.py` compares them."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from datastores.errors import SchemaMismatchError
from datastores.types.canonical import is_binary, is_text

_KINDS: tuple[tuple[str, tuple[Callable[[pa.DataType], bool], ...]], ...] = (
    ("number", (pa.types.is_integer, pa.types.is_decimal)),
    ("float", (pa.types.is_floating,)),
    ("boolean", (pa.types.is_boolean,)),
    ("instant", (lambda type_: pa.types.is_timestamp(type_) and type_.tz is not None,)),
    ("timestamp", (pa.types.is_timestamp,)),
    ("time", (pa.types.is_time,)),
    ("duration", (pa.types.is_duration,)),
    ("date", (pa.types.is_date,)),
    ("interval", (pa.types.is_interval,)),
    ("text", (is_text,)),
    ("binary", (is_binary,)),
    ("map", (pa.types.is_map,)),
    (
        "list",
        (
            pa.types.is_list,
            pa.types.is_large_list,
            pa.types.is_fixed_size_list,
            pa.types.is_list_view,
            pa.types.is_large_list_view,
        ),
    ),
    ("struct", (pa.types.is_struct,)),
)


def comparable(one: pa.DataType, other: pa.DataType) -> bool:
    """Return whether a value of one type can equal a value of the other.

    A column of the null type holds NULLs alone, which every type has.

    Raises:
        SchemaMismatchError: The values of a type cannot be compared at all.
    """
    one, other = _held(one), _held(other)
    if pa.types.is_null(one) or pa.types.is_null(other):
        return True
    if _kind(one) != _kind(other):
        return False
    mine, others = _children(one), _children(other)
    return mine.keys() == others.keys() and all(
        comparable(type_, others[name]) for name, type_ in mine.items()
    )


def _held(type_: pa.DataType) -> pa.DataType:
    """Return the type of what dictionaries, run ends and extensions stand for."""
    if isinstance(type_, pa.BaseExtensionType):
        return _held(type_.storage_type)
    if pa.types.is_dictionary(type_) or pa.types.is_run_end_encoded(type_):
        return _held(type_.value_type)
    return type_


def _kind(type_: pa.DataType) -> str:
    for kind, predicates in _KINDS:
        if any(is_kind(type_) for is_kind in predicates):
            return kind
    raise SchemaMismatchError(f"values of the Arrow type {type_} cannot be compared")


def _children(type_: pa.DataType) -> dict[str, pa.DataType]:
    match _kind(type_):
        case "map":
            return {"key": type_.key_type, "value": type_.item_type}
        case "list":
            return {"element": type_.value_type}
        case "struct":
            return {field.name: field.type for field in type_}
    return {}
