"""Connections are used again: few are opened, none is shared or met in a state of somebody else's."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

import datastores
from datastores import Datastore
from datastores.drivers.azure_postgresql import pool
from datastores.drivers.reading import ScanRequest
from datastores.testing.arrow import assert_same_table
from datastores.testing.table_case import read, write
from datastores.values import WriteMode
from tests.drivers.test_azure_postgresql import config_of
from tests.drivers.test_azure_postgresql_failures import DATA, ORDERS, driver_of
from tests.drivers.test_azure_postgresql_faults import found, large, nothing_connected
from tests.services.postgresql import Database, PostgreSQL
from tests.services.proxy import Proxy

FORKED = """
import os, sys
from datastores import Datastore

fields = dict(zip(sys.argv[1::2], sys.argv[2::2]))
credentials = {"username": fields.pop("username"), "password": "env:PG_PASSWORD"}
store = Datastore("azure_postgresql", **{**fields, "port": int(fields["port"])}, credentials=credentials)

def backend():
    return store.query("SELECT pg_backend_pid() AS pid").to_arrow()["pid"][0].as_py()

pids = {backend() for _ in range(3)}
child = os.fork()
if not child:
    own = {backend() for _ in range(3)}
    store.close()
    os._exit(0 if own.isdisjoint(pids) else 1)
_, status = os.waitpid(child, 0)
assert status == 0, status
assert {backend() for _ in range(3)} == pids
store.close()
"""


def test_a_copy_opens_few_connections(database: Database, proxy: Callable[[int], Proxy]) -> None:
    between = proxy(database.owner.port)
    login = replace(database.owner, port=between.port)
    with Datastore.from_config(config_of(login)) as store:
        store.write_table("public.orders", DATA)
        assert between.connections == 1
        store.scan("public.orders").to_arrow()
        assert between.connections == 2
        datastores.copy(store / "public/orders", store / "public/other", workers=1)
        # The snapshot, who reads and who writes.
        assert between.connections == 3
    assert nothing_connected(database)


def test_threads_share_no_connection_and_few_are_kept(database: Database) -> None:
    with driver_of(database.owner) as driver:
        write(driver, ORDERS, DATA)
        threads = 2 * pool.MAX_IDLE
        together = threading.Barrier(threads)

        def use(_: int) -> None:
            together.wait(timeout=60)
            for _ in range(3):
                assert_same_table(read(driver, ORDERS), DATA)

        with ThreadPoolExecutor(threads) as workers:
            list(workers.map(use, range(threads)))
        assert 0 < len(found(database, "true")) <= pool.MAX_IDLE
    assert nothing_connected(database)
    assert read(driver, ORDERS).num_rows == 3
    driver.close()


def test_a_scan_that_is_left_midway_is_met_by_nobody(database: Database) -> None:
    with driver_of(database.owner) as driver:
        write(driver, ORDERS, large())
        with driver.plan_read(ScanRequest(table=ORDERS, batch_rows=100), 1) as plan:
            reader = driver.read(plan.splits[0])
            reader.read_next_batch()
            del reader
        assert read(driver, ORDERS).num_rows == 200_000
        assert not found(database, "state <> 'idle'")


def test_a_server_that_was_restarted_meanwhile(postgresql: PostgreSQL, database: Database) -> None:
    with driver_of(database.owner) as driver:
        write(driver, ORDERS, DATA)
        assert found(database, "true")
        postgresql.stop()
        postgresql.start()
        write(driver, ORDERS, DATA, WriteMode.APPEND)
        assert read(driver, ORDERS).num_rows == 6


def test_what_a_trigger_sets_reaches_nobody_else(database: Database) -> None:
    with driver_of(database.owner) as driver:
        write(driver, ORDERS, DATA)
        database.run(
            """
            CREATE FUNCTION sets() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                PERFORM set_config('search_path', 'elsewhere', false);
                PERFORM set_config('TimeZone', 'Asia/Tokyo', false);
                CREATE TEMP TABLE orders (other text);
                RETURN NULL;
            END $$
            """
        )
        database.run("CREATE TRIGGER sets AFTER INSERT ON orders EXECUTE FUNCTION sets()")
        write(driver, ORDERS, DATA, WriteMode.APPEND)
        request = ScanRequest(
            query="SELECT current_setting('search_path') AS path, now() AS at, * FROM orders"
        )
        with driver.plan_read(request, 1) as plan:
            rows = driver.read(plan.splits[0]).read_all()
        assert rows["path"][0].as_py() == '"$user", public'
        assert rows.schema.names == ["path", "at", "id", "word"]
        assert rows.num_rows == 6


def test_idle_connections_are_closed_in_time(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "IDLE_SECONDS", 0.2)
    with driver_of(database.owner) as driver:
        driver.tables()
        assert nothing_connected(database)
        driver.tables()


def test_a_driver_that_nobody_closes_is_closed_when_it_is_collected(database: Database) -> None:
    driver = driver_of(database.owner)
    driver.tables()
    assert found(database, "true")
    del driver
    gc.collect()
    assert nothing_connected(database)


def test_a_fork_opens_its_own(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    login = database.owner
    monkeypatch.setenv("PG_PASSWORD", login.password)
    fields = {
        "server_name": login.host,
        "port": str(login.port),
        "database_name": login.database,
        "ca_bundle": str(login.ca_file),
        "username": login.username,
    }
    words = [word for pair in fields.items() for word in pair]
    done = subprocess.run(
        [sys.executable, "-c", FORKED, *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
