"""Arrow types -> the PostgreSQL types that hold them exactly, as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from datastores.drivers.azure_postgresql.codec import Layout
from datastores.drivers.azure_postgresql.types import LEAVES, OIDS, Mapped, decimal_type
from datastores.errors import SchemaMismatchError

# Arrow type -> PostgreSQL type, by its name in pg_catalog.
_STORED: Mapping[pa.DataType, str] = {
    pa.bool_(): "bool",
    pa.int8(): "int2",
    pa.int16(): "int2",
    pa.int32(): "int4",
    pa.int64(): "int8",
    pa.uint8(): "int2",
    pa.uint16(): "int4",
    pa.uint32(): "int8",
    pa.float16(): "float4",
    pa.float32(): "float4",
    pa.float64(): "float8",
    pa.string(): "text",
    pa.large_string(): "text",
    pa.string_view(): "text",
    pa.binary(): "bytea",
    pa.large_binary(): "bytea",
    pa.binary_view(): "bytea",
    pa.uuid(): "uuid",
    pa.json_(): "json",
    pa.date32(): "date",
    pa.date64(): "date",
    pa.time32("s"): "time",
    pa.time32("ms"): "time",
    pa.time64("us"): "time",
    pa.time64("ns"): "time",
    **{pa.timestamp(unit): "timestamp" for unit in ("s", "ms", "us", "ns")},
    **{pa.duration(unit): "int8" for unit in ("s", "ms", "us", "ns")},
    pa.month_day_nano_interval(): "interval",
    pa.null(): "text",
}
# How DDL and people call them, where that is not the name in pg_catalog.
_WORDS: Mapping[str, str] = {
    "bool": "boolean",
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "float4": "real",
    "float8": "double precision",
    "time": "time without time zone",
    "timestamp": "timestamp without time zone",
    "timestamptz": "timestamp with time zone",
}


@dataclass(frozen=True, slots=True)
class Stored:
    """How PostgreSQL holds an Arrow type."""

    type: str
    """PostgreSQL's type, as DDL says it."""
    mapped: Mapped


def to_postgresql(type_: pa.DataType, column: str) -> Stored:
    """Return the PostgreSQL type that holds an Arrow type exactly, in its own or another's place.

    Raises:
        SchemaMismatchError: There is none; the message names the column.
    """
    # Extension types from outside pyarrow need not be hashable.
    if not isinstance(type_, pa.ExtensionType) and (name := _STORED.get(type_)):
        return _plain(name)
    if pa.types.is_uint64(type_):
        return _numeric(20, 0)
    if pa.types.is_decimal(type_):
        decimal = decimal_type(type_.precision, type_.scale)
        if decimal is not None:
            return _numeric(decimal.precision, decimal.scale)
    if pa.types.is_timestamp(type_):
        return _plain("timestamptz")
    if pa.types.is_fixed_size_binary(type_):
        return _plain("bytea")
    if pa.types.is_dictionary(type_):
        return to_postgresql(type_.value_type, column)
    if (
        pa.types.is_list(type_)
        or pa.types.is_large_list(type_)
        or pa.types.is_list_view(type_)
        or pa.types.is_large_list_view(type_)
        or (pa.types.is_fixed_size_list(type_) and type_.list_size > 0)
    ):
        return _array(to_postgresql(type_.value_type, column))
    raise SchemaMismatchError(
        f"column {column!r} is of type {type_}, which PostgreSQL cannot hold exactly",
        driver="azure_postgresql",
        advice="Convert it with types={...}, or leave it out with columns=[...]",
    )


def given_back(type_: pa.DataType, column: str) -> pa.DataType:
    """Return the Arrow type that PostgreSQL gives back for another one."""
    return to_postgresql(type_, column).mapped.layout.arrow


def _plain(name: str) -> Stored:
    kind, arrow = LEAVES[name]
    return Stored(_WORDS.get(name, name), Mapped(layout=Layout(kind=kind, arrow=arrow), wire=name))


def _numeric(precision: int, scale: int) -> Stored:
    layout = Layout(kind="numeric", arrow=decimal_type(precision, scale))
    return Stored(f"numeric({precision},{scale})", Mapped(layout=layout, wire="numeric"))


def _array(element: Stored) -> Stored:
    inner = element.mapped.layout
    if inner.kind == "array":
        of, oid, dimensions = inner.element, inner.element_oid, inner.dimensions + 1
    else:
        of, oid, dimensions = inner, OIDS[element.mapped.wire], 1
    layout = Layout(
        kind="array",
        arrow=pa.list_(inner.arrow),
        element=of,
        element_oid=oid,
        dimensions=dimensions,
    )
    wire = element.mapped.wire
    return Stored(
        f"{element.type}[]",
        Mapped(layout=layout, wire=wire if wire.endswith("[]") else f"{wire}[]"),
    )
