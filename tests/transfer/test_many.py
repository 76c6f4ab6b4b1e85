"""Copies of many tables: which, where to, in which order, and what a call that stopped leaves."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

import datastores
from datastores import Workspace
from datastores.errors import (
    AlreadyExistsError,
    ConfigurationError,
    NotFoundError,
    PreconditionFailedError,
)
from datastores.transfer.selection import in_order

from .killed_many import STEPS, copied
from .test_kills import Ends, ends, source  # noqa: F401  # fixtures

SHOP = """
CREATE SCHEMA shop;
CREATE TABLE shop.zones (id INTEGER PRIMARY KEY);
CREATE TABLE shop.customers (
    id INTEGER PRIMARY KEY, zone INTEGER REFERENCES shop.zones, boss INTEGER REFERENCES shop.customers
);
CREATE TABLE shop.bills (
    customer INTEGER REFERENCES shop.customers, net INTEGER, gross INTEGER GENERATED ALWAYS AS (net * 2)
);
CREATE VIEW shop.big AS SELECT * FROM shop.bills WHERE net > 1;
CREATE SCHEMA notes;
CREATE TABLE notes."_a.b/c=d" (word VARCHAR);
"""
ROWS = """
INSERT INTO shop.zones VALUES (1), (2);
INSERT INTO shop.customers VALUES (1, 1, NULL), (2, 2, NULL);
INSERT INTO shop.bills (customer, net) VALUES (1, 1), (2, 2), (2, 3);
INSERT INTO notes."_a.b/c=d" VALUES ('x');
"""


def made(workspace: Workspace, store: str, *statements: str) -> None:
    path = Path(workspace[store].driver.place)
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(path)) as database:
        for statement in statements:
            database.execute(statement)


@pytest.fixture
def shop(workspace: Workspace) -> Workspace:
    made(workspace, "warehouse", SHOP, ROWS)
    return workspace


@pytest.fixture
def second(workspace: Workspace, tmp_path: Path) -> datastores.Datastore:
    return datastores.Datastore(type="duckdb", path=str(tmp_path / "second.duckdb"))


def names(report: Any) -> list[str]:
    return [one.target.partition("/")[2] for one in report.tables]


def test_a_database_goes_to_folders_and_back(shop: Workspace, second: datastores.Datastore) -> None:
    out = datastores.copy_all(shop["warehouse"], shop["files"] / "backup", verify=True)
    assert names(out) == [
        *("backup/notes/%5Fa%2Eb%2Fc%3Dd/", "backup/shop/zones/"),
        *("backup/shop/customers/", "backup/shop/bills/"),
    ]
    assert (out.rows, out.files, len({one.digest for one in out.tables})) == (8, 0, 4)
    assert out.left_out == (("shop.big", "a view"),)
    bills = shop["files"].scan("backup/shop/bills/")
    assert bills.schema.names == ["customer", "net", "gross"]
    back = datastores.copy_all(shop["files"] / "backup", second, verify=True)
    assert sorted(map(str, second.tables())) == [
        *("notes._a%2Eb/c=d", "shop.bills", "shop.customers", "shop.zones"),
    ]
    assert {one.digest for one in back.tables} == {one.digest for one in out.tables}
    assert str(out).splitlines()[-3:] == [
        f"copied 4 tables, 8 rows, {out.bytes_written / 1000:.1f} kB written in {out.seconds:.1f} s",
        "left out: shop.big, a view",
        f"job {out.job} finished, each as of its own moment",
    ]
    assert json.loads(out.to_json())["tables"][1]["rows"] == 2
    assert "<table>" in out._repr_html_()
    second.close()


def test_what_the_target_computes_is_left_to_it(
    shop: Workspace, second: datastores.Datastore
) -> None:
    made(shop, "warehouse", "DROP VIEW shop.big")
    datastores.copy_all(shop["warehouse"] / "shop", shop["files"])
    with duckdb.connect(second.driver.place) as database:
        database.execute(SHOP)
    # What others refer to comes first: the target's foreign keys would refuse another order.
    plan = datastores.plan_copy_all(shop["files"] / "shop", second / "shop", mode="append")
    assert names(plan) == ["shop.zones", "shop.customers", "shop.bills"]
    assert plan.notes == ("", "", "without gross, which the target computes")
    assert "without gross" in str(plan)
    assert second.scan("shop.bills").count() == 0
    report = datastores.copy_all(shop["files"] / "shop", second / "shop", mode="append")
    assert report.rows == 7
    assert second.scan("shop.bills").to_arrow()["gross"].to_pylist().count(6) == 1
    second.close()


def test_files_of_tables_are_copied_as_they_are(shop: Workspace) -> None:
    datastores.copy_all(shop["warehouse"] / "shop", shop["files"], workers=1)
    shop["files"].write("shop/extra.csv", b"a,b\n1,2\n")
    report = datastores.copy_all(shop["files"], shop["other"] / "kept/")
    assert names(report) == [
        *("kept/shop/bills/", "kept/shop/customers/", "kept/shop/extra.csv", "kept/shop/zones/"),
    ]
    assert (report.rows, report.files) == (0, 4)
    assert shop["other"].read("kept/shop/extra.csv") == b"a,b\n1,2\n"


def test_patterns_choose(shop: Workspace) -> None:
    def chosen(**patterns: Any) -> list[str]:
        plan = datastores.plan_copy_all(shop["warehouse"], shop["files"], **patterns)
        return [one.source.partition("/")[2] for one in plan.tables]

    assert chosen(include="shop.*s", exclude=["*.z*", "*.c*"]) == ["shop.bills"]
    assert chosen(include=["shop.big", "shop.zones"]) == ["shop.big", "shop.zones"]
    assert chosen(exclude="shop.*") == ["notes._a%2Eb/c=d"]
    with pytest.raises(NotFoundError, match=r"matches 'Shop\.\*'"):
        chosen(include=["Shop.*", "notes.*"])
    with pytest.raises(NotFoundError, match=r"matches 'shop\.zone'") as caught:
        chosen(include="shop.zone")
    assert "Did you mean 'shop.zones'?" in str(caught.value.advice)
    with pytest.raises(NotFoundError, match="no table of"):
        chosen(exclude="*")


def test_names_that_have_no_place_are_refused(
    shop: Workspace, second: datastores.Datastore
) -> None:
    files, warehouse = shop["files"], shop["warehouse"]
    files.write("bare.csv", b"a\n1\n")
    with pytest.raises(ConfigurationError, match="bare has no schema"):
        datastores.copy_all(files, second)
    datastores.copy_all(files, second / "shop")
    assert list(map(str, second.tables())) == ["shop.bare"]
    files.write("a/b/c.csv", b"a\n1\n")
    with pytest.raises(ConfigurationError, match=r"a\.b\.c lies too deep"):
        datastores.copy_all(files, second, exclude="bare")
    warehouse.write_table("notes.zones", pa.table({"id": [1]}))
    with pytest.raises(ConfigurationError, match=r"notes\.zones and shop\.zones would both become"):
        datastores.copy_all(warehouse, second / "one", include="*.zones")
    warehouse.write_table("notes.a%2Ecsv", pa.table({"id": [1]}))
    with pytest.raises(ConfigurationError, match="which no URL can say"):
        datastores.copy_all(warehouse, second, include="notes.a%2Ecsv")
    for end, message in (
        (warehouse / "shop/zones", "is a table, and no store or schema"),
        (warehouse.scan("shop.zones"), "is a scan"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            datastores.copy_all(end, files)
    with pytest.raises(ConfigurationError, match="copy_all has no option 'columns'"):
        datastores.copy_all(warehouse, files, columns=["id"])  # type: ignore[call-arg]
    second.close()


def test_nothing_is_copied_if_a_later_table_cannot_be(shop: Workspace) -> None:
    shop["files"].write_table("shop/zones/", pa.table({"id": [7]}))
    with pytest.raises(AlreadyExistsError, match="zones"):
        datastores.copy_all(shop["warehouse"], shop["files"])
    assert list(map(str, shop["files"].tables())) == ["shop/zones/"]


class EnoughError(Exception):
    pass


@pytest.mark.parametrize("target", ["files", "second"])
def test_a_call_that_failed_goes_on(
    shop: Workspace, second: datastores.Datastore, target: str
) -> None:
    end = second if target == "second" else shop[target]
    told: list[str] = []

    def stop(report: Any) -> None:
        told.append(report.source)
        if len(told) == 2:
            raise EnoughError

    patterns: Any = {"include": "shop.*s"}
    with pytest.raises(EnoughError) as caught:
        datastores.copy_all(shop["warehouse"], end, on_table=stop, **patterns)
    assert caught.value.__notes__ == [
        "2 of 3 tables are copied, and stay; the same call goes on from there"
    ]
    assert len(end.tables()) == 2
    # What came meanwhile is of no concern to those that are copied.
    made(shop, "warehouse", "INSERT INTO shop.zones VALUES (3)")
    plan = datastores.plan_copy_all(shop["warehouse"], end, **patterns)
    assert [one.is_earlier for one in plan.tables] == [True, True, False]
    report = datastores.copy_all(shop["warehouse"], end, **patterns)
    assert (report.rows, len(end.tables())) == (7, 3)
    assert "by an earlier call" in str(report)
    with pytest.raises(AlreadyExistsError):
        datastores.copy_all(shop["warehouse"], end, **patterns)
    second.close()


def test_a_replace_that_failed_begins_again(shop: Workspace) -> None:
    def stop(_: Any) -> None:
        raise EnoughError

    words: Any = {"include": ["shop.zones", "shop.bills"], "mode": "replace"}
    with pytest.raises(EnoughError) as caught:
        datastores.copy_all(shop["warehouse"], shop["files"], on_table=stop, **words)
    assert caught.value.__notes__[0].endswith("the same call begins again")
    made(shop, "warehouse", "INSERT INTO shop.zones VALUES (3)")
    assert datastores.copy_all(shop["warehouse"], shop["files"], **words).rows == 6
    assert shop["files"].scan("shop/zones/").count() == 3


def test_the_first_error_stops_and_what_was_appended_is_not_again(
    shop: Workspace, second: datastores.Datastore
) -> None:
    datastores.copy_all(shop["warehouse"] / "shop", shop["files"])
    made_rows = "INSERT INTO shop.zones VALUES (9); INSERT INTO shop.customers VALUES (1, 9, NULL)"
    with duckdb.connect(second.driver.place) as database:
        database.execute(f"{SHOP} {made_rows}")
    places = (shop["files"] / "shop", second / "shop")
    with pytest.raises(PreconditionFailedError) as caught:
        datastores.copy_all(*places, mode="append")
    assert "shop.customers" in str(caught.value.target)
    assert caught.value.__notes__[0].startswith("1 of 3 tables are copied, and stay")
    assert (second.scan("shop.zones").count(), second.scan("shop.bills").count()) == (3, 0)
    second.close()
    with duckdb.connect(second.driver.place) as database:
        database.execute("DELETE FROM shop.customers")
    assert datastores.copy_all(*places, mode="append").rows == 7
    assert (second.scan("shop.zones").count(), second.scan("shop.bills").count()) == (3, 3)
    second.close()


KINDS = ("local", "duckdb", "azure_postgresql")
_USUAL = tuple(zip(KINDS, STEPS, strict=True))
_OTHERS = [(kind, step) for kind in KINDS for step in STEPS if (kind, step) not in _USUAL]


@pytest.mark.parametrize(
    ("kind", "step"),
    [*_USUAL, *(pytest.param(*one, marks=pytest.mark.faults) for one in _OTHERS)],
)
def test_a_call_that_is_killed_goes_on_and_doubles_nothing(
    ends: Ends,  # noqa: F811
    step: str,
) -> None:
    tables = {name: pa.table({"id": range(size)}) for name, size in (("a", 3), ("b", 4), ("c", 5))}
    for name, rows in tables.items():
        ends.workspace["source"].write_table(f"many/shop/{name}/", rows)
    command = [sys.executable, "-m", "tests.transfer.killed_many"]
    killed = subprocess.run([*command, str(ends.file), "create_append", step], check=False)
    assert killed.returncode == -signal.SIGKILL
    report = copied(ends.workspace, "create_append")
    store = ends.workspace["target"]
    for name, rows in tables.items():
        table = f"shop/{name}/" if ends.kind == "local" else f"shop.{name}"
        assert store.scan(table).count() == rows.num_rows
    earlier = [one for one in report.tables if one.plan.is_earlier]
    assert len(earlier) == {"in the second table": 1}.get(step, 2)
    if step == "entries are taken out":
        assert report.left_out == (("shop.a", f"copied by an earlier call of job {report.job}"),)
    store.close()
    assert ends.left() == []
    assert copied(ends.workspace, "create_append").rows in (12, 0)
    ends.workspace["target"].close()


@pytest.mark.parametrize(
    ("references", "order", "late"),
    [
        ({"a": ["b"], "b": ["c"], "c": []}, "cba", {}),
        ({"b": [], "a": [], "c": ["c"]}, "abc", {}),
        # Only names in the circle are broken out of it.
        ({"a": ["b"], "b": ["c"], "c": ["b"]}, "bac", {"b": {"c"}}),
        ({"a": ["c"], "b": ["a"], "c": ["b"], "d": ["c"]}, "abcd", {"a": {"c"}}),
    ],
)
def test_what_others_refer_to_comes_first(
    references: dict[str, list[str]], order: str, late: dict[str, set[str]]
) -> None:
    assert in_order(references) == (list(order), late)
