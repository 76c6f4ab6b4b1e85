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
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datastores.drivers.azure_postgresql.codec import Decoder, Layout
from datastores.drivers.azure_postgresql.driver import AzurePostgreSQLDriver
from datastores.drivers.base import ScanRequest, WriteRequest
from datastores.errors import ConfigurationError, DataError, DatastoreError, SchemaMismatchError
from datastores.testing.arrow import assert_same_table
from datastores.testing.table_case import read, read_request, write
from datastores.types.fields import source_of
from datastores.values import TableName, WriteMode
from tests.drivers.test_azure_postgresql import config_of, staged
from tests.services.postgresql import Database

SOURCE, COPY = TableName("source", "public"), TableName("copy", "public")
DECIMAL, TEXT = pa.decimal128, pa.string()
ENUM = pa.dictionary(pa.int32(), pa.string())

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
    ("time with time zone", "'24:00:00-15:59:59'", TEXT, "24:00:00-15:59:59"),
    ("uuid", "'f47ac10b-58cc-4372-a567-0e02b2c3d479'", pa.uuid(), UUID("f47ac10b58cc4372a5670e02b2c3d479")),
    ("json", """'{"a":  12345678901234567890123, "a": 1}'""", pa.json_(), '{"a":  12345678901234567890123, "a": 1}'),
    ("jsonb", """'{"b": 1.50}'""", pa.json_(), '{"b": 1.50}'),
    ("public.mood", "'o''k'", ENUM, "o'k"),
    ("public.mood[]", "array['sad', null]::mood[]", pa.list_(TEXT), ["sad", None]),
    ("public.positive", "7", pa.int32(), 7),
    ("public.pair", "row(1, 'a b')", TEXT, '(1,"a b")'),
    ("public.pair", "row(null, null)", TEXT, "(,)"),
    ("inet", "'::1/128'", TEXT, "::1"),
    ("cidr", "'10.0.0.0/8'", TEXT, "10.0.0.0/8"),
    ("macaddr", "'08:00:2b:01:02:03'", TEXT, "08:00:2b:01:02:03"),
    ("bit(3)", "B'010'", TEXT, "010"),
    ("bit varying(9)", "B'0100'", TEXT, "0100"),
    ("int4range", "'[1,5)'", TEXT, "[1,5)"),
    ("tstzmultirange", "'{}'", TEXT, "{}"),
    ("point", "'(0.1,2)'", TEXT, "(0.1,2)"),
    ("tsvector", "'a:1 b:2'", TEXT, "'a':1 'b':2"),
    ("xml", "'<a> </a>'", TEXT, "<a> </a>"),
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
    ("timestamp", "'294276-12-31'", "294246"),
    ("time", "'24:00'", "24:00:00"),
    ("interval", "'3000000 hours'", "292 years"),
    ("integer[]", "'{{1}}'", "2 dimensions"),
    ("integer[]", "'[0:1]={1,2}'", "begins at 0"),
    ("integer[][]", "'{1}'", "1 dimensions"),
    ("numeric(4,1)[]", "'{NaN}'", "NaN"),
]


@pytest.fixture
def database(database: Database) -> Database:
    database.run("CREATE TYPE mood AS ENUM ('sad', 'o''k')")
    database.run("CREATE DOMAIN positive AS integer CHECK (value > 0)")
    database.run("CREATE TYPE pair AS (a integer, b text)")
    return database


@pytest.fixture
def driver(database: Database) -> Iterator[AzurePostgreSQLDriver]:
    with AzurePostgreSQLDriver(config_of(database.owner)) as driver:
        yield driver


