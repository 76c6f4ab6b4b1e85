"""PostgreSQL's types as people look them up: what Arrow makes of each, and whether a note is needed.

Everything but the notes for people is asked of the mapping itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from datastores.drivers.azure_postgresql.stored import to_postgresql
from datastores.drivers.azure_postgresql.types import (
    CATALOG,
    OIDS,
    VARHDRSZ,
    Mapped,
    PgAttribute,
    PgType,
    from_postgresql,
)
from datastores.drivers.writing import Verdict
from datastores.errors import SchemaMismatchError
from datastores.types.text import describe_type

_INFINITE = "±infinity is refused, and what Arrow's microseconds do not reach"
_TEXT = "the server's own text"


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeRow:
    """One line of the table."""

    postgresql: str
    arrow: str
    verdict: Verdict
    """`exact`: the Arrow type alone leads back; `tagged`: with the note in the field's metadata."""
    note: str


def _numeric(precision: int, scale: int) -> int:
    return (precision << 16 | scale & 0x7FF) + VARHDRSZ


# As people write it -> its name in pg_catalog, its modifier, and what to know of it.
_NAMED: Mapping[str, tuple[str, int, str]] = {
    "boolean": ("bool", -1, ""),
    "smallint": ("int2", -1, ""),
    "integer": ("int4", -1, ""),
    "bigint": ("int8", -1, ""),
    "real": ("float4", -1, ""),
    "double precision": ("float8", -1, ""),
    "numeric(18,2)": ("numeric", _numeric(18, 2), "NaN is refused"),
    "numeric(76,20)": ("numeric", _numeric(76, 20), "from 39 digits on; NaN is refused"),
    "numeric": (
        "numeric",
        -1,
        'NaN and infinities too; types={"n": "decimal(38,10)"} reads a number exactly, or refuses it',
    ),
    "money": ("money", -1, "as many decimals as the server's lc_monetary has"),
    "oid": ("oid", -1, ""),
    "text": ("text", -1, "U+0000 is refused on the way in"),
    "varchar(10)": ("varchar", 10 + VARHDRSZ, "longer texts are refused"),
    "char(10)": ("bpchar", 10 + VARHDRSZ, "padding kept; longer texts are refused"),
    "name": ("name", -1, "more than 63 bytes are refused"),
    "bytea": ("bytea", -1, ""),
    "uuid": ("uuid", -1, ""),
    "json": ("json", -1, "to the byte"),
    "jsonb": ("jsonb", -1, "as the server prints it"),
    "date": ("date", -1, "±infinity is refused"),
    "time": ("time", -1, "24:00:00 is refused"),
    "time with time zone": ("timetz", -1, "offset in seconds east of UTC; 24:00:00 is refused"),
    "timestamp": ("timestamp", -1, _INFINITE),
    "timestamp with time zone": ("timestamptz", -1, _INFINITE),
    "timestamp(3)": ("timestamp", 3, "finer values are refused on the way in"),
    "interval": ("interval", -1, "±infinity is refused, and more than 292 years in hours"),
    "bit(3)": ("bit", 3, "each value's digits; another length is refused"),
    "bit varying": ("varbit", -1, "each value's digits"),
    "inet": ("inet", -1, _TEXT),
    "cidr": ("cidr", -1, _TEXT),
    "macaddr": ("macaddr", -1, _TEXT),
    "xml": ("xml", -1, "to the byte"),
    "int4range": ("int4range", -1, f"{_TEXT}, as of all ranges and multiranges"),
    "tsvector": ("tsvector", -1, f"{_TEXT}, as of tsquery"),
    "point": ("point", -1, f"{_TEXT}, as of all geometric types"),
    "pg_lsn": ("pg_lsn", -1, f"{_TEXT}, as of all types that are not in this table"),
    "regclass": ("regclass", -1, f"{_TEXT}; a name that is not there is refused on the way in"),
}
_INTEGER = OIDS["int4"]
_ENUM, _PAIR, _DOMAIN, _NUMBERS, _HSTORE = range(1, 6)
_TYPES: Mapping[int, PgType] = {
    _ENUM: PgType(oid=_ENUM, name="mood", schema="public", kind="e", labels=("sad", "happy")),
    _INTEGER: PgType(oid=_INTEGER, name="int4", schema=CATALOG, kind="b"),
    _PAIR: PgType(
        oid=_PAIR,
        name="pair",
        schema="public",
        kind="c",
        attributes=(PgAttribute(name="a", type=_INTEGER), PgAttribute(name="b", type=_ENUM)),
    ),
    _DOMAIN: PgType(oid=_DOMAIN, name="positive", schema="public", kind="d", base=_INTEGER),
    _HSTORE: PgType(oid=_HSTORE, name="hstore", schema="public", kind="b"),
    _NUMBERS: PgType(oid=_NUMBERS, name="_int4", schema=CATALOG, kind="b", element=_INTEGER),
}
# The same for types that are not in pg_catalog, or made of others: which one, and how many dimensions.
_MADE: Mapping[str, tuple[int, int, str]] = {
    "integer[]": (_NUMBERS, 1, "NULLs kept; a lower bound that is not 1 is refused"),
    "integer[][]": (_NUMBERS, 2, "another number of dimensions is refused"),
    "an enum": (_ENUM, 0, "the labels, in their order, are in the note; created where it is not"),
    "a domain over integer": (_DOMAIN, 0, "as what it is over"),
    "a composite": (
        _PAIR,
        0,
        "if all its fields travel in binary, else the server's text; not created where it is not",
    ),
    "hstore": (_HSTORE, 0, f"{_TEXT}, as of all types of extensions"),
}


def type_table() -> tuple[TypeRow, ...]:
    """Return a line for each type of PostgreSQL, as the mapping is."""
    rows = []
    for words, (name, modifier, note) in _NAMED.items():
        type_ = PgType(oid=0, name=name, schema=CATALOG, kind="b", money_digits=2)
        rows.append(_row(words, type_, from_postgresql({0: type_}, 0, modifier, 0), note))
    for words, (oid, dimensions, note) in _MADE.items():
        mapped = from_postgresql(_TYPES, oid, -1, dimensions)
        rows.append(_row(words, _TYPES[oid], mapped, note))
    return tuple(rows)


def _row(words: str, type_: PgType, mapped: Mapped, note: str) -> TypeRow:
    try:
        leads_back = to_postgresql(mapped.layout.arrow, words).mapped == mapped
    except SchemaMismatchError:
        leads_back = False
    # The name of a type that a database made is in no Arrow type.
    exact = leads_back and type_.schema == CATALOG
    return TypeRow(
        postgresql=words,
        arrow=describe_type(mapped.layout.arrow),
        verdict=Verdict.EXACT if exact else Verdict.TAGGED,
        note=note,
    )
