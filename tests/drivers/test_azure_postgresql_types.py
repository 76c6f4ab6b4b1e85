# ruff: noqa: DTZ001  # naive timestamps are meant
"""PostgreSQL's own types, by values that other tools change: exact, tagged, or refused by name."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest

from datastores.drivers.azure_postgresql.driver import AzurePostgreSQLDriver
from datastores.drivers.writing import WriteRequest
from datastores.errors import DataError, PreconditionFailedError, SchemaMismatchError
from datastores.testing.arrow import assert_same_table
from datastores.testing.table_case import read, write
from datastores.types.fields import source_of
from datastores.values import TableName, WriteMode
from tests.drivers.test_azure_postgresql import config_of, staged
from tests.services.postgresql import Database

SOURCE, COPY = TableName("source", "public"), TableName("copy", "public")
DECIMAL, TEXT = pa.decimal128, pa.string()
ENUM = pa.dictionary(pa.int32(), pa.string())
PAIR = pa.struct([("a", pa.int32()), ("b", pa.string())])
TIMETZ = pa.struct([("time", pa.time64("us")), ("offset", pa.int32())])
PERSON = pa.struct(
    [
        ("name", TEXT),
        ("moods", pa.list_(ENUM)),
        ("age", pa.int32()),
        ("pair", PAIR),
        ("at", TIMETZ),
        ("paid", DECIMAL(19, 2)),
        ("ids", pa.list_(pa.uuid())),
        ("size", DECIMAL(6, 2)),
        ("more", pa.json_()),
    ]
)
ANN: dict[str, Any] = {
    "name": "Ann",
    "moods": ["sad", None],
    "age": 7,
    "pair": {"a": 1, "b": None},
    "at": {"time": dt.time(23, 59, 59, 123000), "offset": 7200},
    "paid": Decimal("1.25"),
    "ids": [UUID("f47ac10b58cc4372a5670e02b2c3d479")],
    "size": Decimal("1.50"),
    "more": '{"a": 1}',
}

# SQL type, a literal of it, its Arrow type, the value in Python.
EXACT: list[tuple[str, str, pa.DataType, Any]] = [
    ("boolean", "true", pa.bool_(), True),
    ("smallint", "-32768", pa.int16(), -(2**15)),
    ("integer", "2147483647", pa.int32(), 2**31 - 1),
    ("bigint", "-9223372036854775808", pa.int64(), -(2**63)),
    ("oid", "4294967295", pa.uint32(), 2**32 - 1),
    ("real", "3.4028235e38", pa.float32(), 3.4028234663852886e38),
    ("double precision", "'-0'", pa.float64(), -0.0),
    ("double precision", "'-Infinity'", pa.float64(), float("-inf")),
    ("numeric(10,2)", "-99999999.99", DECIMAL(10, 2), Decimal("-99999999.99")),
    ("numeric(38,10)", "1234567890123456789012345678.0000000009", DECIMAL(38, 10), Decimal("1234567890123456789012345678.0000000009")),
    ("numeric(76,20)", "-" + "9" * 56 + "." + "9" * 20, pa.decimal256(76, 20), Decimal("-" + "9" * 56 + "." + "9" * 20)),
    ("numeric(2,5)", "0.00099", DECIMAL(5, 5), Decimal("0.00099")),
    ("numeric(3,-2)", "-99900", DECIMAL(5, 0), Decimal(-99900)),
    ("numeric(18,1)", "0.1", DECIMAL(18, 1), Decimal("0.1")),
    ("numeric", "'NaN'", TEXT, "NaN"),
    ("numeric", "'-Infinity'", TEXT, "-Infinity"),
    ("numeric", "1." + "0" * 500, TEXT, "1." + "0" * 500),
    ("numeric", "-" + "9" * 1000 + "." + "9" * 1000, TEXT, "-" + "9" * 1000 + "." + "9" * 1000),
    ("numeric", "'Infinity'", TEXT, "Infinity"),
    ("numeric(100,1)", "1e90", TEXT, "1" + "0" * 90 + ".0"),
    ("text", "'O''Neil \\ 日本 😀'", TEXT, "O'Neil \\ 日本 😀"),
    ("character varying(3)", "'日本 '", TEXT, "日本 "),
    ("character(5)", "'ab'", TEXT, "ab   "),
    ("bytea", "'\\x00ff'", pa.binary(), b"\x00\xff"),
    ("bytea", "''", pa.binary(), b""),
    ("date", "'9999-12-31'", pa.date32(), dt.date(9999, 12, 31)),
    ("time without time zone", "'23:59:59.999999'", pa.time64("us"), dt.time(23, 59, 59, 999999)),
    ("time(0) without time zone", "'23:59:59'", pa.time64("us"), dt.time(23, 59, 59)),
    ("timestamp without time zone", "'0001-01-01 00:00:00.000001'", pa.timestamp("us"), dt.datetime(1, 1, 1, 0, 0, 0, 1)),
    ("timestamp with time zone", "'2020-01-01 00:00:00+02'", pa.timestamp("us", "UTC"), dt.datetime(2019, 12, 31, 22, tzinfo=dt.UTC)),
    ("interval", "'1 month -2 days 3 microseconds'", pa.month_day_nano_interval(), pa.MonthDayNano([1, -2, 3000])),
    ("time with time zone", "'23:59:59.999999-15:59:59'", TIMETZ, {"time": dt.time(23, 59, 59, 999999), "offset": -57599}),
    ("time(3) with time zone", "'00:00:00.001+02'", TIMETZ, {"time": dt.time(0, 0, 0, 1000), "offset": 7200}),
    ("money", "'-92233720368547758.08'", DECIMAL(19, 2), Decimal("-92233720368547758.08")),
    ("uuid", "'f47ac10b-58cc-4372-a567-0e02b2c3d479'", pa.uuid(), UUID("f47ac10b58cc4372a5670e02b2c3d479")),
    ("json", """'{"a":  12345678901234567890123, "a": 1}'""", pa.json_(), '{"a":  12345678901234567890123, "a": 1}'),
    ("jsonb", """'{"b": 1.50}'""", pa.json_(), '{"b": 1.50}'),
    ("public.mood", "'o''k'", ENUM, "o'k"),
    ("public.mood[]", "array['sad', null]::mood[]", pa.list_(ENUM), ["sad", None]),
    ("public.positive", "7", pa.int32(), 7),
    ("public.pair", "row(1, 'a b')", PAIR, {"a": 1, "b": "a b"}),
    ("public.pair", "row(null, null)", PAIR, {"a": None, "b": None}),
    ("public.person", "row('Ann', array['sad', null]::mood[], 7, row(1, null), '23:59:59.123+02', '$1.25', '{f47ac10b-58cc-4372-a567-0e02b2c3d479}', 1.50, '{\"a\": 1}')", PERSON, ANN),
    ("public.person", "row(null, null, null, row(null, null), null, null, null, null, null)", PERSON, {**dict.fromkeys(ANN), "pair": {"a": None, "b": None}}),
    ("public.pair[]", "array[row(1, 'a'), null, row(null, null)]::pair[]", pa.list_(PAIR), [{"a": 1, "b": "a"}, None, {"a": None, "b": None}]),
    ("public.pair[][]", "array[[row(1, 'a')]]::pair[]", pa.list_(pa.list_(PAIR)), [[{"a": 1, "b": "a"}]]),
    ("public.host", "row('::1/128', 'a')", TEXT, "(::1,a)"),
    ("public.host", "row(null, null)", TEXT, "(,)"),
    ("public.host[]", "array[row('::1/128', 'a'), null, row(null, null)]::host[]", pa.list_(TEXT), ["(::1,a)", None, "(,)"]),
    ("public.nothing", "row()", TEXT, "()"),
    ("public.account", "row(1, 'x')", pa.struct([("id", pa.int32()), ("name", TEXT)]), {"id": 1, "name": "x"}),
    ("public.happy", "'sad'", ENUM, "sad"),
    ("public.couple", "row(1, 'a')", PAIR, {"a": 1, "b": "a"}),
    ("public.integers", "'{1,null}'", pa.list_(pa.int32()), [1, None]),
    ("public.positive[]", "'{7,null}'", pa.list_(pa.int32()), [7, None]),
    ("public.couple[]", "array[row(1, 'a')]::couple[]", pa.list_(PAIR), [{"a": 1, "b": "a"}]),
    ("public.mood[][]", "'{{sad,NULL}}'", pa.list_(pa.list_(ENUM)), [["sad", None]]),
    ("time(0) with time zone[]", "'{12:00:00-01,NULL}'", pa.list_(TIMETZ), [{"time": dt.time(12), "offset": -3600}, None]),
    ("money[]", "'{-0.01,NULL}'", pa.list_(DECIMAL(19, 2)), [Decimal("-0.01"), None]),
    ("inet", "'::1/128'", TEXT, "::1"),
    ("inet", "'10.1.2.3/8'", TEXT, "10.1.2.3/8"),
    ("cidr", "'2001:db8::/32'", TEXT, "2001:db8::/32"),
    ("cidr", "'10.0.0.0/8'", TEXT, "10.0.0.0/8"),
    ("macaddr", "'08:00:2b:01:02:03'", TEXT, "08:00:2b:01:02:03"),
    ("bit(3)", "B'010'", TEXT, "010"),
    ("bit varying(9)", "B'0100'", TEXT, "0100"),
    ("int4range", "'[1,5)'", TEXT, "[1,5)"),
    ("tstzmultirange", "'{}'", TEXT, "{}"),
    ("int8range", "'empty'", TEXT, "empty"),
    ("numrange", "'(,1.50]'", TEXT, "(,1.50]"),
    ("daterange", "'[2020-01-01,infinity)'", TEXT, "[2020-01-01,infinity)"),
    ("tsrange[]", "array['[2020-01-01 00:00:00,)']::tsrange[]", pa.list_(TEXT), ['["2020-01-01 00:00:00",)']),
    ("int4multirange", "'{[1,3),[5,)}'", TEXT, "{[1,3),[5,)}"),
    ("macaddr8", "'08:00:2b:01:02:03:04:05'", TEXT, "08:00:2b:01:02:03:04:05"),
    ("bit varying", "''", TEXT, ""),
    ("bit(3)[]", "'{010,NULL}'", pa.list_(TEXT), ["010", None]),
    ("point", "'(0.1,2)'", TEXT, "(0.1,2)"),
    ("line", "'{1,-1,0.30000000000000004}'", TEXT, "{1,-1,0.30000000000000004}"),
    ("lseg", "'[(0,0),(1,1)]'", TEXT, "[(0,0),(1,1)]"),
    ("box", "'(1,1),(0,0)'", TEXT, "(1,1),(0,0)"),
    ("path", "'[(0,0),(1,1)]'", TEXT, "[(0,0),(1,1)]"),
    ("path", "'((0,0),(1,1))'", TEXT, "((0,0),(1,1))"),
    ("polygon", "'((0,0),(1,1),(1,0))'", TEXT, "((0,0),(1,1),(1,0))"),
    ("circle", "'<(0,0),1e-300>'", TEXT, "<(0,0),1e-300>"),
    ("tsvector", "'a:1A b:2'", TEXT, "'a':1A 'b':2"),
    ("tsquery", "'a & !b:*'", TEXT, "'a' & !'b':*"),
    ("xml", "'<?xml version=\"1.0\" encoding=\"UTF-8\"?><a> </a>'", TEXT, '<?xml version="1.0" encoding="UTF-8"?><a> </a>'),
    ("xml", "'a<b/>'", TEXT, "a<b/>"),
    ("public.hstore", "'\"a b\"=>NULL, \"c\"=>\"\"'", TEXT, '"c"=>"", "a b"=>NULL'),
    ("pg_lsn", "'FFFFFFFF/FFFFFFFF'", TEXT, "FFFFFFFF/FFFFFFFF"),
    ('"char"', "''", TEXT, ""),
    ('"char"', "'x'", TEXT, "x"),
    ("name", "'" + "é" * 31 + "'", TEXT, "é" * 31),
    ("regclass", "'pg_catalog.pg_class'", TEXT, "pg_class"),
    ("regtype", "'integer[]'", TEXT, "integer[]"),
    ("regprocedure", "'pg_catalog.lower(text)'", TEXT, "lower(text)"),
    ("txid_snapshot", "'10:20:10,14,15'", TEXT, "10:20:10,14,15"),
    ("xid8", "'18446744073709551615'", TEXT, "18446744073709551615"),
    ("tid", "'(4294967295,65535)'", TEXT, "(4294967295,65535)"),
    ("jsonpath", "'$.\"a\"[*]?(@ > 1)'", TEXT, '$."a"[*]?(@ > 1)'),
    ("int2vector", "'1 2'", TEXT, "1 2"),
    ("integer[]", "'{1,NULL,-3}'", pa.list_(pa.int32()), [1, None, -3]),
    ("integer[]", "'{}'", pa.list_(pa.int32()), []),
    ("integer[][]", "'{{1,2,3},{4,NULL,6}}'", pa.list_(pa.list_(pa.int32())), [[1, 2, 3], [4, None, 6]]),
    ("numeric(6,2)[]", "'{0.01,-9999.99}'", pa.list_(DECIMAL(6, 2)), [Decimal("0.01"), Decimal("-9999.99")]),
    ("numeric[]", "'{1.10}'", pa.list_(TEXT), ["1.10"]),
    ("text[]", "array['', NULL, 'a,\"b']", pa.list_(TEXT), ["", None, 'a,"b']),
    ("uuid[]", "'{f47ac10b-58cc-4372-a567-0e02b2c3d479}'", pa.list_(pa.uuid()), [UUID("f47ac10b58cc4372a5670e02b2c3d479")]),
    ("timestamp with time zone[]", "'{2020-01-01 00:00:00+02}'", pa.list_(pa.timestamp("us", "UTC")), [dt.datetime(2019, 12, 31, 22, tzinfo=dt.UTC)]),
]  # fmt: skip

# SQL type, a literal of it, what the error says.
REFUSED: list[tuple[str, str, str]] = [
    ("numeric(10,2)", "'NaN'", "NaN"),
    ("date", "'infinity'", "infinity"),
    ("date", "'-infinity'", "-infinity"),
    ("timestamp", "'-infinity'", "-infinity"),
    ("timestamptz", "'infinity'", "infinity"),
    ("timestamp", "'294276-12-31'", "294276-12-31 00:00:00"),
    ("time", "'24:00'", "24:00:00"),
    ("interval", "'3000000 hours'", "3000000:00:00"),
    ("integer[]", "'{{1}}'", "{{1}}"),
    ("integer[]", "'[0:1]={1,2}'", "[0:1]={1,2}"),
    ("integer[][]", "'{1}'", " {1} "),
    ("numeric(4,1)[]", "'{NaN}'", "NaN"),
    ("timetz", "'24:00:00-15:59:59'", "24:00:00"),
    ("pair[]", "array[[row(1, 'a')]]::pair[]", "{{"),
    ("person", "row(null, null, null, null, '24:00+02', null, null, null, null)", "24:00:00"),
    ("person", "row(null, null, null, null, null, null, null, 'NaN', null)", "NaN"),
]


TYPES = """
    CREATE EXTENSION hstore;
    CREATE TYPE mood AS ENUM ('sad', 'o''k');
    CREATE DOMAIN positive AS integer CHECK (value > 0);
    CREATE TYPE pair AS (a integer, gone integer, b text);
    ALTER TYPE pair DROP ATTRIBUTE gone;
    CREATE TYPE person AS (name varchar(5), moods mood[], age positive, pair pair,
        at time(3) with time zone, paid money, ids uuid[], size numeric(6,2), more jsonb);
    CREATE TYPE guest AS (name varchar(5), moods mood[], age positive, at time(3) with time zone);
    CREATE TYPE host AS (address inet, name text);
    CREATE TYPE nothing AS ();
    CREATE TABLE account (id integer PRIMARY KEY, gone text, name text);
    ALTER TABLE account DROP COLUMN gone;
    CREATE DOMAIN happy AS mood;
    CREATE DOMAIN couple AS pair;
    CREATE DOMAIN integers AS integer[];
