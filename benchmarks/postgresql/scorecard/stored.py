"""Values that PostgreSQL holds and tools change: each is in a table of its own, beside a NULL."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Family(StrEnum):
    """What a value is, or each of an array's; `judge.py` says which Arrow types say the same."""

    BOOLEAN = "boolean"
    INTEGER = "integer"
    FLOAT = "float"
    NUMBER = "number"
    MONEY = "money"
    TEXT = "text"
    LABEL = "label"
    BYTES = "bytes"
    DATE = "date"
    TIMESTAMP = "timestamp"
    INSTANT = "instant"
    TIME = "time"
    TIME_WITH_ZONE = "time with zone"
    INTERVAL = "interval"
    JSON = "json"
    UUID = "uuid"
    ADDRESS = "address"
    COMPOSITE = "composite"
    RANGE = "range"
    OTHER = "other"
    """Its text is its meaning."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One value, as SQL says it."""

    type: str
    literal: str
    family: Family

    @property
    def is_array(self) -> bool:
        """Whether the family is that of its elements."""
        return self.type.endswith("[]")

    @property
    def name(self) -> str:
        """The value in a table of results."""
        shown = self.literal if len(self.literal) <= _SHOWN else f"{self.literal[: _SHOWN - 3]}..."
        return f"{self.type} {shown}"


