"""`tables`, `schema`, `head` and `query` on a warehouse and on files."""

from __future__ import annotations

from tests.cli.conftest import Run


def test_tables(run: Run, table: str, csv_file: str) -> None:
    expected = {"name": "orders", "schema": "main", "url": table}
    assert run("tables", "warehouse", "--json").records == [expected]
    assert run("tables", "datastore://warehouse/main", "--json").records == [expected]
    shown = run("tables", "warehouse")
    assert shown.out.splitlines()[1].split() == ["main.orders", table]
    [found] = run("tables", "datastore://files/raw", "--json").records
    assert found["url"] == csv_file
    assert run("tables", "warehose").code == 3


def test_a_listed_table_can_be_read(run: Run, table: str) -> None:
    create = 'create table "odd.name/50%" as select 7 as n'
    from datastores import Workspace

    with Workspace.load() as workspace:
        import duckdb

        with duckdb.connect(workspace["warehouse"].driver.place) as connection:
            connection.execute(create)
    urls = [one["url"] for one in run("tables", "warehouse", "--json").records]
    [odd] = [one for one in urls if one != table]
    assert run("head", odd, "--json").records == [{"n": 7}]


def test_schema(run: Run, table: str, csv_file: str) -> None:
    [found] = run("schema", table, "--json").records
    assert found["url"] == table
    types = {one["name"]: one["type"] for one in found["columns"]}
    assert types["total"] == "decimal128(12, 2)"
    assert found["columns"][2]["source_type"] == "DECIMAL(12,2)"
    shown = run("schema", csv_file, "--format-option", "infer=true")
    assert shown.code == 0
    assert [line.split()[0] for line in shown.out.splitlines()[1:]] == [
        "id",
        "total",
        "day",
        "name",
    ]
    assert "date32" in shown.out
    assert run("schema", "datastore://warehouse/main/none").code == 3


def test_head(run: Run, table: str) -> None:
    rows = run("head", table, "-n", "3", "--json").records
    assert rows[1] == {
        "id": 1,
        "region": "south",
        "total": "1.00",
        "day": "1970-01-02",
        "raw": "Af8=",
    }
    shown = run("head", table, "-n", "3", "--columns", "region,total")
    assert [line.split() for line in shown.out.splitlines()] == [
        ["region", "total"],
        ["north", "0.00"],
        ["south", "1.00"],
        ["NULL", "2.00"],
    ]


def test_head_filters(run: Run, table: str, csv_file: str) -> None:
    words = ["--filter", "total > 990.5", "--filter", "region in north,south"]
    rows = run("head", table, "-n", "100", "--columns", "id", "--json", *words).records
    assert [one["id"] for one in rows] == [i for i in range(991, 1000) if i % 3 != 2]
    assert run("head", csv_file, "--filter", "name = 00123", "--json").records[0]["id"] == "2"
    wrong = run("head", table, "--filter", "totl > 1")
    assert wrong.code == 2
    assert "It has id, region, total, day, raw" in " ".join(wrong.err.split())


def test_query(run: Run, table: str, csv_file: str) -> None:
    sql = "select id, total from orders where day = :d and total > :t order by id"
    words = ("--param", "d=1970-01-02", "--param", "t=900.5")
    rows = run("query", "warehouse", sql, *words, "--json").records
    assert rows == [{"id": i, "total": f"{i}.00"} for i in range(901, 1000, 30)]
    quoted = run(
        "query", "warehouse", "select :x as x", "--param", "x='; drop table orders", "--json"
    )
    assert quoted.records == [{"x": "'; drop table orders"}]
    assert len(run("query", "warehouse", "from orders").out.splitlines()) == 1001
    wrong = run("query", "warehouse", "selec 1")
    assert wrong.code in {1, 2}
    assert len(wrong.err.splitlines()) <= 3
    assert "Traceback" not in wrong.err
    missing = run("query", "warehouse", "select :x as x")
    assert missing.code == 2


def test_exact_values(run: Run, table: str) -> None:
    sql = (
        "select 9223372036854775807 as big, 0.1::double as share, "
        "12345678901234567890.123456789::decimal(38, 9) as fine, "
        "timestamp '2026-01-01 00:00:00.000001' as at, "
        "[1, null] as list, {'a': 1.50::decimal(5, 2)} as pair, null::varchar as none"
    )
    assert run("query", "warehouse", sql, "--json").records == [
        {
            "big": 9223372036854775807,
            "share": 0.1,
            "fine": "12345678901234567890.123456789",
            "at": "2026-01-01 00:00:00.000001",
            "list": [1, None],
            "pair": {"a": "1.50"},
            "none": None,
        }
    ]
    shown = run("query", "warehouse", sql).out
    assert "12345678901234567890.123456789" in shown
    assert "[1,null]" in shown
