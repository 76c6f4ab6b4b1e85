# pickles of our own, and SQL from constants
"""What is DuckDB's own: one snapshot, one process, what a table keeps when its rows are replaced."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from datastores.drivers.duckdb.config import DuckDBConfig
from datastores.drivers.duckdb.driver import DuckDBDriver
from datastores.drivers.duckdb.write import DuckDBWriteSession
from datastores.drivers.reading import ScanRequest
from datastores.drivers.writing import JobState, WriteRequest
from datastores.errors import (
    AlreadyExistsError,
    ConfigurationError,
    ConnectionFailedError,
    DataError,
    DatastoreError,
    DriverError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionFailedError,
    SchemaMismatchError,
    UnsupportedOperationError,
)
from datastores.testing.arrow import assert_same_table
from datastores.testing.table_case import read, read_request, write
from datastores.values import TableName, WriteMode

ORDERS = TableName("orders", "main")
ROWS = pa.table({"id": pa.array([1, 2, 3], pa.int32()), "word": ["a", None, "c"]})


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "store.duckdb")


@pytest.fixture
def driver(path: str) -> Iterator[DuckDBDriver]:
    with DuckDBDriver(DuckDBConfig(path=path)) as driver:
        yield driver


def run(path: str, *statements: str) -> list[Any]:
    with duckdb.connect(path) as connection:
        return [connection.execute(one).fetchall() for one in statements][-1]


def test_all_splits_see_one_state_while_another_connection_swaps_rows(
    driver: DuckDBDriver, path: str
) -> None:
    count, stop, swaps = 20_000, threading.Event(), []
    write(driver, ORDERS, pa.table({"id": range(count), "place": range(count)}))

    def swap() -> None:
        # Rows change their row ids, so that two states show rows twice or not at all.
        with duckdb.connect(path) as other:
            while not stop.is_set():
                other.execute(
                    "BEGIN; CREATE OR REPLACE TEMP TABLE moved AS FROM orders WHERE place % 7 = 3;"
                    "DELETE FROM orders WHERE place % 7 = 3;"
                    f"INSERT INTO orders SELECT id, (place + 1) % {count} FROM moved; COMMIT"
                )
                other.execute(f"UPDATE orders SET place = (place + 4) % {count}")
                swaps.append(1)

    with ThreadPoolExecutor(5) as pool:
        swapping = pool.submit(swap)
        try:
            for _ in range(25):
                with driver.plan_read(ScanRequest(table=ORDERS, batch_rows=1000), 4) as plan:
                    parts = list(pool.map(lambda one: driver.read(one).read_all(), plan.splits))
                    again = [driver.read(one).read_all() for one in plan.splits]
                found = pa.concat_tables(parts)
                assert sorted(found["id"].to_pylist()) == list(range(count))
                assert found.equals(pa.concat_tables(again))
        finally:
            stop.set()
        swapping.result()
    assert len(swaps) > 1


def test_a_split_is_refused_once_its_plan_is_closed(driver: DuckDBDriver) -> None:
    write(driver, ORDERS, ROWS)
    with driver.plan_read(ScanRequest(table=ORDERS), 2) as plan:
        split = plan.splits[0]
        half_read = driver.read(split)
    with pytest.raises(PreconditionFailedError):
        driver.read(split)
    with pytest.raises(DatastoreError):
        half_read.read_all()


def test_a_stream_holds_about_one_batch(driver: DuckDBDriver) -> None:
    write(driver, ORDERS, ROWS)
    request = ScanRequest(query="select range i, repeat('x', 1000) s from range(2_000_000)")
    with driver.plan_read(request, 1) as plan, driver.read(plan.splits[0]) as reader:
        assert reader.read_next_batch().num_rows <= request.batch_rows
        # 2 GB of text: a result that was built first would not be there so soon.
        assert pa.total_allocated_bytes() < 200_000_000


def test_replace_keeps_views_keys_and_defaults(driver: DuckDBDriver, path: str) -> None:
    run(
        path,
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, word VARCHAR DEFAULT 'none')",
        "CREATE VIEW words AS SELECT word FROM orders",
        "INSERT INTO orders VALUES (1, 'old'), (9, 'old')",
    )
    write(driver, ORDERS, ROWS, WriteMode.REPLACE)
    write(driver, ORDERS, ROWS, WriteMode.REPLACE)
    driver.close()
    run(path, "INSERT INTO orders (id) VALUES (4)")
    assert run(path, "FROM words ORDER BY word") == [("a",), ("c",), ("none",), (None,)]
    with pytest.raises(duckdb.ConstraintException):
        run(path, "INSERT INTO orders (id) VALUES (4)")


def test_replace_under_a_foreign_key_is_refused(driver: DuckDBDriver, path: str) -> None:
    run(
        path,
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, word VARCHAR)",
        "CREATE TABLE lines (o INTEGER REFERENCES orders (id))",
        "INSERT INTO orders VALUES (9, 'old')",
        "INSERT INTO lines VALUES (9)",
    )
    with pytest.raises(PreconditionFailedError, match="foreign key"):
        write(driver, ORDERS, ROWS, WriteMode.REPLACE)
    assert read(driver, ORDERS).to_pylist() == [{"id": 9, "word": "old"}]


def test_upsert_never_touches_another_unique_keys_row(driver: DuckDBDriver, path: str) -> None:
    run(path, "CREATE TABLE orders (id INTEGER PRIMARY KEY, word VARCHAR UNIQUE)")
    run(path, "INSERT INTO orders VALUES (1, 'x'), (7, 'c')")
    with pytest.raises(PreconditionFailedError):
        write(driver, ORDERS, ROWS, WriteMode.UPSERT, keys=("id",))
    assert sorted(read(driver, ORDERS)["word"].to_pylist()) == ["c", "x"]


def test_upsert_where_every_column_is_a_key(driver: DuckDBDriver) -> None:
    write(driver, ORDERS, ROWS.select(["id"]), keys=("id",))
    more = pa.table({"id": pa.array([3, 4], pa.int32())})
    write(driver, ORDERS, more, WriteMode.UPSERT, keys=("id",))
    assert sorted(read(driver, ORDERS)["id"].to_pylist()) == [1, 2, 3, 4]


def test_partitions_of_null_are_replaced_too(driver: DuckDBDriver) -> None:
    write(driver, ORDERS, ROWS)
    new = pa.table({"id": pa.array([5], pa.int32()), "word": pa.array([None], pa.string())})
    write(driver, ORDERS, new, WriteMode.REPLACE_PARTITIONS, partition_by=("word",))
    assert sorted(read(driver, ORDERS)["id"].to_pylist()) == [1, 3, 5]


def test_a_schema_is_created_with_its_table(driver: DuckDBDriver) -> None:
    table = TableName("a.b", 'my "schema"')
    write(driver, table, ROWS)
    assert driver.tables() == [table]
    assert driver.tables("main") == []
    assert_same_table(read(driver, table), ROWS)


def test_a_session_may_write_and_publish_as_a_pickle(driver: DuckDBDriver) -> None:
    session = driver.begin(WriteRequest(table=ORDERS, schema=ROWS.schema))
    receipt = pickle.loads(pickle.dumps(session)).write("0", ROWS.to_reader())
    pickle.loads(pickle.dumps(session)).publish([receipt])
    session.publish([receipt])
    session.discard()
    assert_same_table(read(driver, ORDERS), ROWS)


def test_a_table_changed_while_parts_were_written_is_left_alone(
    driver: DuckDBDriver, path: str
) -> None:
    write(driver, ORDERS, ROWS)
    request = WriteRequest(table=ORDERS, schema=ROWS.schema, mode=WriteMode.APPEND)
    session = driver.begin(request)
    receipt = session.write("0", ROWS.to_reader())
    run(path, "ALTER TABLE orders ALTER id TYPE BIGINT")
    with pytest.raises(PreconditionFailedError):
        session.publish([receipt])
    session.discard()
    assert read(driver, ORDERS).num_rows == 3


def test_appends_of_many_threads_and_drivers_are_all_kept(driver: DuckDBDriver, path: str) -> None:
    write(driver, ORDERS, ROWS)
    with DuckDBDriver(DuckDBConfig(path=path)) as other, ThreadPoolExecutor(4) as pool:
        both = [driver, other] * 6
        results = [pool.submit(write, one, ORDERS, ROWS, WriteMode.APPEND) for one in both]
        for result in results:
            result.result()
    assert read(driver, ORDERS).num_rows == 3 * 13


def test_publishing_what_was_discarded_says_so(driver: DuckDBDriver) -> None:
    session = driver.begin(WriteRequest(table=ORDERS, schema=ROWS.schema))
    receipt = session.write("0", ROWS.to_reader())
    session.discard()
    with pytest.raises(PreconditionFailedError, match="0-"):
        session.publish([receipt])
    assert driver.tables() == []


def test_staging_that_is_discarded_while_it_is_written_says_so(driver: DuckDBDriver) -> None:
    session = driver.begin(WriteRequest(table=ORDERS, schema=ROWS.schema))

    def rows() -> Iterator[pa.RecordBatch]:
        yield from ROWS.to_batches()
        session.discard()

    with pytest.raises(PreconditionFailedError, match="is gone"):
        session.write("0", pa.RecordBatchReader.from_batches(ROWS.schema, rows()))
    assert driver.tables() == []


def test_names_that_differ_by_case_only_are_refused(driver: DuckDBDriver) -> None:
    write(driver, ORDERS, ROWS)
    for mode in (WriteMode.CREATE, WriteMode.REPLACE):
        with pytest.raises(AlreadyExistsError):
            write(driver, TableName("Orders", "main"), ROWS, mode)
    with pytest.raises(NotFoundError, match="orders"):
        driver.schema(TableName("Orders", "main"))
    with pytest.raises(SchemaMismatchError, match="WORD"):
        write(driver, TableName("x"), ROWS.append_column("WORD", ROWS["word"]))


def test_a_view_is_read_by_one_reader_and_not_written(driver: DuckDBDriver, path: str) -> None:
    run(path, "CREATE VIEW orders AS SELECT range i FROM range(10)")
    with driver.plan_read(ScanRequest(table=ORDERS), 5) as plan:
        assert len(plan.splits) == 1
    assert read(driver, ORDERS, 5, filters=[("i", ">", 7)]).num_rows == 2
    with pytest.raises(UnsupportedOperationError):
        write(driver, ORDERS, pa.table({"i": [1]}), WriteMode.APPEND)


def test_a_column_named_rowid_does_not_stand_for_row_ids(driver: DuckDBDriver) -> None:
    data = pa.table({"rowid": [7, 7, None, -1], "v": [1, 2, 3, 4]})
    write(driver, ORDERS, data)
    assert_same_table(read(driver, ORDERS, 3), data)


def test_names_listed_after_deletes_still_tile(driver: DuckDBDriver, path: str) -> None:
    write(driver, ORDERS, pa.table({"id": range(1000)}))
    run(path, "DELETE FROM orders WHERE id BETWEEN 100 AND 890", "CHECKPOINT")
    assert read(driver, ORDERS, 7).num_rows == 1000 - 791
    run(path, "DELETE FROM orders")
    assert read(driver, ORDERS, 7).num_rows == 0


@pytest.mark.parametrize(
    "sql",
    [
        "select 1; drop table orders",
        "drop table orders",
        "insert into orders values (1, 'x') returning id",
        "copy orders to 'x.csv'",
        "",
    ],
)
def test_a_query_is_one_select(driver: DuckDBDriver, sql: str) -> None:
    write(driver, ORDERS, ROWS)
    with pytest.raises(ConfigurationError):
        driver.plan_read(ScanRequest(query=sql), 1)
    assert_same_table(read(driver, ORDERS), ROWS)


def test_a_query_cannot_read_this_programs_variables(driver: DuckDBDriver) -> None:
    write(driver, ORDERS, ROWS)
    with pytest.raises(NotFoundError, match="ROWS"):
        driver.plan_read(ScanRequest(query='select * from "ROWS"'), 1)


def test_a_query_takes_columns_filters_and_limit(driver: DuckDBDriver) -> None:
    write(driver, ORDERS, ROWS)
    request = ScanRequest(
        query="select id, id + :more as sum from orders where word is not null order by id desc -- done\n;",
        parameters={"more": 10},
        columns=("sum",),
    )
    assert read_request(driver, request).to_pylist() == [{"sum": 13}, {"sum": 11}]


@pytest.mark.parametrize("parameters", [{}, {"a": 1, "b": 2}])
def test_parameters_must_match_the_query(driver: DuckDBDriver, parameters: dict[str, int]) -> None:
    write(driver, ORDERS, ROWS)
    with pytest.raises(ConfigurationError, match=":"):
        driver.plan_read(ScanRequest(query="select :a", parameters=parameters), 1)


def test_a_file_that_another_process_has_open_is_said_to_be(path: str) -> None:
    held = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import duckdb; c = duckdb.connect({path!r}); print('open', flush=True); input()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with held:
        assert held.stdout is not None
        assert held.stdin is not None
        assert held.stdout.readline() == "open\n"
        driver = DuckDBDriver(DuckDBConfig(path=path))
        with pytest.raises(ConnectionFailedError, match="another process") as caught:
            driver.tables()
        assert caught.value.transient
        held.stdin.write("\n")
        held.stdin.flush()


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("not a database " * 500)
    with pytest.raises(DataError, match="not a DuckDB database"):
        DuckDBDriver(DuckDBConfig(path=str(file))).tables()
    assert file.read_text() == "not a database " * 500


def test_reading_creates_no_file(path: str) -> None:
    driver = DuckDBDriver(DuckDBConfig(path=path))
    assert driver.tables() == []
    with pytest.raises(NotFoundError):
        driver.schema(ORDERS)
    with pytest.raises(NotFoundError):
        driver.plan_read(ScanRequest(query="select 1"), 1)
    assert not Path(path).exists()


def test_read_only_refuses_writes_before_staging(driver: DuckDBDriver, path: str) -> None:
    write(driver, ORDERS, ROWS)
    driver.close()
    with DuckDBDriver(DuckDBConfig(path=path, read_only=True)) as reader:
        assert_same_table(read(reader, ORDERS), ROWS)
        with pytest.raises(PermissionDeniedError):
            write(reader, ORDERS, ROWS, WriteMode.APPEND)
        assert not reader.config.staging.exists()


def test_a_closed_driver_opens_again(driver: DuckDBDriver) -> None:
    write(driver, ORDERS, ROWS)
    driver.close()
    driver.close()
    assert_same_table(read(driver, ORDERS), ROWS)


def test_a_full_disk_leaves_all_as_it_was(driver: DuckDBDriver) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    write(driver, ORDERS, ROWS)
    request = WriteRequest(table=ORDERS, schema=ROWS.schema, mode=WriteMode.APPEND)
    session = driver.begin(request)
    assert isinstance(session, DuckDBWriteSession)
    session.folder.mkdir(parents=True)
    (session.folder / "0.arrow").symlink_to(full)
    with pytest.raises(DriverError, match=r"0\.arrow"):
        session._stage(session.folder / "0.arrow", big().to_reader())
    session.discard()
    assert_same_table(read(driver, ORDERS), ROWS)


def big() -> pa.Table:
    return pa.table({"id": pa.array(range(50_000), pa.int32()), "word": ["w"] * 50_000})


_REPLACE_FOREVER = """
import itertools, sys
import pyarrow as pa
from datastores.drivers.duckdb.config import DuckDBConfig
from datastores.drivers.duckdb.driver import DuckDBDriver
from datastores.testing.table_case import write
from datastores.values import TableName, WriteMode