_SHOWN = 40
# The types that the values below need.
TYPES = (
    "CREATE EXTENSION IF NOT EXISTS hstore",
    "CREATE TYPE mood AS ENUM ('sad', 'o''k', '')",
    "CREATE DOMAIN positive AS integer CHECK (value > 0)",
    "CREATE DOMAIN cents AS numeric(12,2)",
    "CREATE TYPE pair AS (a integer, b text)",
)
_F = Family
STORED: tuple[Stored, ...] = tuple(
    Stored(*one)
    for one in (
        ("boolean", "true", _F.BOOLEAN),
        ("smallint", "-32768", _F.INTEGER),
        ("integer", "2147483647", _F.INTEGER),
        ("bigint", "9223372036854775807", _F.INTEGER),
        ("bigint", "-9223372036854775808", _F.INTEGER),
        ("oid", "4294967295", _F.INTEGER),
        ("real", "3.4028235e38", _F.FLOAT),
        ("real", "'NaN'", _F.FLOAT),
        ("double precision", "0.1", _F.FLOAT),
        ("double precision", "'-0'", _F.FLOAT),
        ("double precision", "'NaN'", _F.FLOAT),
        ("double precision", "'-Infinity'", _F.FLOAT),
        ("numeric(10,2)", "-99999999.99", _F.NUMBER),
        ("numeric(10,2)", "'NaN'", _F.NUMBER),
        ("numeric(18,12)", "0.123456789012", _F.NUMBER),
        ("numeric(38,10)", "1234567890123456789012345678.0000000009", _F.NUMBER),
        ("numeric(38,38)", "0.99999999999999999999999999999999999999", _F.NUMBER),
        ("numeric(76,20)", "-" + "9" * 56 + "." + "9" * 20, _F.NUMBER),
        ("numeric(3,-2)", "-99900", _F.NUMBER),
        ("numeric", "0.1", _F.NUMBER),
        ("numeric", "12345678901234567890.123456789", _F.NUMBER),
        ("numeric", "'NaN'", _F.NUMBER),
        ("numeric", "'Infinity'", _F.NUMBER),
        ("numeric", "'-Infinity'", _F.NUMBER),
        ("numeric", "1" + "0" * 999, _F.NUMBER),
        ("money", "'-92233720368547758.08'", _F.MONEY),
        ("money", "'12.34'", _F.MONEY),
        ("text", "''", _F.TEXT),
        ("text", "'O''Neil \\ 日本 😀 '", _F.TEXT),
        ("text", "'NULL'", _F.TEXT),
        ("character varying(3)", "'日本 '", _F.TEXT),
        ("character(5)", "'ab'", _F.TEXT),
        ("name", "'pg'", _F.TEXT),
        ("bytea", "''", _F.BYTES),
        ("bytea", "'\\x00ff'", _F.BYTES),
        ("date", "'9999-12-31'", _F.DATE),
        ("date", "'0044-03-15 BC'", _F.DATE),
        ("date", "'5874897-12-31'", _F.DATE),
        ("date", "'infinity'", _F.DATE),
        ("date", "'-infinity'", _F.DATE),
        ("timestamp", "'2020-02-29 23:59:59.999999'", _F.TIMESTAMP),
        ("timestamp", "'0001-01-01 00:00:00.000001'", _F.TIMESTAMP),
        ("timestamp", "'4713-01-01 00:00:00 BC'", _F.TIMESTAMP),
        ("timestamp", "'294276-12-31 23:59:59.999999'", _F.TIMESTAMP),
        ("timestamp", "'infinity'", _F.TIMESTAMP),
        ("timestamptz", "'2020-01-01 00:00:00+02'", _F.INSTANT),
        ("timestamptz", "'9999-12-31 23:59:59.999999+00'", _F.INSTANT),
        ("timestamptz", "'-infinity'", _F.INSTANT),
        ("time", "'23:59:59.999999'", _F.TIME),
        ("time", "'24:00'", _F.TIME),
        ("timetz", "'12:00:00+02'", _F.TIME_WITH_ZONE),
        ("timetz", "'24:00:00-15:59:59'", _F.TIME_WITH_ZONE),
        ("interval", "'1 month -2 days 3 microseconds'", _F.INTERVAL),
        ("interval", "'100 years'", _F.INTERVAL),
        ("interval", "'3000000 hours'", _F.INTERVAL),
        ("integer[]", "'{1,NULL,-3}'", _F.INTEGER),
        ("integer[]", "'{}'", _F.INTEGER),
        ("integer[]", "'{{1,2},{3,4}}'", _F.INTEGER),
        ("integer[][]", "'{{1,2},{3,NULL}}'", _F.INTEGER),
        ("integer[]", "'[0:1]={1,2}'", _F.INTEGER),
        ("text[]", "array['', NULL, 'NULL', 'a,\"b']", _F.TEXT),
        ("numeric(6,2)[]", "'{0.01,-9999.99}'", _F.NUMBER),
        ("timestamptz[]", "'{2020-01-01 00:00:00+02}'", _F.INSTANT),
        ("json", """'{"a":  1.50, "b": [1, 2]}'""", _F.JSON),
        ("json", "'12345678901234567890123'", _F.JSON),
        ("json", """'{"a": 1, "a": 2}'""", _F.JSON),
        ("jsonb", """'{"b": 1.50, "a": null}'""", _F.JSON),
        ("jsonb", "'0.12345678901234567890123'", _F.JSON),
        ("uuid", "'f47ac10b-58cc-4372-a567-0e02b2c3d479'", _F.UUID),
        ("mood", "'o''k'", _F.LABEL),
        ("mood", "''", _F.LABEL),
        ("mood[]", "array['sad', NULL]::mood[]", _F.LABEL),
        ("positive", "7", _F.INTEGER),
        ("cents", "0.10", _F.NUMBER),
        ("pair", "row(1, 'a b')", _F.COMPOSITE),
        ("pair", "row(NULL, NULL)", _F.COMPOSITE),
        ("int4range", "'[1,5)'", _F.RANGE),
        ("int4range", "'empty'", _F.RANGE),
        ("numrange", "'(,1.50]'", _F.RANGE),
        ("tstzrange", "'[2020-01-01 00:00+00,)'", _F.RANGE),
        ("int4multirange", "'{[1,3),[5,7)}'", _F.OTHER),
        ("inet", "'192.168.0.1'", _F.ADDRESS),
        ("inet", "'::1/128'", _F.ADDRESS),
        ("inet", "'10.1.2.3/8'", _F.ADDRESS),
        ("cidr", "'10.0.0.0/8'", _F.ADDRESS),
        ("macaddr", "'08:00:2b:01:02:03'", _F.OTHER),
        ("bit(3)", "B'010'", _F.OTHER),
        ("bit varying(9)", "B'0100'", _F.OTHER),
        ("xml", "'<a>1 &lt; 2</a>'", _F.OTHER),
        ("tsvector", "'a:1 b:2A'", _F.OTHER),
        ("point", "'(0.1,2)'", _F.OTHER),
        ("box", "'(3,4),(1,2)'", _F.OTHER),
        ("hstore", "'a=>NULL, b=>\"x y\"'", _F.OTHER),
        ("pg_lsn", "'16/B374D848'", _F.OTHER),
    )
)
