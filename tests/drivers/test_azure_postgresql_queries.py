"""What PostgreSQL is asked: filters, queries with parameters, and notes of types from anywhere."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest

from datastores.drivers.azure_postgresql.driver import AzurePostgreSQLDriver
from datastores.drivers.reading import ScanRequest
from datastores.errors import ConfigurationError, DatastoreError, SchemaMismatchError
from datastores.testing.table_case import read, read_request, write
from datastores.values import TableName
from tests.drivers.test_azure_postgresql import config_of
from tests.services.postgresql import Database

SOURCE, COPY = TableName("source", "public"), TableName("copy", "public")


@pytest.fixture
def driver(database: Database) -> Iterator[AzurePostgreSQLDriver]:
    with AzurePostgreSQLDriver(config_of(database.owner)) as driver:
        yield driver


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
    ("l", ("=", Decimal("1.25")), False),
    ("m", ("=", dt.time(12)), False),
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
    database.run("CREATE TYPE mood AS ENUM ('sad', 'o''k')")
    database.run(
        "CREATE TABLE source AS SELECT '00000000-0000-0000-0000-000000000007'::uuid AS c, "
        "'2020-02-29'::date AS d, 'sad'::mood AS e, 1.25::numeric AS f, "
        "'2020-01-01 00:00+00'::timestamptz AS g, '\\x00'::bytea AS h, '::1'::inet AS i, "
        "'{}'::json AS j, '{1}'::int[] AS k, '$1.25'::money AS l, '12:00+02'::timetz AS m"
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