def test_every_type_is_read_and_written_back_as_it_was(
    database: Database, driver: AzurePostgreSQLDriver
) -> None:
    columns = ", ".join(f"c{at} {one[0]}" for at, one in enumerate(EXACT))
    database.run(f"CREATE TABLE source ({columns})")
    literals = ", ".join(f"({one[1]})::{one[0]}" for one in EXACT)
    database.run(f"INSERT INTO source SELECT {literals}")
    database.run("INSERT INTO source DEFAULT VALUES")
    data = read(driver, SOURCE)
    for at, (type_, _, arrow, value) in enumerate(EXACT):
        field = data.schema.field(f"c{at}")
        assert field.type == arrow, type_
        source = source_of(field)
        assert source is not None
        assert source.type == type_
        got = data[f"c{at}"].to_pylist()
        assert got[0] == value, type_
        # -0.0 equals 0.0, and is another value.
        assert not isinstance(value, float | Decimal) or str(got[0]) == str(value)
        assert got[1] is None
    write(driver, COPY, data)
    for at in range(len(EXACT)):
        name = f"c{at}"
        again = [
            database.run(
                "SELECT format_type(atttypid, atttypmod), attndims FROM pg_attribute "
                f"WHERE attrelid = 'public.{table}'::regclass AND attname = '{name}'"
            )
            for table in ("source", "copy")
        ]
        assert again[0] == again[1]
        texts = [
            database.run(f"SELECT {name}::text FROM {table} ORDER BY 1")
            for table in ("source", "copy")
        ]
        assert texts[0] == texts[1]
    write(driver, COPY, data, WriteMode.APPEND)
    assert_same_table(read(driver, COPY), pa.concat_tables([data, data]))


@pytest.mark.parametrize(
    ("sql", "literal", "word"), REFUSED, ids=[f"{a} {b}" for a, b, _ in REFUSED]
)
def test_a_value_without_an_equal_is_refused_by_column(
    database: Database, driver: AzurePostgreSQLDriver, sql: str, literal: str, word: str
) -> None:
    database.run(f"CREATE TABLE source (fine integer, v {sql})")
    database.run(f"INSERT INTO source VALUES (1, NULL), (2, {literal}::{sql})")
    with pytest.raises(DataError, match="'v'") as caught:
        read(driver, SOURCE)
    assert word in str(caught.value)
    assert read(driver, SOURCE, columns=("fine",)).num_rows == 2


def test_money_has_no_exact_type(database: Database, driver: AzurePostgreSQLDriver) -> None:
    database.run("CREATE TABLE source (v money)")
    with pytest.raises(SchemaMismatchError, match="'v'"):
        driver.schema(SOURCE)


# A column's SQL type, values that do not fit it, what the error says.
UNFIT: list[tuple[str, pa.Array, str]] = [
    ("varchar(2)", pa.array(["ab", "abc"]), "abc"),
    ("varchar(2)", pa.array(["ab "]), "ab "),
    ("char(2)", pa.array(["abc"]), "abc"),
    ("varchar(2)[]", pa.array([["ab", "abc"]]), "abc"),
    ("numeric(4,1)", pa.array([Decimal("1.25")]), "1.25"),
    ("numeric(4,1)", pa.array([Decimal("1000.0")]), "1000"),
    ("timestamp(3)", pa.array([1234], pa.timestamp("us")), "1234"),
    ("time(0)", pa.array([1], pa.time64("us")), "1"),
    ("interval(2)", pa.array([pa.MonthDayNano([0, 0, 1_000_000])]), "1000000"),
    ("timestamp", pa.array([1], pa.timestamp("ns")), "v"),
    ("smallint", pa.array([2**15]), "32768"),
    ("real", pa.array([0.1]), "0.1"),
    ("text", pa.array(["a\0b"]), "U+0000"),
    ("date", pa.array([-(2**31) + 1], pa.int32()).view(pa.date32()), "v"),
    ("mood", pa.array(["angry"]), "angry"),
    ("inet", pa.array(["nowhere"]), "nowhere"),
    ("json", pa.array(["{"], pa.json_()), "json"),
    ("bit(3)", pa.array(["01"]), "bit"),
    ("integer[][]", pa.array([[[1], [2, 3]]]), "equally long"),
    ("integer[][]", pa.array([[[1], None]]), "NULL"),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "values", "word"), UNFIT, ids=[f"{a} {c}" for a, _, c in UNFIT])