"""


@pytest.fixture
def database(database: Database) -> Database:
    database.run(TYPES)
    return database


@pytest.fixture
def driver(database: Database) -> Iterator[AzurePostgreSQLDriver]:
    with AzurePostgreSQLDriver(config_of(database.owner)) as driver:
        yield driver


def test_every_type_is_read_and_written_back_as_it_was(
    database: Database, driver: AzurePostgreSQLDriver
) -> None:
    names = [f"c{at}" for at in range(len(EXACT))]
    columns = ", ".join(f"{name} {one[0]}" for name, one in zip(names, EXACT, strict=True))
    literals = ", ".join(f"({one[1]})::{one[0]}" for one in EXACT)
    database.run(f"CREATE TABLE source (row integer, {columns})")
    database.run(f"INSERT INTO source SELECT 1, {literals}")
    database.run("INSERT INTO source (row) VALUES (2)")
    data = read(driver, SOURCE)
    for name, (type_, _, arrow, value) in zip(names, EXACT, strict=True):
        field = data.schema.field(name)
        assert field.type == arrow, type_
        source = source_of(field)
        assert source is not None
        assert source.type == type_
        got = data[name].to_pylist()
        assert got[0] == value, type_
        # -0.0 equals 0.0, and is another value.
        assert not isinstance(value, float | Decimal) or str(got[0]) == str(value)
        assert got[1] is None
    write(driver, COPY, data)
    assert declarations(database, "source") == declarations(database, "copy")
    # Rows are compared by their bytes, and whatever has text by its text.
    differ = ", ".join(
        f"record_image_ne(ROW(s.{name}), ROW(c.{name})) "
        f"OR s.{name}::text IS DISTINCT FROM c.{name}::text"
        for name in names
    )
    for found in database.run(f"SELECT {differ} FROM source s JOIN copy c USING (row)"):
        assert [EXACT[at] for at, other in enumerate(found) if other] == []
    write(driver, COPY, data, WriteMode.APPEND)
    assert_same_table(read(driver, COPY), pa.concat_tables([data, data]))


def declarations(database: Database, table: str) -> list[tuple[Any, ...]]:
    """Return a table's columns and types as the catalogue has them."""
    return database.run(
        "SELECT attname, format_type(atttypid, atttypmod), attndims FROM pg_attribute "
        f"WHERE attrelid = 'public.{table}'::regclass AND attnum > 0 ORDER BY attnum"
    )


