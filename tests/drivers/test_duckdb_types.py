# ruff: noqa: DTZ001  # naive timestamps are meant, and the SQL is built from constants
"""DuckDB's own types, by values that its plain Arrow export would change."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import pyarrow as pa
import pytest

from datastores.drivers.duckdb.config import DuckDBConfig
from datastores.drivers.duckdb.driver import DuckDBDriver
from datastores.drivers.reading import ScanRequest
from datastores.drivers.writing import Verdict, WriteRequest
from datastores.errors import DataError, DatastoreError, SchemaMismatchError
from datastores.testing.arrow import assert_same_table
from datastores.testing.table_case import read, read_request, write
from datastores.types.fields import source_of
from datastores.values import TableName, WriteMode

SOURCE, COPY = TableName("source", "main"), TableName("copy", "main")
UTC = dt.UTC

# SQL type, a literal of it, its Arrow type, the value in Python.
EXACT: list[tuple[str, str, pa.DataType, Any]] = [
    ("HUGEINT", str(-(2**127)), pa.decimal256(39, 0), Decimal(-(2**127))),
    ("UHUGEINT", str(2**128 - 1), pa.decimal256(39, 0), Decimal(2**128 - 1)),
    ("BIGNUM", str(10**60), pa.string(), str(10**60)),
    ("UBIGINT", str(2**64 - 1), pa.uint64(), 2**64 - 1),
    ("DECIMAL(38,10)", "1234567890123456789012345678.0123456789", pa.decimal128(38, 10), None),
    ("DECIMAL(4,1)", "-999.9", pa.decimal128(4, 1), Decimal("-999.9")),
    ("BOOLEAN", "true", pa.bool_(), True),
    ("FLOAT", "'nan'", pa.float32(), None),
    ("UUID", "'f47ac10b-58cc-4372-a567-0e02b2c3d479'", pa.uuid(), UUID("f47ac10b58cc4372a5670e02b2c3d479")),
    ("JSON", """'{"a":  12345678901234567890123, "a": 1}'""", pa.json_(), '{"a":  12345678901234567890123, "a": 1}'),
    ("ENUM('sad', 'o''k')", "'o''k'", pa.dictionary(pa.uint8(), pa.string()), "o'k"),
    ("BIT", "'0010101'", pa.string(), "0010101"),
    ("BLOB", "'\\x00\\xFF'", pa.binary(), b"\x00\xff"),
    ("DATE", "'9999-12-31'", pa.date32(), dt.date(9999, 12, 31)),
    ("TIME", "'23:59:59.999999'", pa.time64("us"), dt.time(23, 59, 59, 999999)),
    ("TIME_NS", "'23:59:59.999999999'", pa.time64("ns"), None),
    ("TIME WITH TIME ZONE", "'24:00:00-15:59:59'", pa.string(), "24:00:00-15:59:59"),
    ("TIMESTAMP_S", "'9999-12-31 23:59:59'", pa.timestamp("s"), dt.datetime(9999, 12, 31, 23, 59, 59)),
    ("TIMESTAMP_MS", "'0001-01-01 00:00:00.001'", pa.timestamp("ms"), dt.datetime(1, 1, 1, 0, 0, 0, 1000)),
    ("TIMESTAMP", "'2262-04-12 00:00:00.000001'", pa.timestamp("us"), dt.datetime(2262, 4, 12, 0, 0, 0, 1)),
    ("TIMESTAMP_NS", "'2020-01-01 00:00:00.123456789'", pa.timestamp("ns"), None),
    ("TIMESTAMP WITH TIME ZONE", "'2020-01-01 00:00:00+02'", pa.timestamp("us", "UTC"), dt.datetime(2019, 12, 31, 22, tzinfo=UTC)),
    ("INTERVAL", "'1 month -2 days 3 microseconds'", pa.month_day_nano_interval(), pa.MonthDayNano([1, -2, 3000])),
    ("INTEGER[]", "[1, NULL]", pa.list_(pa.int32()), [1, None]),
    ("BOOLEAN[2]", "[true, NULL]", pa.list_(pa.bool_(), 2), [True, None]),
    ('STRUCT(a HUGEINT, "b"" c" UUID[])', "{'a': 1, 'b\" c': NULL}", pa.struct([("a", pa.decimal256(39, 0)), ('b" c', pa.list_(pa.uuid()))]), {"a": Decimal(1), 'b" c': None}),
    ("MAP(VARCHAR, HUGEINT)", "MAP {'x': 1}", pa.map_(pa.string(), pa.decimal256(39, 0)), [("x", Decimal(1))]),
    ("UNION(num INTEGER, word VARCHAR)", "'seven'", pa.sparse_union([pa.field("num", pa.int32()), pa.field("word", pa.string())]), "seven"),
]  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "types.duckdb")


def run(path: str, *statements: str) -> list[Any]:
    with duckdb.connect(path) as connection:
        return [connection.execute(one).fetchall() for one in statements][-1]


@pytest.mark.parametrize(("sql", "literal", "arrow", "value"), EXACT, ids=[one[0] for one in EXACT])
def test_a_type_is_read_and_written_back_as_it_was(
    path: str, sql: str, literal: str, arrow: pa.DataType, value: Any
) -> None:
    run(path, f"CREATE TABLE source (v {sql})", f"INSERT INTO source VALUES ({literal}), (NULL)")
    with DuckDBDriver(DuckDBConfig(path=path)) as driver:
        data = read(driver, SOURCE)
        field = data.schema.field("v")
        assert field.type == arrow
        source = source_of(field)
        assert source is not None
        if value is not None:
            assert data["v"][0].as_py() == value
        write(driver, COPY, data)
        assert_same_table(read(driver, COPY), data)
    declared, different = (
        run(path, "SELECT data_type FROM duckdb_columns() WHERE table_name = 'copy'"),
        run(path, "SELECT count(*) FROM (FROM source EXCEPT FROM copy)"),
    )
    assert declared == [(source.type,)]
    assert different == [(0,)]


@pytest.mark.parametrize(
    ("sql", "literal"),
    [
        ("DATE", "'infinity'"),
        ("DATE", "'-infinity'"),
        ("TIMESTAMP", "'infinity'"),
        ("TIMESTAMP_NS", "'-infinity'"),
        ("TIMESTAMPTZ", "'infinity'"),
        ("TIME", "'24:00:00'"),
        ("INTERVAL", "'3000000 hours'"),
        ("DATE[]", "[DATE 'infinity']"),
        ("STRUCT(t TIME)", "{'t': TIME '24:00:00'}"),
    ],
)
def test_a_value_without_an_arrow_equal_is_refused_by_column(
    path: str, sql: str, literal: str
) -> None:
    run(path, f'CREATE TABLE source ("when" {sql})', f"INSERT INTO source VALUES ({literal})")
    with DuckDBDriver(DuckDBConfig(path=path)) as driver:
        with pytest.raises(DataError, match="when"):
            read(driver, SOURCE)
        with pytest.raises(DataError, match="when"):
            read(driver, SOURCE, limit=1)


@pytest.mark.parametrize("sql", ["GEOMETRY", "VARIANT", "INTERVAL[]", "UNION(a HUGEINT)"])
def test_a_type_without_an_arrow_equal_is_refused_by_column(path: str, sql: str) -> None:
    run(path, f'CREATE TABLE source (id INTEGER, "shape" {sql})')
    with DuckDBDriver(DuckDBConfig(path=path)) as driver:
        with pytest.raises(SchemaMismatchError, match="shape"):
            driver.schema(SOURCE)
        found = read_request(driver, ScanRequest(query="select id from source"))
        assert found.schema.names == ["id"]


def _integers(type_: pa.DataType, *values: int) -> pa.Array:
    width = pa.int32() if type_.bit_width == 32 else pa.int64()
    return pa.array(values, width).view(type_)


@pytest.mark.parametrize(
    "array",
    [
        _integers(pa.date32(), 2**31 - 1),
        _integers(pa.date32(), -(2**31)),
        _integers(pa.timestamp("us"), -(2**63)),
        _integers(pa.timestamp("us"), 2**63 - 1),
        _integers(pa.timestamp("s"), 2**60),
        _integers(pa.timestamp("ns", "UTC"), -(2**63)),
        _integers(pa.timestamp("s", "Europe/Berlin"), 2**60),
        _integers(pa.time64("us"), 86_400_000_000),
        _integers(pa.time32("s"), -1),
        _integers(pa.date64(), 1),
        pa.array([pa.MonthDayNano([0, 0, 1])]),
        pa.array([[2**31 - 1]], pa.list_(pa.int32())).cast(pa.list_(pa.date32())),
    ],
    ids=lambda array: str(array.type),
)
def test_arrow_values_that_duckdb_would_change_are_refused_by_column(
    path: str, array: pa.Array
) -> None:
    with DuckDBDriver(DuckDBConfig(path=path)) as driver:
        with pytest.raises(DataError, match="when"):
            write(driver, COPY, pa.table({"when": array}))
        assert driver.tables() == []


@pytest.mark.parametrize(
    ("sql", "array", "shown"),
    [
        ("INTEGER", pa.array([1, 2**31]), str(2**31)),
        ("UTINYINT", pa.array([1, -1]), "-1"),
        ("FLOAT", pa.array([0.5, 0.1]), "0.1"),
        ("DOUBLE", pa.array([1, 2**53 + 1]), str(2**53 + 1)),
        ("DECIMAL(5,1)", pa.array([Decimal("1.5"), Decimal("1.55")]), "1.55"),
        ("DECIMAL(5,1)", pa.array([1, 100_000]), "100000"),
        ("TIMESTAMP", _integers(pa.timestamp("ns"), 1000, 1001), "1970"),
        ("ENUM('a', 'b')", pa.array(["a", "z"]), "z"),
        ("JSON", pa.array(["1", "{"]), "{"),
        ("INTEGER[2]", pa.array([[1, 2], [3]]), r"\[3\]"),
        ("INTEGER NOT NULL", pa.array([1, None], pa.int32()), "NULL"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_value_that_does_not_fit_the_table_is_refused_by_column(
    path: str, sql: str, array: pa.Array, shown: str
) -> None:
    run(path, f"CREATE TABLE copy (v {sql})")
    with DuckDBDriver(DuckDBConfig(path=path)) as driver:
        before = read(driver, COPY)
        with pytest.raises(DataError, match=shown) as caught:
            write(driver, COPY, pa.table({"v": array}), WriteMode.APPEND)
        assert "'v'" in str(caught.value)
        assert_same_table(read(driver, COPY), before)
        write(driver, COPY, pa.table({"v": array.slice(0, 1)}), WriteMode.APPEND)
        assert read(driver, COPY).num_rows == 1


@pytest.mark.parametrize(
    ("sql", "type_"),
    [
        ("DECIMAL(5,1)", pa.float64()),
        ("INTEGER", pa.string()),
        ("VARCHAR", pa.int64()),
        ("TIMESTAMP", pa.timestamp("us", "UTC")),
        ("TIMESTAMPTZ", pa.timestamp("us")),
        ("DATE", pa.timestamp("s")),
        ("BOOLEAN", pa.int8()),
        ("STRUCT(a INTEGER)", pa.struct([("b", pa.int32())])),
    ],
)
def test_a_type_that_does_not_fit_the_table_is_refused_by_column(
    path: str, sql: str, type_: pa.DataType
) -> None:
    run(path, f"CREATE TABLE copy (v {sql})")
    schema = pa.schema([("v", type_)])
    with (
        DuckDBDriver(DuckDBConfig(path=path)) as driver,
        pytest.raises(SchemaMismatchError, match="'v'"),
    ):
        driver.plan_write(WriteRequest(table=COPY, schema=schema, mode=WriteMode.APPEND))


def test_the_plan_says_what_is_tagged_and_how(path: str) -> None:
    schema = pa.schema([("id", pa.int64()), ("wide", pa.decimal256(60, 2)), ("half", pa.float16())])
    with DuckDBDriver(DuckDBConfig(path=path)) as driver:
        plan = driver.plan_write(WriteRequest(table=COPY, schema=schema, keys=("id",)))
    assert [one.verdict for one in plan.columns] == [Verdict.EXACT, Verdict.TAGGED, Verdict.TAGGED]
    assert [one.target_type for one in plan.columns] == ["BIGINT", "VARCHAR", "FLOAT"]
    assert plan.statements[0] == (
        'CREATE TABLE "main"."copy" ("id" BIGINT NOT NULL, "wide" VARCHAR, "half" FLOAT, PRIMARY KEY ("id"))'
    )
    assert not Path(path).exists()


@pytest.mark.parametrize("note", ["INTEGER); DROP TABLE canary; --", "no type", "VARCHAR", ""])
def test_a_source_note_that_does_not_fit_is_ignored(path: str, note: str) -> None:
    run(path, "CREATE TABLE canary (a INTEGER)")
    metadata = {b"datastores:source": b'{"engine": "duckdb", "type": "%s"}' % note.encode()}
    schema = pa.schema([pa.field("v", pa.int64(), metadata=metadata)])
    with DuckDBDriver(DuckDBConfig(path=path)) as driver:
        write(driver, COPY, pa.table({"v": [1]}, schema))
        assert driver.schema(COPY).field("v").type == pa.int64()
        assert TableName("canary", "main") in driver.tables()


@pytest.mark.parametrize(
    "filters",
    [[("v", "=", Decimal(1))], [("v", ">", "a")]],
)
def test_a_filter_on_a_column_held_as_something_else_is_refused(
    path: str, filters: list[Any]
) -> None:
    data = pa.table({"v": pa.array([1]).cast(pa.decimal256(60, 2))})
    with DuckDBDriver(DuckDBConfig(path=path)) as driver:
        write(driver, COPY, data)
        with pytest.raises(DatastoreError, match="'v'"):
            read(driver, COPY, filters=filters)
