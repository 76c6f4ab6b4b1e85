"""DuckDB types <-> Arrow types, as tables.

A type has three forms: DuckDB's own, the Arrow type that users see, and the *wire* type in which
values pass between the two, since DuckDB's own Arrow export of some is not exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import duckdb
import pyarrow as pa
from duckdb.sqltypes import DuckDBPyType

from datastores.errors import SchemaMismatchError
from datastores.types.fields import SourceType, source_of

# Text on the wire: DuckDB's Arrow export gives these as bytes in a layout of its own.
_WIDE_INTEGER = pa.decimal256(39, 0)

# DuckDB's type id -> Arrow type, and the SQL type they pass as if not their own.
LEAVES: Mapping[str, tuple[pa.DataType, str | None]] = {
    # Its lossless export is an extension type that Arrow's own functions do not know in lists.
    "boolean": (pa.bool_(), "TINYINT"),
    "tinyint": (pa.int8(), None),
    "smallint": (pa.int16(), None),
    "integer": (pa.int32(), None),
    "bigint": (pa.int64(), None),
    "utinyint": (pa.uint8(), None),
    "usmallint": (pa.uint16(), None),
    "uinteger": (pa.uint32(), None),
    "ubigint": (pa.uint64(), None),
    "hugeint": (_WIDE_INTEGER, "VARCHAR"),
    "uhugeint": (_WIDE_INTEGER, "VARCHAR"),
    "bignum": (pa.string(), "VARCHAR"),
    "float": (pa.float32(), None),
    "double": (pa.float64(), None),
    "varchar": (pa.string(), None),
    "blob": (pa.binary(), None),
    "bit": (pa.string(), "VARCHAR"),
    "uuid": (pa.uuid(), None),
    "date": (pa.date32(), None),
    "time": (pa.time64("us"), None),
    "time_ns": (pa.time64("ns"), None),
    "time with time zone": (pa.string(), "VARCHAR"),
    "timestamp_s": (pa.timestamp("s"), None),
    "timestamp_ms": (pa.timestamp("ms"), None),
    "timestamp": (pa.timestamp("us"), None),
    "timestamp_ns": (pa.timestamp("ns"), None),
    "timestamp with time zone": (pa.timestamp("us", "UTC"), None),
    "timestamptz_ns": (pa.timestamp("ns", "UTC"), None),
    "interval": (pa.month_day_nano_interval(), None),
    "null": (pa.null(), None),
}

# Arrow type -> DuckDB type, and the Arrow type that DuckDB then gives back.
_STORED: Mapping[pa.DataType, tuple[str, pa.DataType]] = {
    pa.bool_(): ("BOOLEAN", pa.bool_()),
    pa.int8(): ("TINYINT", pa.int8()),
    pa.int16(): ("SMALLINT", pa.int16()),
    pa.int32(): ("INTEGER", pa.int32()),
    pa.int64(): ("BIGINT", pa.int64()),
    pa.uint8(): ("UTINYINT", pa.uint8()),
    pa.uint16(): ("USMALLINT", pa.uint16()),
    pa.uint32(): ("UINTEGER", pa.uint32()),
    pa.uint64(): ("UBIGINT", pa.uint64()),
    pa.float16(): ("FLOAT", pa.float32()),
    pa.float32(): ("FLOAT", pa.float32()),
    pa.float64(): ("DOUBLE", pa.float64()),
    pa.string(): ("VARCHAR", pa.string()),
    pa.large_string(): ("VARCHAR", pa.string()),
    pa.string_view(): ("VARCHAR", pa.string()),
    pa.binary(): ("BLOB", pa.binary()),
    pa.large_binary(): ("BLOB", pa.binary()),
    pa.binary_view(): ("BLOB", pa.binary()),
    pa.uuid(): ("UUID", pa.uuid()),
    pa.json_(): ("JSON", pa.json_()),
    pa.date32(): ("DATE", pa.date32()),
    pa.date64(): ("DATE", pa.date32()),
    pa.time32("s"): ("TIME", pa.time64("us")),
    pa.time32("ms"): ("TIME", pa.time64("us")),
    pa.time64("us"): ("TIME", pa.time64("us")),
    pa.time64("ns"): ("TIME_NS", pa.time64("ns")),
    pa.timestamp("s"): ("TIMESTAMP_S", pa.timestamp("s")),
    pa.timestamp("ms"): ("TIMESTAMP_MS", pa.timestamp("ms")),
    pa.timestamp("us"): ("TIMESTAMP", pa.timestamp("us")),
    pa.timestamp("ns"): ("TIMESTAMP_NS", pa.timestamp("ns")),
    pa.month_day_nano_interval(): ("INTERVAL", pa.month_day_nano_interval()),
    **{pa.duration(unit): ("BIGINT", pa.int64()) for unit in ("s", "ms", "us", "ns")},
    # A column type named "NULL" exists, but ALTER and other tools trip over it.
    pa.null(): ("VARCHAR", pa.string()),
}
MAX_DECIMAL_DIGITS = 38
_ENUM_INDEX = ((255, pa.uint8()), (65_535, pa.uint16()))
NESTED = "a list, struct, map or union, where they are not exact"


@dataclass(frozen=True, slots=True)
class Mapped:
    """A DuckDB type as Arrow sees it."""

    arrow: pa.DataType
    wire: str
    """The SQL type to cast to before export, or the type itself."""


def from_duckdb(type_: DuckDBPyType, column: str) -> Mapped:
    """Return the Arrow type of a DuckDB type.

    Raises:
        SchemaMismatchError: It has none; the message names the column.
    """
    text = str(type_)
    if text == "JSON":
        return Mapped(pa.json_(), text)
    if leaf := LEAVES.get(type_.id):
        return Mapped(leaf[0], leaf[1] or text)
    match type_.id:
        case "decimal":
            children = _children(type_)
            return Mapped(pa.decimal128(children["precision"], children["scale"]), text)
        case "enum":
            count = len(_children(type_)["values"])
            index = next((one for most, one in _ENUM_INDEX if count <= most), pa.uint32())
            return Mapped(pa.dictionary(index, pa.string()), text)
        case "list" | "array":
            return _from_list(type_, column)
        case "struct":
            members = [(name, _member(child, column)) for name, child in _children(type_).items()]
            wires = ", ".join(f"{_quoted(name)} {one.wire}" for name, one in members)
            arrow = pa.struct([pa.field(name, one.arrow) for name, one in members])
            return Mapped(arrow, f"STRUCT({wires})")
        case "map":
            key, value = _children(type_).values()
            of_key, of_value = _member(key, column), _member(value, column)
            return Mapped(
                pa.map_(of_key.arrow, of_value.arrow), f"MAP({of_key.wire}, {of_value.wire})"
            )
        case "union":
            # The first child is the tag. A union passes only whole, so none may need another wire.
            of_union = list(_children(type_).items())[1:]
            members = [(name, _member(child, column)) for name, child in of_union]
            if [one.wire for _, one in members] == [str(child) for _, child in of_union]:
                fields = [pa.field(name, one.arrow) for name, one in members]
                return Mapped(pa.sparse_union(fields), text)
    raise SchemaMismatchError(
        f"column {column!r} is of type {text}, which has no exact Arrow type",
        advice="Read it through a query that casts it, such as to VARCHAR or BLOB",
    )


def _children(type_: DuckDBPyType) -> dict[str, Any]:
    # What they are depends on the type's id: types, labels, or numbers.
    return dict(type_.children)


def _member(type_: DuckDBPyType, column: str) -> Mapped:
    # DuckDB's export wraps around beyond 292 years, which only a column of its own is checked for.
    if type_.id == "interval":
        raise SchemaMismatchError(
            f"column {column!r} holds intervals inside {NESTED}",
            advice="Read it through a query that casts them to VARCHAR",
        )
    return from_duckdb(type_, column)


def _from_list(type_: DuckDBPyType, column: str) -> Mapped:
    children = _children(type_)
    child = _member(children["child"], column)
    size = children.get("size")
    field = pa.field("item", child.arrow)
    if size is None:
        return Mapped(pa.list_(field), f"{child.wire}[]")
    return Mapped(pa.list_(field, size), f"{child.wire}[{size}]")


@dataclass(frozen=True, slots=True)
class Stored:
    """How DuckDB holds an Arrow type."""

    type: str
    """DuckDB's type, as DDL says it."""
    arrow: pa.DataType
    """The Arrow type that DuckDB gives back for it; another one than the original is noted."""