def test_a_value_without_an_equal_is_refused_by_column(
    database: Database, driver: AzurePostgreSQLDriver
) -> None:
    database.run(
        "; ".join(
            f"CREATE TABLE source{at} (fine integer, v {sql}); "
            f"INSERT INTO source{at} VALUES (1, NULL), (2, {literal}::{sql})"
            for at, (sql, literal, _) in enumerate(REFUSED)
        )
    )
    for at, (sql, _, word) in enumerate(REFUSED):
        table = TableName(f"source{at}")
        with pytest.raises(DataError, match="'v'") as caught:
            read(driver, table)
        assert word in str(caught.value), sql
        assert read(driver, table, columns=("fine",)).num_rows == 2


GUEST_TYPE = pa.struct([PERSON.field(at) for at in (0, 1, 2, 4)])
GUEST = {name: ANN[name] for name in ("name", "moods", "age", "at")}

# A column's SQL type, values that do not fit it, what the error says.
UNFIT: list[tuple[str, pa.Array, str]] = [
    ("varchar(2)", pa.array(["ab", "abc"]), "abc"),
    ("varchar(2)", pa.array(["ab "]), "ab "),
    ("char(2)", pa.array(["abc"]), "abc"),
    ("varchar(2)[]", pa.array([["ab", "abc"]]), "abc"),
    ("numeric(4,1)", pa.array([Decimal("1.25")]), "1.25"),
    ("numeric(4,1)", pa.array([Decimal("1000.0")]), "1000"),
    ("numeric(3,-2)", pa.array([Decimal(12300), Decimal(12345)]), "12345"),
    ("numeric(3,-2)", pa.array([Decimal(99950)]), "99950"),
    ("numeric(3,-2)[]", pa.array([[Decimal(100), Decimal(150)]]), "150"),
    ("timestamp(3)", pa.array([1234], pa.timestamp("us")), "1234"),
    ("time(0)", pa.array([1], pa.time64("us")), "1"),
    ("interval(2)", pa.array([pa.MonthDayNano([0, 0, 1_000_000])]), "1000000"),
    ("timestamp", pa.array([1], pa.timestamp("ns")), "v"),
    ("smallint", pa.array([2**15]), "32768"),
    ("real", pa.array([0.1]), "0.1"),
    ("text", pa.array(["a\0b"]), "U+0000"),
    ("date", pa.array([-(2**31) + 1], pa.int32()).view(pa.date32()), "v"),
    ("mood", pa.array(["sad", None, "angry"]), "angry"),
    ("mood", pa.array(["angry", "sad"]).dictionary_encode(), "angry"),
    ("mood[]", pa.array([["sad", None, "angry"]]), "angry"),
    ("happy", pa.array(["angry"]), "angry"),
    ("timetz", pa.array([{"time": dt.time(1), "offset": 57600}], TIMETZ), "57600"),
    ("timetz", pa.array([{"time": None, "offset": 0}], TIMETZ), "None"),
    ("timetz(3)", pa.array([{"time": dt.time(1, 2, 3, 4), "offset": 0}], TIMETZ), "time(1, 2, 3, 4)"),
    ("money", pa.array([Decimal("1.001")]), "1.001"),
    ("money", pa.array([Decimal("92233720368547758.08")]), "92233720368547758.08"),
    ("money[]", pa.array([[Decimal("92233720368547758.08")]]), "92233720368547758.08"),
    ("pair", pa.array([{"a": 2**31, "b": ""}]), "2147483648"),
    ("pair[]", pa.array([[{"a": 1, "b": "a\0b"}]]), "U+0000"),
    ("guest", pa.array([{**GUEST, "name": "Annabel"}], GUEST_TYPE), "Annabel"),
    ("guest", pa.array([{**GUEST, "at": {"time": dt.time(1, 2, 3, 4), "offset": 0}}], GUEST_TYPE), "time(1, 2, 3, 4)"),
    ("guest[]", pa.array([[{**GUEST, "moods": ["angry"]}]], pa.list_(GUEST_TYPE)), "angry"),
    ("host", pa.array(["(nowhere,a)"]), "nowhere"),
    ("name", pa.array(["é" * 32]), "éééé"),
    ("inet", pa.array(["nowhere"]), "nowhere"),
    ("json", pa.array(["{"], pa.json_()), "json"),
    ("bit(3)", pa.array(["01"]), "bit"),
    ("integer[][]", pa.array([[[1], [2, 3]]]), "equally long"),
    ("integer[][]", pa.array([[[1], None]]), "NULL"),
]  # fmt: skip


