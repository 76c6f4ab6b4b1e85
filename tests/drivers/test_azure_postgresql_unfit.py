# ruff: noqa: DTZ001  # naive timestamps are meant
"""Values that Arrow or PostgreSQL cannot hold: refused with their row, nulled, as text, or left out."""

from __future__ import annotations

import datetime as dt
import json
import logging
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from datastores import Datastore, Workspace, copy, plan_copy
from datastores.cli import main
from datastores.drivers.azure_postgresql import codec
from datastores.drivers.azure_postgresql.codec import decode
from datastores.drivers.azure_postgresql.driver import AzurePostgreSQLDriver
from datastores.drivers.azure_postgresql.read import PostgreSQLSplit
from datastores.drivers.reading import ScanRequest
from datastores.errors import (
    ConfigurationError,
    DataError,
    SchemaMismatchError,
    UnsupportedOperationError,
)
from datastores.secrets import SecretRef
from datastores.testing.table_case import read
from datastores.values import OnUnfit, TableName
from tests.drivers.test_azure_postgresql import config_of, staged
from tests.services.postgresql import Database

VISITS = TableName("visits", "public")

# SQL type -> values that have an equal in Arrow, and values that have none.
LIMITS: dict[str, tuple[list[str], list[str]]] = {
    "date": (["4713-01-01 BC", "5874897-12-31"], ["infinity", "-infinity"]),
    "timestamp": (
        ["4713-01-01 00:00:00 BC", "294247-01-10 04:00:54.775807"],
        ["294247-01-10 04:00:54.775808", "294276-12-31 23:59:59.999999", "infinity", "-infinity"],
    ),
    "timestamptz": (
        ["4713-01-01 00:00:00+00 BC", "294247-01-10 04:00:54.775807+00"],
        ["294247-01-10 04:00:54.775808+00", "infinity", "-infinity"],
    ),
    "time": (["00:00", "23:59:59.999999"], ["24:00"]),
    "timetz": (["00:00+15:59:59", "23:59:59.999999-15:59"], ["24:00+00", "24:00-15:59"]),
    "stay": (["(,)", "(2020-01-01,{1})"], ["(infinity,)", "(,{{1}})", '(,"[0:0]={1}")']),
    "stay[]": (["{NULL}", '{"(2020-01-01,{1})"}'], ['{NULL,"(infinity,)"}']),
    "numeric(10,2)": (["-99999999.99", "0"], ["NaN"]),
    "numeric": (["NaN", "Infinity"], []),
    "interval": (
        [
            "9223372036.854775 seconds",
            "-9223372036.854775 seconds",
            "2147483647 months 2147483647 days",
            "-2147483648 months",
            "2562047:47:16.854775",
        ],
        [
            "9223372036.854776 seconds",
            "-9223372036.854776 seconds",
            "2562047:47:16.854776",
            "2562047788:00:54.775807",
        ],
    ),
    "integer[]": (["{}", "{1,NULL}"], ["{{1}}", "[0:1]={1,2}", "[2:2]={1}"]),
    "integer[][]": (["{}", "{{1,2},{3,4}}"], ["{1}", "{{{1}}}", "[1:1][0:0]={{1}}"]),
    "inet[]": (["{::1}"], ["[0:0]={::1}"]),
    "date[]": (["{2020-01-01,NULL}"], ["{2020-01-01,infinity}", "[0:0]={2020-01-01}"]),
    "timestamptz[]": (["{NULL}"], ["{294247-01-10 04:00:54.775808+00}", "{-infinity}"]),
    "time[]": (["{23:59}"], ["{24:00}"]),
    "numeric(4,1)[]": (["{1.5}"], ["{NULL,NaN}"]),
    "interval[]": (["{1 day}"], ["{3000000 hours}"]),
    "day": (["2020-01-01"], ["infinity"]),
    "numbers": (["{1}"], ["[0:0]={1}", "{{1}}"]),
    "day[]": (["{2020-01-01}"], ["{infinity}"]),
}  # fmt: skip


