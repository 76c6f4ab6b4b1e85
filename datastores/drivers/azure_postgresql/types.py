"""PostgreSQL types -> Arrow types, as tables; `stored.py` has the way back.

A type has three forms: PostgreSQL's own, the Arrow type that users see, and the *wire* type in
which values travel and are staged: its own, or text where Arrow has no equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pyarrow as pa

from datastores.drivers.azure_postgresql.codec import Layout
from datastores.drivers.azure_postgresql.codec.layout import TIMETZ

CATALOG = "pg_catalog"
MAX_NAME_BYTES = 63
"""Of an identifier, and of an enum's label: https://www.postgresql.org/docs/current/limits.html."""
_UTC = pa.timestamp("us", "UTC")
ENUM = pa.dictionary(pa.int32(), pa.string())

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
    "timetz": ("timetz", TIMETZ),
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
    "timetz": 1266,
    "numeric": 1700,
    "uuid": 2950,
    "jsonb": 3802,
}

_DECIMAL128_DIGITS, _DECIMAL256_DIGITS = 38, 76
_MONEY_DIGITS = 19
VARHDRSZ = 4
_FULL_INTERVAL = 0x7FFF


@dataclass(frozen=True, slots=True, kw_only=True)
class PgAttribute:
    """One field of a composite."""

    name: str
    type: int
    modifier: int = -1
    dimensions: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PgType:
    """One row of pg_type, as far as it matters here."""

    oid: int
    name: str
    schema: str
    quoted: str = ""
    """The name with its schema, as SQL says it."""
    kind: str
    """`b`ase, `c`omposite, `d`omain, `e`num, `p`seudo, `r`ange, `m`ultirange."""
    element: int = 0
    """Of a true array; else 0."""
    base: int = 0
    """Of a domain; else 0."""
    base_modifier: int = -1
    base_dimensions: int = 0
    labels: tuple[str, ...] = ()
    """Of an enum, in their order."""
    attributes: tuple[PgAttribute, ...] = ()
    """Of a composite."""
    money_digits: int = 0
    """How many the server's lc_monetary shows behind the point."""

    @property
    def related(self) -> set[int]:
        """The types that this one is an array or domain of, and those of its fields."""
        return {self.element, self.base, *(one.type for one in self.attributes)} - {0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """A PostgreSQL type as Arrow and the wire see it."""

    layout: Layout
    wire: str
    """The SQL type of the staging column."""
    as_text: bool = False
    """Whether values are cast to the wire type and back."""
    by_cast: bool = False
    """Whether only the cast to text is exact, and the type's own output is not."""
    characters: int | None = None
    """Of `char(n)`, `varchar(n)`, `bit(n)` and `bit varying(n)`: the most there may be."""
    same_length: bool = False
    """Fewer are refused as well."""
    bytes: int | None = None
    """Of `name`: the most there may be, in UTF-8."""
    digits: int | None = None
    """After the second's point, where fewer than six are kept."""
    zeros: int = 0
    """How many of them its whole numbers end with: more than none where the scale is negative."""
    unwritable: str | None = None
    """Why the server would change values that are written to it."""
    any_number: bool = False
    """A numeric of no or too much precision: it travels as text, and compares with numbers."""
    labels: tuple[str, ...] = ()
    """Of an enum: the only values there are."""
    fields: tuple[Mapped, ...] = ()
    """Of a composite."""


TEXT = Mapped(layout=Layout(kind="text", arrow=pa.string()), wire="text", as_text=True)
"""How a column is read as text, whatever its type."""


def from_postgresql(
    types: Mapping[int, PgType], oid: int, modifier: int, dimensions: int
) -> Mapped:
    """Return the Arrow type of a PostgreSQL type.

    Args:
        types: The type itself, what it is an array or domain of, and so on.
        oid: Which type.
        modifier: Its length or precision, in PostgreSQL's encoding; -1 for none.
        dimensions: How many an array is declared with.
    """
    type_ = types[oid]
    if type_.kind == "d":
        of_domain = type_.base_modifier if modifier == -1 else modifier
        return from_postgresql(types, type_.base, of_domain, dimensions or type_.base_dimensions)
    if type_.element:
        return _from_array(types, type_, modifier, max(1, dimensions))
    if type_.kind == "e":
        layout = Layout(kind="text", arrow=ENUM, labels=type_.labels)
        return Mapped(layout=layout, wire=type_.quoted, labels=type_.labels)
    if type_.kind == "c":
        return _from_composite(types, type_)
    if type_.schema != CATALOG:
        return TEXT
    if type_.name == "money":
        money = pa.decimal128(_MONEY_DIGITS, type_.money_digits)
        return Mapped(layout=Layout(kind="money", arrow=money), wire="money")
    if type_.name == "numeric":
        return _from_numeric(modifier)
    if leaf := LEAVES.get(type_.name):
        kind, arrow = leaf
        return _limited(Layout(kind=kind, arrow=arrow), type_.name, modifier)
    if modifier >= 0 and type_.name in {"bit", "varbit"}:
        return replace(TEXT, characters=modifier, same_length=type_.name == "bit")
    # The output of xml leaves its declaration out.
    return replace(TEXT, by_cast=type_.name == "xml")


def _from_composite(types: Mapping[int, PgType], type_: PgType) -> Mapped:
    fields = tuple(
        from_postgresql(types, one.type, one.modifier, one.dimensions) for one in type_.attributes
    )
    if not fields:
        return TEXT
    if any(one.as_text for one in fields):
        holds_money = any("money" in one.wire for one in fields)
        why = "its text shows money as the server's lc_monetary says" if holds_money else None
        return replace(TEXT, unwritable=why)
    arrow = pa.struct(
        [
            (one.name, field.layout.arrow)
            for one, field in zip(type_.attributes, fields, strict=True)
        ]
    )
    layouts = tuple(
        (one.type, field.layout) for one, field in zip(type_.attributes, fields, strict=True)
    )
    return Mapped(
        layout=Layout(kind="record", arrow=arrow, fields=layouts),
        wire=type_.quoted,
        unwritable=next((one.unwritable for one in fields if one.unwritable), None),
        fields=fields,
    )


def _limited(layout: Layout, name: str, modifier: int) -> Mapped:
    characters = digits = unwritable = None
    bytes_ = MAX_NAME_BYTES if name == "name" else None
    if modifier >= 0 and name in {"varchar", "bpchar"}:
        characters = modifier - VARHDRSZ
    if modifier >= 0 and name in {"time", "timetz", "timestamp", "timestamptz"}:
        digits = modifier
    if modifier >= 0 and name == "interval":
        digits = min(modifier & 0xFFFF, 6)
        if modifier >> 16 & 0x7FFF != _FULL_INTERVAL:
            unwritable = "PostgreSQL would cut its values to some fields"
    return Mapped(
        layout=layout,
        wire=name,
        characters=characters,
        bytes=bytes_,
        digits=digits,
        unwritable=unwritable,
    )


def _from_numeric(modifier: int) -> Mapped:
    if modifier >= 0:
        bits = modifier - VARHDRSZ
        precision = bits >> 16 & 0xFFFF
        # Eleven bits, the highest of which is the sign.
        scale = ((bits & 0x7FF) ^ 1024) - 1024
        if decimal := decimal_type(precision, scale):
            layout = Layout(kind="numeric", arrow=decimal)
            return Mapped(layout=layout, wire="numeric", zeros=max(-scale, 0))
    return replace(TEXT, any_number=True)


def decimal_type(precision: int, scale: int) -> pa.DataType | None:
    """Return the decimal that holds every such number; Arrow's scales lie within the precision."""
    precision, scale = max(precision - min(scale, 0), scale), max(scale, 0)
    if precision <= _DECIMAL128_DIGITS:
        return pa.decimal128(precision, scale)
    return pa.decimal256(precision, scale) if precision <= _DECIMAL256_DIGITS else None


def _from_array(
    types: Mapping[int, PgType], type_: PgType, modifier: int, dimensions: int
) -> Mapped:
    element = from_postgresql(types, type_.element, modifier, 0)
    inner, oid, wire = element.layout, type_.element, f"{element.wire}[]"
    if element.as_text:
        inner, oid = TEXT.layout, OIDS["text"]
    elif types[oid].kind == "d":
        wire = f"{types[oid].quoted}[]"
    arrow = inner.arrow
    for _ in range(dimensions):
        arrow = pa.list_(arrow)
    return replace(
        element,
        layout=Layout(
            kind="array", arrow=arrow, element=inner, element_oid=oid, dimensions=dimensions
        ),
        wire=wire,
        any_number=False,
    )
