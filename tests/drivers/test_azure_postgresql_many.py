"""Many tables out of PostgreSQL and into it: one snapshot, and the order of its foreign keys."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from datastores import Datastore, copy, copy_all, plan_copy_all
from datastores.errors import PreconditionFailedError
from datastores.transfer import CopyAllPlan
from tests.drivers.test_azure_postgresql import config_of, staged
from tests.services.postgresql import Database

RUNS, MONEY = 20, 1_000


@pytest.fixture
def warehouse(database: Database) -> Iterator[Datastore]:
    with Datastore.from_config(config_of(database.owner), name="warehouse") as store:
        yield store


@pytest.fixture
def cache() -> Iterator[Datastore]:
    with Datastore(type="memory") as store:
        yield store


@contextlib.contextmanager
def moving_money(database: Database) -> Iterator[None]:
    """Move money from one table to the other and back all the time, each time in one transaction."""
    stop = threading.Event()

    def move() -> None:
        with database.owner.connect() as connection:
            while not stop.is_set():
                for sum_ in (700, -700):
                    with connection.transaction():
                        connection.execute("UPDATE bank.a SET money = money - %s", (sum_,))
                        connection.execute("UPDATE bank.b SET money = money + %s", (sum_,))

    writer = threading.Thread(target=move)
    writer.start()
    try:
        yield
    finally:
        stop.set()
        writer.join()


def money_in(cache: Datastore) -> int:
    scans = [cache.scan(f"bank/{table}/").to_arrow() for table in ("a", "b")]
    return sum(one["money"].to_pylist()[0] for one in scans)


def test_all_tables_are_as_of_one_moment(
    database: Database, warehouse: Datastore, cache: Datastore
) -> None:
    database.run("CREATE SCHEMA bank")
    for table in ("a", "b"):
        database.run(f"CREATE TABLE bank.{table} AS SELECT {MONEY} AS money")
    each_by_itself = set()
    with moving_money(database):
        for _ in range(RUNS):
            report = copy_all(warehouse / "bank", cache, mode="replace", workers=1)
            assert report.is_one_moment
            assert str(report).endswith("finished, all as of one moment")
            assert money_in(cache) == 2 * MONEY
        for _ in range(RUNS):
            for table in ("a", "b"):
                ends = (warehouse / f"bank/{table}", cache / f"bank/{table}/")
                copy(*ends, mode="replace", workers=1)
            each_by_itself.add(money_in(cache))
    # The control: without the shared snapshot the sum is wrong now and then.
    assert each_by_itself > {2 * MONEY}


def test_a_truncate_waits_for_all_tables_and_plans_hold_no_connections(
    database: Database, warehouse: Datastore, cache: Datastore
) -> None:
    tables = [f"t{number}" for number in range(12)]
    for table in tables:
        database.run(f"CREATE TABLE {table} AS SELECT 1 AS id")
    seen: list[int] = []

    def look(_: CopyAllPlan) -> None:
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'datastores'"
        seen.append(database.run(query)[0][0])
        with database.owner.connect() as connection:
            connection.execute("SET lock_timeout = '50ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                connection.execute("TRUNCATE t11")

    report = copy_all(warehouse / "public", cache, on_plan=look)
    assert (report.rows, len(report.tables)) == (12, 12)
    assert seen[0] <= 2
    database.run("TRUNCATE t11")
    [(held,)] = database.run("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in %'")
    assert held == 0


_SHOP = """
CREATE SCHEMA {schema};
CREATE TABLE {schema}.zones (id int PRIMARY KEY);
CREATE TABLE {schema}.days (day date PRIMARY KEY, zone int REFERENCES {schema}.zones)
    PARTITION BY RANGE (day);