driver = DuckDBDriver(DuckDBConfig(path=sys.argv[1]))
for version in itertools.count():
    data = pa.table({"id": range(20_000), "version": [version] * 20_000})
    write(driver, TableName("orders"), data, WriteMode.REPLACE, keys=("id",))
    print(version, flush=True)
"""


@pytest.mark.parametrize("delay", [0.0, 0.03, 0.07])
def test_a_killed_writer_leaves_one_whole_version(path: str, delay: float) -> None:
    command = [sys.executable, "-c", _REPLACE_FOREVER, path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        seen = [int(writer.stdout.readline()) for _ in range(2)]
        time.sleep(delay)
        writer.kill()
    with DuckDBDriver(DuckDBConfig(path=path)) as driver:
        found = read(driver, ORDERS)
    assert sorted(found["id"].to_pylist()) == list(range(20_000))
    versions = set(found["version"].to_pylist())
    assert len(versions) == 1
    assert versions.pop() >= seen[-1]


def test_a_database_that_an_older_version_wrote_to(tmp_path: Path) -> None:
    file = tmp_path / "old.duckdb"
    with duckdb.connect(str(file)) as database:
        # Its journal had another name, and stays unread.
        database.execute("CREATE SCHEMA _datastores")
        database.execute("CREATE TABLE _datastores.journal (job VARCHAR, target VARCHAR)")
    with DuckDBDriver(DuckDBConfig(path=str(file))) as driver:
        assert driver.jobs() == []
        write(driver, TableName("orders", "main"), pa.table({"id": [1]}))
        assert read(driver, TableName("orders", "main")).num_rows == 1


def test_a_staging_that_cannot_be_removed_is_said(tmp_path: Path) -> None:
    with DuckDBDriver(DuckDBConfig(path=str(tmp_path / "w.duckdb"))) as driver:
        table = TableName("orders", "main")
        data = pa.table({"id": [1]})
        request = WriteRequest(table=table, schema=data.schema, job="stuck", journal="")
        session = driver.begin(request)
        session.publish([session.write("0", data.to_reader())])
        # A folder is not deleted as a file is.
        obstacle = driver.config.staging / "stuck" / "0.receipt"
        obstacle.mkdir(parents=True)
        with pytest.raises(DriverError, match="could not discard the staged stuck"):
            session.discard()
        obstacle.rmdir()
        # The next job of that name is not taken for this one, which was published.
        found = driver.find_job("stuck")
        assert found is None or found.state is JobState.WRITING