def test_a_value_that_the_column_would_change_is_refused(
    database: Database, driver: AzurePostgreSQLDriver, sql: str, values: pa.Array, word: str
) -> None:
    database.run(f"CREATE TABLE copy (v {sql})")
    with pytest.raises(DataError) as caught:
        write(driver, COPY, pa.table({"v": values}), WriteMode.APPEND)
    assert word in str(caught.value)
    assert "v" in str(caught.value)
    assert database.run("SELECT count(*) FROM copy") == [(0,)]
    assert not staged(database)


@pytest.mark.parametrize("sql", ["timetz(3)", "interval day"])
def test_a_column_that_rounds_unseen_takes_nothing(
    database: Database, driver: AzurePostgreSQLDriver, sql: str
) -> None:
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


FILTERED: list[tuple[str, Any, bool]] = [
    ("c", ("=", UUID(int=7)), True),
    ("d", (">", dt.date(2020, 1, 1)), True),
    ("e", ("in", ["sad", "o'k"]), True),
    ("f", ("<", Decimal("1.5")), True),
    ("g", (">=", dt.datetime(2020, 1, 1, tzinfo=dt.UTC)), True),
    ("h", ("=", b"\x00"), True),
    ("i", ("=", "::1"), False),
    ("j", ("=", "{}"), False),
    ("k", ("=", [1]), False),
    ("f", ("=", "1.25"), False),
]


@pytest.mark.parametrize(("column", "condition", "works"), FILTERED, ids=str)
def test_filters_compare_as_the_server_does_or_are_refused(
    database: Database,
    driver: AzurePostgreSQLDriver,
    column: str,
    condition: tuple[str, Any],
    *,
    works: bool,
) -> None:
    database.run(
        "CREATE TABLE source AS SELECT '00000000-0000-0000-0000-000000000007'::uuid AS c, "
        "'2020-02-29'::date AS d, 'sad'::mood AS e, 1.25::numeric AS f, "
        "'2020-01-01 00:00+00'::timestamptz AS g, '\\x00'::bytea AS h, '::1'::inet AS i, "
        "'{}'::json AS j, '{1}'::int[] AS k"
    )
    filters = [(column, *condition)]
    if works:
        assert read(driver, SOURCE, filters=filters).num_rows == 1
        return
    with pytest.raises(SchemaMismatchError, match=f"'{column}'"):
        read(driver, SOURCE, filters=filters)


QUERIES: list[tuple[str, dict[str, Any], Any]] = [
    ("select 'a%' || :x as v -- 10% ; of", {"x": "%s"}, "a%%s"),
    ("select 5 % 3 as v;", {}, 2),
    ("select :d as v", {"d": dt.date(2020, 2, 29)}, dt.date(2020, 2, 29)),
    ("select :b as v", {"b": b"\x00'"}, b"\x00'"),
    ("select :t as v", {"t": "x'); drop table canary; --\\"}, "x'); drop table canary; --\\"),
    ("select array_agg(n) as v from generate_series(1, :n) n", {"n": 3}, [1, 2, 3]),
    ("select ':no' || $$:no$$ as v", {}, ":no:no"),
    ("with x as (select 1.5::numeric(3,1) as v) select * from x", {}, Decimal("1.5")),
]


@pytest.mark.parametrize(("query", "parameters", "value"), QUERIES, ids=[q for q, _, _ in QUERIES])
def test_a_query_takes_parameters_as_values(
    driver: AzurePostgreSQLDriver, query: str, parameters: dict[str, Any], value: Any
) -> None:
    found = read_request(driver, ScanRequest(query=query, parameters=parameters))
    assert found.to_pylist() == [{"v": value}]