def test_a_value_that_the_column_would_change_is_refused(
    database: Database, driver: AzurePostgreSQLDriver
) -> None:
    tables = [f"copy{at}" for at in range(len(UNFIT))]
    database.run(
        "; ".join(
            f"CREATE TABLE {table} (v {sql})"
            for table, (sql, _, _) in zip(tables, UNFIT, strict=True)
        )
    )
    for table, (sql, values, word) in zip(tables, UNFIT, strict=True):
        with pytest.raises(DataError) as caught:
            write(driver, TableName(table), pa.table({"v": values}), WriteMode.APPEND)
        assert word in str(caught.value), sql
        assert "v" in str(caught.value)
    assert database.run(" UNION ALL ".join(f"SELECT v::text FROM {one}" for one in tables)) == []
    assert not staged(database)


def test_the_check_of_a_domain_holds(database: Database, driver: AzurePostgreSQLDriver) -> None:
    rows = pa.table(
        {
            "one": pa.array([1], pa.int32()),
            "several": pa.array([[1]], pa.list_(pa.int32())),
            "guest": pa.array([GUEST], GUEST_TYPE),
        }
    )
    database.run("CREATE TABLE copy (one positive, several positive[], guest guest)")
    write(driver, COPY, rows, WriteMode.APPEND)
    wrong = {
        "one": pa.array([0], pa.int32()),
        "several": pa.array([[0]], pa.list_(pa.int32())),
        "guest": pa.array([{**GUEST, "age": 0}], GUEST_TYPE),
    }
    for at, (name, values) in enumerate(wrong.items()):
        with pytest.raises(PreconditionFailedError, match="positive_check"):
            write(driver, COPY, rows.set_column(at, name, values), WriteMode.APPEND)
    assert database.run("SELECT count(*) FROM copy") == [(1,)]