CREATE TABLE {schema}.days_all PARTITION OF {schema}.days DEFAULT;
CREATE TABLE {schema}.bills (
    id int PRIMARY KEY, day date REFERENCES {schema}.days, again int REFERENCES {schema}.bills,
    gross int GENERATED ALWAYS AS (id * 2) STORED
);
CREATE TABLE {schema}.animals (name text);
CREATE TABLE {schema}.cats () INHERITS ({schema}.animals);
CREATE VIEW {schema}.seen AS SELECT * FROM {schema}.bills;
CREATE MATERIALIZED VIEW {schema}.kept AS SELECT * FROM {schema}.bills;
"""
_ROWS = """
INSERT INTO shop.zones VALUES (1);
INSERT INTO shop.days VALUES ('2026-01-01', 1);
INSERT INTO shop.bills VALUES (1, '2026-01-01', 2), (2, '2026-01-01', 1);
INSERT INTO shop.animals VALUES ('dog');
INSERT INTO shop.cats VALUES ('tom');
"""


def counts(database: Database, schema: str) -> dict[str, int]:
    tables = ("animals", "bills", "days", "zones")
    return {one: database.run(f"SELECT count(*) FROM {schema}.{one}")[0][0] for one in tables}


@pytest.mark.parametrize("mode", ["append", "replace", "create"])
def test_the_order_suits_the_foreign_keys(
    database: Database, warehouse: Datastore, mode: str
) -> None:
    for statement in (_SHOP.format(schema="shop") + _ROWS).split(";\n"):
        database.run(statement)
    schema = "fresh" if mode == "create" else "copied"
    if mode != "create":
        for statement in _SHOP.format(schema=schema).split(";\n"):
            database.run(statement)
    plan = plan_copy_all(warehouse / "shop", warehouse / schema, mode=mode)
    order = [one.target.rpartition(".")[2] for one in plan.tables]
    assert order == ["animals", "zones", "days", "bills"]
    assert dict(plan.left_out) == {
        "shop.cats": "a child of shop.animals, which shows its rows",
        "shop.kept": "a materialized view",
        "shop.seen": "a view",
    }
    turns = 2 if mode == "replace" else 1
    for _ in range(turns):
        report = copy_all(warehouse / "shop", warehouse / schema, mode=mode)
    assert (report.rows, report.is_one_moment) == (6, True)
    assert counts(database, schema) == {"animals": 2, "bills": 2, "days": 1, "zones": 1}
    assert database.run(f"SELECT sum(gross) FROM {schema}.bills") == [(6,)]
    assert staged(database) == []


def test_a_circle_is_broken_and_what_the_server_refuses_stops_there(
    database: Database, warehouse: Datastore, cache: Datastore
) -> None:
    database.run("CREATE SCHEMA round")
    database.run("CREATE TABLE round.eggs (id int PRIMARY KEY, hen int)")
    database.run("CREATE TABLE round.hens (id int PRIMARY KEY, egg int REFERENCES round.eggs)")
    database.run(
        "ALTER TABLE round.eggs ADD CONSTRAINT laid FOREIGN KEY (hen) REFERENCES round.hens"
    )
    database.run("INSERT INTO round.eggs VALUES (1, NULL)")
    database.run("INSERT INTO round.hens VALUES (1, 1)")
    copy_all(warehouse / "round", cache)
    words: dict[str, Any] = {"mode": "replace", "verify": True}
    plan = plan_copy_all(cache / "round", warehouse / "round", mode="replace")
    assert plan.notes == ("refers to hens, which comes later", "")
    assert copy_all(cache / "round", warehouse / "round", **words).rows == 2
    cache.write_table("round/eggs/", _eggs(hen=7), mode="replace")
    with pytest.raises(PreconditionFailedError, match="laid") as caught:
        copy_all(cache / "round", warehouse / "round", **words)
    assert caught.value.__notes__[0].startswith("0 of 2 tables are copied")
    assert database.run("SELECT * FROM round.eggs") == [(1, None)]


def _eggs(hen: int) -> pa.Table:
    return pa.table({"id": pa.array([1], pa.int32()), "hen": pa.array([hen], pa.int32())})