@pytest.fixture
def driver(database: Database) -> Iterator[AzurePostgreSQLDriver]:
    with AzurePostgreSQLDriver(config_of(database.owner)) as driver:
        yield driver


@pytest.fixture
def folder(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, whose workspace file names a server, a folder and a DuckDB file."""
    monkeypatch.setenv("PG_PASSWORD", database.owner.password)
    secret = SecretRef(source="env", name="PG_PASSWORD")
    stores = {
        "server": {"type": "postgresql", **config_of(database.owner, password=secret).to_mapping()},
        "files": {"type": "local", "path": "./files"},
        "duck": {"type": "duckdb", "path": "./duck.duckdb"},
    }
    text = json.dumps({"default": "files", "datastores": stores})
    (tmp_path / "datastores.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def workspace(folder: Path) -> Iterator[Workspace]:
    with Workspace.load() as workspace:
        yield workspace


@pytest.fixture
def server(workspace: Workspace) -> Datastore:
    return workspace["server"]


@pytest.fixture
def visits(database: Database) -> Database:
    """Four rows, three of them with values that Arrow cannot hold."""
    database.run(
        "CREATE TABLE visits (id integer PRIMARY KEY, day date, moment timestamp, "
        "price numeric(6,2) NOT NULL, tags integer[])"
    )
    database.run(
        "INSERT INTO visits VALUES (1, '2020-01-01', '2020-01-01 12:00', 1.50, '{1}'), "
        "(2, 'infinity', NULL, 'NaN', '{}'), (3, '-infinity', '294276-12-31', 2, '{{7}}'), "
        "(4, NULL, NULL, 3, '[0:0]={8}')"
    )
    return database


# Reading


def test_the_servers_conditions_are_the_codecs(
    database: Database, driver: AzurePostgreSQLDriver
) -> None:
    database.run("CREATE TYPE stay AS (day date, nights integer[])")
    database.run("CREATE DOMAIN day AS date")
    database.run("CREATE DOMAIN numbers AS integer[]")
    for at, (sql, (fit, unfit)) in enumerate(LIMITS.items()):
        table = TableName(f"t{at}", "public")
        database.run(f"CREATE TABLE {table} (id integer, v {sql})")
        values = ", ".join(
            f"({turn}, '{value}'::{sql})" for turn, value in enumerate([*fit, *unfit])
        )
        database.run(f"INSERT INTO {table} VALUES {values}, (-1, NULL)")
        kept = read(driver, table, on_unfit=OnUnfit.parse("reject"))
        assert sorted(kept["id"].to_pylist()) == list(range(-1, len(fit))), sql
        with driver.plan_read(ScanRequest(table=table, columns=("v",)), 1) as plan:
            [split] = plan.splits
        assert isinstance(split, PostgreSQLSplit)
        columns = [("v", split.columns[0].mapped.layout)]
        with database.owner.connect() as connection:
            for turn in range(-1, len(fit) + len(unfit)):
                text = f"SELECT {split.columns[0].value} FROM {table} WHERE id = {turn}"
                with connection.cursor().copy(f"COPY ({text}) TO STDOUT (FORMAT binary)") as rows:
                    messages = [bytes(one) for one in rows]
                for decoder in (codec.Decoder(columns, 10), decode.Decoder(columns, 10)):
                    if turn < len(fit):
                        assert [len(one) for one in decoder.batches(messages)] == [1]
                        continue
                    with pytest.raises(DataError):
                        list(decoder.batches(messages))


@pytest.mark.parametrize(
    ("on_unfit", "expected"),
    [
        (
            {"day": "null", "moment": "null", "price": "null", "tags": "null"},
            {
                "id": [1, 2, 3, 4],
                "day": [dt.date(2020, 1, 1), None, None, None],
                "moment": [dt.datetime(2020, 1, 1, 12), None, None, None],
                "price": [Decimal("1.50"), None, Decimal("2.00"), Decimal("3.00")],
                "tags": [[1], [], None, None],
            },
        ),
        (
            "text",
            {
                "id": [1, 2, 3, 4],
                "day": ["2020-01-01", "infinity", "-infinity", None],
                "moment": ["2020-01-01 12:00:00", None, "294276-12-31 00:00:00", None],
                "price": ["1.50", "NaN", "2.00", "3.00"],
                "tags": ["{1}", "{}", "{{7}}", "[0:0]={8}"],
            },
        ),
        ("reject", {"id": [1]}),
        (
            {"day": "text", "moment": "null", "price": "reject", "tags": "null"},
            {
                "id": [1, 3, 4],
                "day": ["2020-01-01", "-infinity", None],
                "moment": [dt.datetime(2020, 1, 1, 12), None, None],
                "price": [Decimal("1.50"), Decimal("2.00"), Decimal("3.00")],
                "tags": [[1], None, None],
            },
        ),
    ],
)
def test_each_policy_when_reading(
    visits: Database, server: Datastore, on_unfit: Any, expected: dict[str, list[Any]]
) -> None:
    scan = server.scan("public.visits", on_unfit=on_unfit)
    found = scan.to_arrow()
    assert found.schema.equals(scan.schema)
    for name, values in expected.items():
        assert found[name].to_pylist() == values, name
    assert scan.count() == len(expected["id"])
    query = server.query("select * from public.visits order by id", on_unfit=on_unfit)
    assert query.to_arrow().to_pydict() == found.to_pydict()


def test_what_was_nulled_and_left_out_is_counted_under_the_snapshot(
    visits: Database, server: Datastore, driver: AzurePostgreSQLDriver
) -> None:
    policies = {"day": "reject", "tags": "null"}
    unfit = server.scan("public.visits", on_unfit=policies).unfit
    assert unfit is not None
    # Row 3 is left out, so what else it holds is not nulled.
    assert (unfit.rows_rejected, unfit.values_nulled) == (2, 1)
    assert [str(one) for one in unfit.examples] == [
        "day infinity (id = 2)",
        "day -infinity (id = 3)",
        "tags [0:0]={8} (id = 4)",
    ]
    narrowed = server.scan("public.visits", filters=[("id", ">", 3)], on_unfit=policies)
    assert narrowed.unfit is not None
    assert str(narrowed.unfit) == "1 value made NULL"
    assert not server.scan("public.visits", columns=["id"], on_unfit="reject").unfit
    assert not server.scan("public.visits", on_unfit="text").unfit
    # Whichever rows come first are judged: nobody knows which.
    limited = server.scan("public.visits", limit=2, on_unfit="reject")
    assert limited.unfit is None
    assert limited.to_arrow()["id"].to_pylist() == [1]
    request = ScanRequest(table=VISITS, on_unfit=OnUnfit.parse("reject"))
    with driver.plan_read(request, 1) as plan:
        visits.run("INSERT INTO visits VALUES (5, 'infinity', NULL, 1, NULL)")
        counted = plan.unfit()
        assert counted is not None
        assert counted.rows_rejected == 3
        assert sum(len(batch) for one in plan.splits for batch in driver.read(one)) == 1


def test_at_most_twenty_examples_and_no_long_ones(database: Database, server: Datastore) -> None:
    database.run(
        "CREATE TABLE visits AS SELECT n AS id, ARRAY[ARRAY[repeat('x', 100)]] AS tags "
        "FROM generate_series(1, 50) n"
    )
    unfit = server.scan("public.visits", on_unfit="reject").unfit
    assert unfit is not None
    assert unfit.rows_rejected == 50
    assert len(unfit.examples) == 20
    assert unfit.examples[0].key is None
    assert unfit.examples[0].value == "{{" + "x" * 78 + "..."


KEYS: list[tuple[str, str]] = [
    ("id integer PRIMARY KEY, code text UNIQUE NOT NULL", "id = {id}"),
    ("id integer UNIQUE, code text UNIQUE NOT NULL", "code = c{id}"),
    ("code text, id integer, PRIMARY KEY (id, code)", "id = {id}, code = c{id}"),
    ("id integer, code text UNIQUE", ""),
]


@pytest.mark.parametrize(("columns", "key"), KEYS)
def test_a_refused_value_is_named_with_the_key_of_its_row_in_every_split(
    database: Database, driver: AzurePostgreSQLDriver, columns: str, key: str
) -> None:
    database.run(f"CREATE TABLE visits ({columns}, day date)")
    database.run(
        "INSERT INTO visits (id, code, day) SELECT n, 'c' || n, "
        "CASE WHEN n % 1000 = 500 THEN 'infinity'::date ELSE '2020-01-01' END "
        "FROM generate_series(1, 4000) n"
    )
    named = []
    with driver.plan_read(ScanRequest(table=VISITS, columns=("day",)), 4) as plan:
        assert len(plan.splits) >= 4
        for split in plan.splits:
            try:
                driver.read(split).read_all()
            except DataError as error:
                named.append(error)
    advice = 'on_unfit={"day": "null"} or --on-unfit day=null'
    assert all(advice in str(error) for error in named)
    rows = [f" of the row {key.format(id=n)}" if key else "" for n in (500, 1500, 2500, 3500)]
    assert [error.message for error in named] == [
        f"column 'day': the date infinity{row} has no equal in date32" for row in rows
    ]


def test_a_query_or_another_column_names_what_is_known(visits: Database, server: Datastore) -> None:
    with pytest.raises(DataError) as caught:
        server.query("select price, day from public.visits where id = 2").to_arrow()
    assert caught.value.message == (
        "column 'price': the numeric(6,2) NaN has no equal in decimal(6,2)"
    )
    with pytest.raises(
        DataError, match=r"column 'tags': the integer\[\] \{\{7\}\} of the row id = 3"
    ):
        server.scan(
            "public.visits", on_unfit={"day": "null", "moment": "null", "price": "null"}
        ).to_arrow()


# Writing

# A column's SQL type, a value that fits, and one that only the server's client can refuse.
UNFIT: list[tuple[str, pa.Array]] = [
    ("text", pa.array(["fine", "a\0b"])),
    ("varchar(4)", pa.array(["fine", "longer"])),
    ("text", pa.array(["fine", "a\0b"]).dictionary_encode()),
    ("json", pa.array(["1", '"\0"'], pa.json_())),
    ("smallint", pa.array([1, 2**15])),
    ("numeric(4,1)", pa.array([Decimal("1.50"), Decimal("1.25")])),
    ("real", pa.array([0.5, 0.1])),
    ("date", pa.array([0, -(2**31) + 1], pa.int32()).view(pa.date32())),
    ("timestamp", pa.array([1000, 1], pa.timestamp("ns"))),
    ("timestamp(3)", pa.array([1000, 1], pa.timestamp("us"))),
    ("time", pa.array([1000, 1], pa.time64("ns"))),
    ("interval(2)", pa.array([pa.MonthDayNano([1, 2, 0]), pa.MonthDayNano([0, 0, 1_000_000])])),
    ("integer[][]", pa.array([[[1], [2]], [[1], [2, 3]]])),
    ("integer[][]", pa.array([[[1]], [[1], None]])),
]


@pytest.mark.parametrize("policy", ["null", "reject"])
def test_null_and_reject_when_writing(
    database: Database, server: Datastore, policy: str, caplog: pytest.LogCaptureFixture
) -> None:
    for at, (sql, values) in enumerate(UNFIT):
        database.run(f"CREATE TABLE t{at} (id bigint, v {sql})")
        data = pa.table(
            {
                "id": [1, 2, 3, 4],
                "v": pa.concat_arrays([values, values.slice(0, 1), pa.nulls(1, values.type)]),
            }
        )
        # For all columns and for one, in turn.
        on_unfit: Any = {"v": policy} if at % 2 else policy
        with caplog.at_level(logging.WARNING, "datastores"):
            rows = server.write_table(f"public.t{at}", data, mode="append", on_unfit=on_unfit)
        assert rows == (4 if policy == "null" else 3), sql
        assert caplog.records[-1].levelname == "WARNING"
        assert f"server/public.t{at}: " in caplog.records[-1].message
        assert ("1 row left out" in caplog.text) == (policy == "reject")
        found = database.run(f"SELECT id, v IS NULL FROM t{at} ORDER BY id")
        null = [(2, True)] if policy == "null" else []
        assert found == [(1, False), *null, (3, False), (4, True)], sql
        with pytest.raises(DataError, match="'v'"):
            server.write_table(f"public.t{at}", data, mode="append")
    assert not staged(database)


def test_a_refused_value_is_named_with_the_key_it_is_written_by(
    database: Database, server: Datastore
) -> None:
    database.run("CREATE TABLE t (id bigint PRIMARY KEY, v varchar(2) NOT NULL)")
    data = pa.table({"id": range(3000), "v": ["ab"] * 2800 + ["abc"] + ["ab"] * 198 + ["abcd"]})
    with pytest.raises(DataError) as caught:
        server.write_table("public.t", data, mode="upsert", keys=["id"])
    assert caught.value.message == (
        "column 'v': the value 'abc' has no equal in character varying(2), in the row id = 2800"
    )
    assert "--on-unfit v=null" in (caught.value.advice or "")
    nothing = data.set_column(1, "v", pa.array(["ab"] * 2999 + [None]))
    with pytest.raises(DataError, match="NOT NULL, in the row id = 2999"):
        server.write_table("public.t", nothing, mode="upsert", keys=["id"])
    assert server.write_table("public.t", nothing, mode="append", on_unfit={"v": "reject"}) == 2999
    # For all columns, `null` is for those that may be NULL.
    with pytest.raises(DataError, match="id = 2800"):
        server.write_table("public.t", data, mode="upsert", keys=["id"], on_unfit="null")
    with pytest.raises(SchemaMismatchError, match="NOT NULL"):
        server.write_table("public.t", data, mode="append", on_unfit={"v": "null"})
    with pytest.raises(SchemaMismatchError, match="NOT NULL"):
        server.write_table("public.new", data, keys=["id"], on_unfit={"id": "null"})
    assert not staged(database)


def test_text_when_writing(database: Database, server: Datastore) -> None:
    data = pa.table(
        {"id": [1], "at": pa.array([1], pa.timestamp("ns")), "day": [dt.date(2020, 1, 1)]}
    )
    server.write_table("public.t", data, on_unfit={"at": "text"})
    server.write_table("public.u", data, on_unfit="text")
    types = "SELECT string_agg(format_type(atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute WHERE attnum > 0 AND attrelid = '{}'::regclass"
    assert database.run(types.format("t")) == [("bigint, text, date",)]
    assert database.run(types.format("u")) == [("bigint, text, text",)]
    assert database.run("SELECT at FROM t") == [("1970-01-01 00:00:00.000000001",)]
    with pytest.raises(SchemaMismatchError, match="makes text of column 'day'"):
        server.write_table("public.t", data, mode="append", on_unfit={"day": "text", "at": "text"})


def test_what_only_the_server_can_judge_is_refused(database: Database, server: Datastore) -> None:
    database.run("CREATE TABLE t (v inet)")
    with pytest.raises(DataError, match="nowhere"):
        server.write_table(
            "public.t", pa.table({"v": ["nowhere"]}), mode="append", on_unfit="reject"
        )
    assert database.run("SELECT * FROM t") == []


# Copies


@pytest.mark.parametrize("workers", [1, 3])
def test_a_copy_from_the_server_says_what_it_left_out(
    database: Database, workspace: Workspace, workers: int
) -> None:
    database.run("CREATE TABLE visits (id integer PRIMARY KEY, day date, price numeric(6,2))")
    database.run(
        "INSERT INTO visits SELECT n, CASE WHEN n % 100 = 0 THEN 'infinity' ELSE '2020-01-01' END::date, "
        "CASE WHEN n % 150 = 0 THEN 'NaN' ELSE '1' END::numeric FROM generate_series(1, 3000) n"
    )
    source, target = workspace["server"] / "public/visits", workspace["files"] / "visits/"
    options: Any = {"rename": {"day": "on_day"}, "workers": workers}
    with pytest.raises(DataError, match=r"the (date|numeric).* of the row id = \d+ has no equal"):
        copy(source, target, **options)
    refused = plan_copy(source, target, **options)
    assert refused.refused.columns == (("on_day", 30), ("price", 20))
    assert [str(one.verdict) for one in refused.columns] == ["exact", "refused", "refused"]
    assert refused.columns[1].row()[-1] == "refused: 30 of its values"
    assert json.loads(refused.to_json())["refused"]["examples"][0]["key"] == "id = 100"
    for text in (str(refused), refused._repr_html_()):
        assert "30 values cannot be held exactly" in text
        assert "day infinity (id = 100)" in text
        assert "--on-unfit on_day=null, text or reject" in text
    options["on_unfit"] = {"on_day": "reject", "price": "null"}
    plan = plan_copy(source, target, **options)
    assert plan.unfit is not None
    assert str(plan.unfit) == "30 rows left out, 10 values made NULL"
    report = copy(source, target, verify=True, **options)
    assert report.unfit == plan.unfit
    assert report.rows is not None
    assert report.rows + plan.unfit.rows_rejected == 3000
    assert report.digest is not None
    found = workspace["files"].scan("visits/").to_arrow()
    assert found.num_rows == report.rows
    assert found["price"].null_count == 10
    shown = json.loads(report.to_json())["unfit"]
    assert (shown["rows_rejected"], shown["values_nulled"], len(shown["examples"])) == (30, 10, 20)
    assert shown["examples"][0] == {"column": "day", "key": "id = 100", "value": "infinity"}
    assert json.loads(plan.to_json())["unfit"] == shown
    for text in (str(plan), str(report), plan._repr_html_(), report._repr_html_()):
        assert "30 rows left out, 10 values made NULL" in text
        assert "day infinity (id = 100)" in text
    limited = copy(
        workspace["server"].scan("public.visits", limit=200, on_unfit="null"),
        workspace["files"] / "some.parquet",
    )
    assert limited.unfit is None
    assert "not counted" in str(limited)


def test_a_copy_to_the_server_says_what_it_left_out(
    database: Database, workspace: Workspace
) -> None:
    data = pa.table(
        {
            "id": range(3000),
            "note": [
                None if n % 7 == 0 else "a\0b" if n % 100 == 0 else "fine" for n in range(3000)
            ],
            "moment": pa.array(
                [1 if n % 500 == 1 else 1000 for n in range(3000)], pa.timestamp("ns")
            ),
        }
    )
    workspace["duck"].write_table("main.visits", data)
    database.run(
        "CREATE TABLE visits (id bigint PRIMARY KEY, note text NOT NULL, moment timestamp)"
    )
    source, target = workspace["duck"] / "main/visits", workspace["server"] / "public/visits"
    with pytest.raises(DataError, match=r"in the row id = \d"):
        copy(source, target, mode="upsert", keys=["id"])
    report = copy(
        *(source, target),
        mode="append",
        keys=["id"],
        workers=2,
        verify=True,
        on_unfit={"note": "reject", "moment": "null"},
    )
    unfit = report.unfit
    assert unfit is not None
    rejected = sum(n % 7 == 0 or n % 100 == 0 for n in range(3000))
    nulled = sum(n % 500 == 1 and n % 7 > 0 and n % 100 > 0 for n in range(3000))
    assert (unfit.rows_rejected, unfit.values_nulled) == (rejected, nulled)
    assert report.rows == 3000 - rejected
    assert {"note NULL (id = 0)", r"note 'a\x00b' (id = 100)"} <= {
        str(one) for one in unfit.examples
    }
    assert database.run("SELECT count(*), count(moment) FROM visits") == [
        (3000 - rejected, 3000 - rejected - nulled)
    ]
    assert not staged(database)


def test_a_cast_takes_the_policies_whatever_the_stores(workspace: Workspace) -> None:
    files, duck = workspace["files"], workspace["duck"]
    files.write("a.csv", b"id,n,day\n1,7,2020-01-01\n2,x,2020-01-02\n3,9,soon\n")
    types = {"id": "int64", "n": "int64", "day": "date32"}
    report = copy(
        files / "a.csv",
        duck / "main/a",
        types=types,
        keys=["id"],
        on_unfit={"n": "reject", "day": "null"},
    )
    assert duck.scan("main.a").to_arrow().to_pydict() == {
        "id": [1, 3],
        "n": [7, 9],
        "day": [dt.date(2020, 1, 1), None],
    }
    assert report.unfit is not None
    assert [str(one) for one in report.unfit.examples] == [
        "n 'x' (id = '2')",
        "day 'soon' (id = '3')",
    ]
    rows = duck.write_table("main.b", files.scan("a.csv"), types=types, on_unfit="reject")
    assert rows == 1


# What is refused before any I/O


def test_a_store_without_policies_refuses_them(workspace: Workspace) -> None:
    for call in (
        lambda: workspace["duck"].scan("main.a", on_unfit="null"),
        lambda: workspace["duck"].query("select 1", on_unfit={"a": "reject"}),
        lambda: workspace["files"].write_table("a/", pa.table({"a": [1]}), on_unfit="null"),
        lambda: copy(workspace["duck"] / "main/a", workspace["files"] / "a/", on_unfit="null"),
    ):
        with pytest.raises(UnsupportedOperationError, match="on_unfit"):
            call()
    assert workspace["duck"].scan("main.a", on_unfit="raise").request.on_unfit == OnUnfit()


def test_a_name_that_is_not_there(visits: Database, workspace: Workspace) -> None:
    server = workspace["server"]
    wrong: Any = {"dya": "null"}
    calls: list[Callable[[], object]] = [
        lambda: server.scan("public.visits", on_unfit=wrong).schema,
        lambda: server.write_table("public.t", pa.table({"day": [1]}), on_unfit=wrong),
        lambda: plan_copy(server / "public/visits", workspace["files"] / "a/", on_unfit=wrong),
    ]
    for call in calls:
        with pytest.raises(ConfigurationError, match=r"no column 'dya'.*Did you mean 'day'"):
            call()
    with pytest.raises(ConfigurationError, match=r"no policy 'nul'.*Did you mean 'null'"):
        server.scan("public.visits", on_unfit={"day": "nul"})
    with pytest.raises(ConfigurationError, match="is no policy"):
        server.scan("public.visits", on_unfit=7)  # type: ignore[arg-type]  # wrong on purpose


# The command line


def test_the_command_line(
    visits: Database, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def run(*words: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main(words)
        return (code, *capfd.readouterr())

    source = "datastore://server/public/visits"
    code, _, err = run("head", source)
    assert code != 0
    assert "of the row id = " in err
    assert "--on-unfit " in " ".join(err.split())
    code, out, _ = run("head", source, "--json", "--on-unfit", "null", "--on-unfit", "day=text")
    assert code == 0
    assert [json.loads(line)["day"] for line in out.splitlines()] == [
        "2020-01-01",
        "infinity",
        "-infinity",
        None,
    ]
    code, out, _ = run(
        "query", "server", "select * from public.visits", "--json", "--on-unfit", "reject"
    )
    assert (code, len(out.splitlines())) == (0, 1)
    code, out, _ = run("cp", source, "datastore://files/visits.parquet", "--dry-run")
    assert code == 0
    assert "column 'day': 2 values cannot be held exactly" in out
    words = ("cp", source, "datastore://files/visits.parquet", "--on-unfit", "reject")
    code, out, _ = run(*words, "--dry-run")
    assert code == 0
    assert "3 rows left out" in out
    assert "day infinity (id = 2)" in out
    code, out, _ = run(*words, "--verify", "--json")
    assert code == 0
    report = json.loads(out)
    assert (report["rows"], report["unfit"]["rows_rejected"]) == (1, 3)
    code, out, _ = run(*words, "--mode", "replace")
    assert out.count("3 rows left out") == 2
    assert max(map(len, out.splitlines())) <= 100
    code, _, err = run("head", source, "--on-unfit", "day=nul")
    assert "Did you mean 'null'" in err
    code, _, err = run("head", "datastore://files/visits.parquet", "--on-unfit", "null")
    assert "on_unfit" in err