@pytest.mark.parametrize(
    "query",
    [
        "select 1 as v; drop table canary",
        "drop table canary",
        "delete from canary returning 1 as v",
        "select 1 as v) as query; drop table canary; select * from (select 1 as v",
        "select 1 as v, 2 as v",
        "select",
    ],
)
def test_only_one_select_is_a_query(
    database: Database, driver: AzurePostgreSQLDriver, query: str
) -> None:
    database.run("CREATE TABLE canary AS SELECT 1 AS x")
    with pytest.raises(DatastoreError):
        read_request(driver, ScanRequest(query=query))
    assert database.run("SELECT * FROM canary") == [(1,)]


@pytest.mark.parametrize(
    "note", ["integer); drop table canary; --", "int4 --", "int4 /*", "nope", "canary"]
)
def test_a_note_of_a_type_is_never_run(
    database: Database, driver: AzurePostgreSQLDriver, note: str
) -> None:
    database.run("CREATE TABLE canary AS SELECT 1 AS x")
    metadata = {
        b"datastores:source": b'{"engine": "azure_postgresql", "type": "%s"}' % note.encode()
    }
    schema = pa.schema([pa.field("v", pa.int32(), metadata=metadata)])
    write(driver, COPY, pa.table({"v": [1]}, schema))
    assert database.run("SELECT * FROM canary") == [(1,)]
    assert driver.schema(COPY).field("v").type == pa.int32()


def test_a_statement_that_is_not_a_query_changes_nothing(driver: AzurePostgreSQLDriver) -> None:
    with pytest.raises(ConfigurationError):
        read_request(driver, ScanRequest(query="not sql at all"))


_COLUMNS = (
    ("a", Layout(kind="int4", arrow=pa.int32())),
    ("b", Layout(kind="text", arrow=pa.string())),
    ("c", Layout(kind="numeric", arrow=pa.decimal128(30, 3))),
    ("d", Layout(kind="array", arrow=pa.list_(pa.int16()), element=Layout(kind="int2", arrow=pa.int16()), element_oid=21, dimensions=1)),
    ("e", Layout(kind="jsonb", arrow=pa.json_())),
    ("f", Layout(kind="timestamp", arrow=pa.timestamp("us"))),
)  # fmt: skip


@pytest.fixture
def messages(database: Database) -> list[bytes]:
    query = (
        "SELECT n::int4, repeat('é', n), (n / 7.0)::numeric(30,3), array_fill(n::int2, array[n]), "
        "to_jsonb(n), 'epoch'::timestamp + n * interval '1 day' FROM generate_series(0, 9) n "
        "UNION ALL SELECT null, null, null, null, null, null"
    )
    statement = f"COPY ({query}) TO STDOUT (FORMAT binary)".encode()
    with database.owner.connect() as connection, connection.cursor().copy(statement) as copy:
        return [bytes(message) for message in copy]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_bytes_are_never_more_than_an_error(
    messages: list[bytes], data: st.DataObject
) -> None:
    [whole] = Decoder(_COLUMNS, 100).batches(messages)
    assert whole.num_rows == 11
    damaged = list(messages)
    at = data.draw(st.integers(0, len(damaged) - 1))
    one = bytearray(damaged[at])
    match data.draw(st.sampled_from(["flip", "cut", "grow", "drop"])):
        case "flip":
            one[data.draw(st.integers(0, len(one) - 1))] ^= 1 << data.draw(st.integers(0, 7))
            damaged[at] = bytes(one)
        case "cut":
            damaged[at] = bytes(one[: data.draw(st.integers(0, len(one) - 1))])
        case "grow":
            damaged[at] = bytes(one) + data.draw(st.binary(min_size=1, max_size=20))
        case _:
            del damaged[at:]
    try:
        for batch in Decoder(_COLUMNS, 100).batches(damaged):
            batch.validate(full=True)
    except DatastoreError:
        pass
