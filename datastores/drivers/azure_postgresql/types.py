"""PostgreSQL types <-> Arrow types, as tables.

A type has three forms: PostgreSQL's own, the Arrow type that users see, and the *wire* type in
which values travel and are staged: its own, or text where Arrow has no equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pyarrow as pa

from datastores.drivers.azure_postgresql.codec import Layout
from datastores.errors import SchemaMismatchError

CATALOG = "pg_catalog"
_UTC = pa.timestamp("us", "UTC")

# A type of pg_catalog -> how its values travel in binary, and their Arrow type.
LEAVES: Mapping[str, tuple[str, pa.DataType]] = {
    "bool": ("bool", pa.bool_()),
    "int2": ("int2", pa.int16()),
    "int4": ("int4", pa.int32()),
    "int8": ("int8", pa.int64()),
    "oid": ("oid", pa.uint32()),
    "float4": ("float4", pa.float32()),
    "float8": ("float8", pa.float64()),
    "text": ("text", pa.string()),
    "varchar": ("text", pa.string()),
    "bpchar": ("text", pa.string()),
    "name": ("text", pa.string()),
    "json": ("text", pa.json_()),
    "jsonb": ("jsonb", pa.json_()),
    "bytea": ("bytea", pa.binary()),
    "uuid": ("uuid", pa.uuid()),
    "date": ("date", pa.date32()),
    "time": ("time", pa.time64("us")),
    "timestamp": ("timestamp", pa.timestamp("us")),
    "timestamptz": ("timestamp", _UTC),
    "interval": ("interval", pa.month_day_nano_interval()),
}
# Their numbers never change: https://github.com/postgres/postgres/blob/master/src/include/catalog/pg_type.dat
OIDS: Mapping[str, int] = {
    "bool": 16,
    "bytea": 17,
    "name": 19,
    "int8": 20,
    "int2": 21,
    "int4": 23,
    "text": 25,
    "oid": 26,
    "json": 114,
    "float4": 700,
    "float8": 701,
    "bpchar": 1042,
    "varchar": 1043,
    "date": 1082,
    "time": 1083,
    "timestamp": 1114,
    "timestamptz": 1184,
    "interval": 1186,
    "numeric": 1700,
    "uuid": 2950,
    "jsonb": 3802,
}

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
_DECIMAL128_DIGITS, _DECIMAL256_DIGITS = 38, 76
# Their values change with lc_monetary, or have no text form of their own.
_REFUSED: Mapping[str, str] = {
    "money": "its text depends on the server's locale; cast it to numeric in a query",
}
_VARHDRSZ = 4
_FULL_INTERVAL = 0x7FFF


@dataclass(frozen=True, slots=True, kw_only=True)
class PgType:
    """One row of pg_type, as far as it matters here."""

    oid: int
    name: str
    schema: str
    kind: str
    """`b`ase, `c`omposite, `d`omain, `e`num, `p`seudo, `r`ange, `m`ultirange."""
    element: int
    """Of a true array; else 0."""
    base: int
    """Of a domain; else 0."""
    base_modifier: int = -1
    base_dimensions: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """A PostgreSQL type as Arrow and the wire see it."""

    layout: Layout
    wire: str
    """The SQL type of the staging column."""
    as_text: bool = False
    """Whether values are cast to the wire type and back."""
    characters: int | None = None
    """Of `char(n)`, `varchar(n)`, `bit(n)` and `bit varying(n)`: the most there may be."""
    same_length: bool = False
    """Fewer are refused as well."""
    digits: int | None = None
    """After the second's point, where fewer than six are kept."""
    unwritable: str | None = None
    """Why the server would change values that are written to it."""
    any_number: bool = False
    """A numeric of no or too much precision: it travels as text, and compares with numbers."""