def to_duckdb(field: pa.Field) -> Stored:
    """Return the DuckDB type that holds an Arrow column exactly.

    A column that came from DuckDB gets its own type back if the Arrow type still fits it.

    Raises:
        SchemaMismatchError: There is none; the message names the column.
    """
    stored = _stored(field.type, field.name)
    source = source_of(field)
    if source is not None and source.engine == "duckdb" and source.type != stored.type:
        return _restored(field, source) or stored
    return stored


def _restored(field: pa.Field, source: SourceType) -> Stored | None:
    stored = _declared(source.type)
    return stored if stored is not None and stored.arrow == field.type else None


# A scratch database costs some thirty milliseconds, and a table has many columns of few types.
@lru_cache(maxsize=256)
def _declared(note: str) -> Stored | None:
    # The note may come from a file that anyone wrote: only DuckDB's own reading of it goes on.
    try:
        with duckdb.connect() as scratch:
            type_ = scratch.sqltype(note)
            return Stored(str(type_), from_duckdb(type_, note).arrow)
    except (duckdb.Error, SchemaMismatchError):
        return None


def _stored(type_: pa.DataType, column: str) -> Stored:
    if found := _STORED.get(type_):
        return Stored(*found)
    if pa.types.is_decimal(type_):
        precision, scale = type_.precision, type_.scale
        if precision <= MAX_DECIMAL_DIGITS and 0 <= scale <= precision:
            return Stored(f"DECIMAL({precision},{scale})", pa.decimal128(precision, scale))
        return Stored("VARCHAR", pa.string())
    if pa.types.is_timestamp(type_):
        unit = "ns" if type_.unit == "ns" else "us"
        word = "TIMESTAMPTZ_NS" if unit == "ns" else "TIMESTAMP WITH TIME ZONE"
        return Stored(word, pa.timestamp(unit, "UTC"))
    if pa.types.is_fixed_size_binary(type_):
        return Stored("BLOB", pa.binary())
    if pa.types.is_dictionary(type_):
        return _stored(type_.value_type, column)
    if nested := _stored_nested(type_, column):
        return nested
    raise SchemaMismatchError(
        f"column {column!r} is of type {type_}, which DuckDB cannot hold",
        advice="Convert it with types={...}, or leave it out with columns=[...]",
    )