@pytest.mark.parametrize("sql", ["interval day", "lap", "lap[]", "wallet"])
def test_a_column_that_rounds_unseen_takes_nothing(
    database: Database, driver: AzurePostgreSQLDriver, sql: str
) -> None:
    database.run("CREATE TYPE lap AS (took interval hour)")
    database.run("CREATE TYPE wallet AS (held money, at inet)")
    database.run(f"CREATE TABLE copy (v {sql})")
    type_ = driver.schema(COPY).field("v").type
    with pytest.raises(SchemaMismatchError, match="'v'"):
        driver.plan_write(
            WriteRequest(table=COPY, schema=pa.schema([("v", type_)]), mode=WriteMode.APPEND)
        )


def test_numbers_go_into_a_numeric_without_precision(
    database: Database, driver: AzurePostgreSQLDriver
) -> None:
    database.run("CREATE TABLE copy (v numeric)")
    for values in (
        pa.array([Decimal("1.50"), None]),
        pa.array([2**64 - 1], pa.uint64()),
        pa.array(["NaN"]),
    ):
        write(driver, COPY, pa.table({"v": values}), WriteMode.APPEND)
    found = database.run("SELECT v::text FROM copy ORDER BY v")
    assert found == [("1.50",), ("18446744073709551615",), ("NaN",), (None,)]
    assert read(driver, COPY, filters=[("v", "=", Decimal("1.5"))])["v"].to_pylist() == ["1.50"]


def test_generated_and_identity_columns(database: Database, driver: AzurePostgreSQLDriver) -> None:
    database.run(
        "CREATE TABLE copy (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a integer, "
        "b integer GENERATED ALWAYS AS (a * 2) STORED)"
    )
    with pytest.raises(SchemaMismatchError, match="'b'"):
        write(driver, COPY, pa.table({"id": [1], "a": [2], "b": [4]}), WriteMode.APPEND)
    ints = pa.table({"id": pa.array([7], pa.int32()), "a": pa.array([2], pa.int32())})
    write(driver, COPY, ints, WriteMode.UPSERT, keys=("id",))
    assert database.run("SELECT * FROM copy") == [(7, 2, 4)]