def from_postgresql(
    types: Mapping[int, PgType], oid: int, modifier: int, dimensions: int, column: str
) -> Mapped:
    """Return the Arrow type of a PostgreSQL type.

    Args:
        types: The type itself, what it is an array or domain of, and so on.
        oid: Which type.
        modifier: Its length or precision, in PostgreSQL's encoding; -1 for none.
        dimensions: How many an array is declared with.
        column: Named in errors.

    Raises:
        SchemaMismatchError: It has none; the message names the column.
    """
    type_ = types[oid]
    if type_.kind == "d":
        of_domain = type_.base_modifier if modifier == -1 else modifier
        return from_postgresql(
            types, type_.base, of_domain, dimensions or type_.base_dimensions, column
        )
    if type_.element:
        return _from_array(types, type_, modifier, max(1, dimensions), column)
    if type_.schema != CATALOG:
        arrow = pa.dictionary(pa.int32(), pa.string()) if type_.kind == "e" else pa.string()
        return _text(arrow)
    if why := _REFUSED.get(type_.name):
        raise SchemaMismatchError(
            f"column {column!r} is of type {type_.name}, which has no exact Arrow type",
            advice=why[:1].upper() + why[1:],
        )
    if type_.name == "numeric":
        return _from_numeric(modifier)
    if leaf := LEAVES.get(type_.name):
        kind, arrow = leaf
        return _limited(Layout(kind=kind, arrow=arrow), type_.name, modifier)
    text = _text(pa.string())
    if modifier >= 0 and type_.name in {"bit", "varbit"}:
        return replace(text, characters=modifier, same_length=type_.name == "bit")
    if modifier >= 0 and type_.name == "timetz":
        return replace(text, unwritable="PostgreSQL would round its values")
    return text


def _text(arrow: pa.DataType) -> Mapped:
    return Mapped(layout=Layout(kind="text", arrow=arrow), wire="text", as_text=True)


def _limited(layout: Layout, name: str, modifier: int) -> Mapped:
    characters = digits = unwritable = None
    if modifier >= 0 and name in {"varchar", "bpchar"}:
        characters = modifier - _VARHDRSZ
    if modifier >= 0 and name in {"time", "timestamp", "timestamptz"}:
        digits = modifier
    if modifier >= 0 and name == "interval":
        digits = min(modifier & 0xFFFF, 6)
        if modifier >> 16 & 0x7FFF != _FULL_INTERVAL:
            unwritable = "PostgreSQL would cut its values to some fields"
    return Mapped(
        layout=layout, wire=name, characters=characters, digits=digits, unwritable=unwritable
    )


def _from_numeric(modifier: int) -> Mapped:
    if modifier >= 0:
        bits = modifier - _VARHDRSZ
        precision = bits >> 16 & 0xFFFF
        # Eleven bits, the highest of which is the sign.
        scale = ((bits & 0x7FF) ^ 1024) - 1024
        if decimal := _decimal(precision, scale):
            return Mapped(layout=Layout(kind="numeric", arrow=decimal), wire="numeric")
    return replace(_text(pa.string()), any_number=True)


def _decimal(precision: int, scale: int) -> pa.DataType | None:
    """Return the decimal that holds every such number; Arrow's scales lie within the precision."""
    precision, scale = max(precision - min(scale, 0), scale), max(scale, 0)
    if precision <= _DECIMAL128_DIGITS:
        return pa.decimal128(precision, scale)
    return pa.decimal256(precision, scale) if precision <= _DECIMAL256_DIGITS else None


def _from_array(
    types: Mapping[int, PgType], type_: PgType, modifier: int, dimensions: int, column: str
) -> Mapped:
    element = from_postgresql(types, type_.element, modifier, 0, column)
    if element.as_text:
        inner = Layout(kind="text", arrow=pa.string())
        oid = OIDS["text"]
    else:
        inner, oid = element.layout, _base(types, type_.element)
    arrow = inner.arrow
    for _ in range(dimensions):
        arrow = pa.list_(arrow)
    return Mapped(
        layout=Layout(
            kind="array", arrow=arrow, element=inner, element_oid=oid, dimensions=dimensions
        ),
        # A domain's array travels as its base type's.
        wire=f"{element.wire}[]",
        as_text=element.as_text or types[type_.element].kind == "d",
        characters=element.characters,
        same_length=element.same_length,
        digits=element.digits,
        unwritable=element.unwritable,
    )


def _base(types: Mapping[int, PgType], oid: int) -> int:
    return _base(types, types[oid].base) if types[oid].kind == "d" else oid


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
    if name := _STORED.get(type_):
        return _plain(name)
    if pa.types.is_uint64(type_):
        return _numeric(20, 0)
    if pa.types.is_decimal(type_):
        decimal = _decimal(type_.precision, type_.scale)
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
    layout = Layout(kind="numeric", arrow=_decimal(precision, scale))
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