def _stored_nested(type_: pa.DataType, column: str) -> Stored | None:
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        child = _stored_member(type_.value_type, column)
        return Stored(f"{child.type}[]", pa.list_(pa.field("item", child.arrow)))
    if pa.types.is_fixed_size_list(type_) and type_.list_size > 0:
        child = _stored_member(type_.value_type, column)
        arrow = pa.list_(pa.field("item", child.arrow), type_.list_size)
        return Stored(f"{child.type}[{type_.list_size}]", arrow)
    if pa.types.is_map(type_):
        key, item = _stored_member(type_.key_type, column), _stored_member(type_.item_type, column)
        return Stored(f"MAP({key.type}, {item.type})", pa.map_(key.arrow, item.arrow))
    if pa.types.is_struct(type_) and type_.num_fields:
        return _stored_struct(type_, column)
    if pa.types.is_union(type_) and type_.mode == "sparse":
        members = [(one.name, _stored_member(one.type, column)) for one in type_]
        arrow = pa.sparse_union([pa.field(name, one.arrow) for name, one in members])
        if arrow == type_:
            inner = ", ".join(f"{_quoted(name)} {one.type}" for name, one in members)
            return Stored(f"UNION({inner})", arrow)
    return None


def _stored_struct(type_: pa.DataType, column: str) -> Stored:
    names = [one.name for one in type_]
    if "" in names or len({name.lower() for name in names}) < len(names):
        raise SchemaMismatchError(
            f"column {column!r} is a struct with empty or equal names: {', '.join(map(repr, names))}",
            advice="DuckDB's names differ by more than case; rename them",
        )
    members = [(one.name, _stored_member(one.type, column)) for one in type_]
    inner = ", ".join(f"{_quoted(name)} {one.type}" for name, one in members)
    return Stored(
        f"STRUCT({inner})", pa.struct([pa.field(name, one.arrow) for name, one in members])
    )


def _stored_member(type_: pa.DataType, column: str) -> Stored:
    if pa.types.is_interval(type_):
        raise SchemaMismatchError(
            f"column {column!r} holds intervals inside {NESTED}",
            advice="Convert them to durations or text",
        )
    return _stored(type_, column)


def wire_arrow(type_: pa.DataType) -> pa.DataType:
    """Return the Arrow type in which values of `type_` enter DuckDB.

    It takes no decimal256, and believes without a look that what is marked as JSON is JSON.
    """
    if pa.types.is_decimal256(type_) or isinstance(type_, pa.JsonType):
        return pa.string()
    if pa.types.is_dictionary(type_):
        return wire_arrow(type_.value_type)
    if pa.types.is_list(type_):
        return pa.list_(type_.value_field.with_type(wire_arrow(type_.value_type)))
    if pa.types.is_fixed_size_list(type_):
        return pa.list_(type_.value_field.with_type(wire_arrow(type_.value_type)), type_.list_size)
    if pa.types.is_map(type_):
        return pa.map_(wire_arrow(type_.key_type), wire_arrow(type_.item_type))
    if pa.types.is_struct(type_):
        return pa.struct([one.with_type(wire_arrow(one.type)) for one in type_])
    return type_


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def given_back(type_: pa.DataType, column: str) -> pa.DataType:
    """Return the Arrow type that DuckDB gives back for another one."""
    return _stored(type_, column).arrow
