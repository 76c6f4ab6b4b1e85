"""A new table that is filled aside, by several parts, and moved into its place."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pytest

from datastores.drivers.azure_postgresql.driver import AzurePostgreSQLDriver
from datastores.drivers.writing import Receipt, WriteRequest, WriteSession
from datastores.errors import (
    AlreadyExistsError,
    DatastoreError,
    PreconditionFailedError,
)
from datastores.testing.arrow import assert_same_table
from datastores.testing.table_case import read, write
from datastores.values import TableName, WriteMode
from tests.drivers.test_azure_postgresql import staged
from tests.drivers.test_azure_postgresql_failures import DATA, ORDERS, driver_of
from tests.services.postgresql import Database

PARTS = [DATA, pa.table({"id": [4, 5], "word": ["d", "e"]})]
ALL = pa.concat_tables(PARTS)
# What tells two tables of different names apart, but for their names.
FACTS = """
    SELECT relacl::text, relowner::regrole::text, relpersistence, relkind, reloptions,
      (SELECT array_agg((attname, atttypid::regtype, atttypmod, attnotnull, col_description(oid, attnum))
         ORDER BY attnum) FROM pg_attribute WHERE attrelid = pg_class.oid AND attnum > 0)::text,
      (SELECT array_agg((replace(conname, relname, 'x'), contype, conkey)) FROM pg_constraint
        WHERE conrelid = pg_class.oid)::text
    FROM pg_class WHERE oid = '{}'::regclass
"""


@pytest.fixture
def driver(database: Database) -> Iterator[AzurePostgreSQLDriver]:
    with driver_of(database.owner) as driver:
        yield driver


def begun(driver: AzurePostgreSQLDriver, mode: WriteMode = WriteMode.CREATE) -> WriteSession:
    """Begin a write of any number of parts."""
    request = WriteRequest(table=ORDERS, schema=DATA.schema, mode=mode)
    assert "aside" in driver.plan_write(request).bulk_path
    return driver.begin(request)


def written(session: WriteSession, parts: Sequence[pa.Table] = PARTS) -> list[Receipt]:
    """Write tables as parts."""
    return [session.write(str(at), one.to_reader()) for at, one in enumerate(parts)]


def test_it_has_all_rows_at_once_and_none_before(
    database: Database, driver: AzurePostgreSQLDriver
) -> None:
    session = begun(driver)
    receipts = written(session)
    assert driver.tables() == []
    [(node, logged)] = database.run(
        "SELECT relfilenode, relpersistence FROM pg_class "
        f"WHERE oid = '_datastores.table_{session.request.job}'::regclass"
    )
    session.publish(receipts)
    session.publish(receipts)
    session.discard()
    assert_same_table(read(driver, ORDERS), ALL)
    # The very table that was filled: no row was written twice, and a crash takes none.
    found = database.run(
        "SELECT relfilenode, relpersistence FROM pg_class WHERE relname = 'orders'"
    )
    assert found == [(node, logged)]
    assert logged == "p"
    assert not staged(database)


def test_it_is_as_if_it_had_been_created_in_its_place(
    database: Database, driver: AzurePostgreSQLDriver
) -> None:
    clerk = database.clerk.username
    database.run(f'ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO "{clerk}"')
    schema = pa.schema(
        [pa.field("id", pa.int64(), nullable=False), pa.field("big", pa.uint64()), ("at", "int16")]
    )
    data = pa.table({"id": [1, 2], "big": [2**64 - 1, None], "at": [1, 2]}, schema)
    for name, parts in (("direct", 1), ("parts", None)):
        table = TableName(name, "public")
        write(driver, table, data, keys=("id",), parts=parts)
    direct, parts_ = (database.run(FACTS.format(name)) for name in ("direct", "parts"))
    assert direct == parts_
    assert clerk in str(direct)
    assert not staged(database)


def test_a_key_that_is_there_twice_publishes_nothing(
    database: Database, driver: AzurePostgreSQLDriver
) -> None:
    request = WriteRequest(table=ORDERS, schema=DATA.schema, keys=("id",))
    session = driver.begin(request)
    receipts = written(session, [DATA, DATA])
    with pytest.raises(PreconditionFailedError, match=r"\(id\)=\(1\)"):
        session.publish(receipts)
    session.discard()
    assert driver.tables() == []
    assert not staged(database)


def test_only_the_receipts_rows_are_published(
    database: Database, driver: AzurePostgreSQLDriver
) -> None:
    session = begun(driver)
    _, second = written(session)
    session.publish([second])
    session.discard()
    assert_same_table(read(driver, ORDERS), PARTS[1])
    assert not staged(database)


def test_an_attempt_that_still_runs_does_not_keep_the_publish_waiting(
    database: Database, driver: AzurePostgreSQLDriver
) -> None:
    session = begun(driver)
    receipts = written(session)
    sent, go_on = threading.Event(), threading.Event()
    failures: list[DatastoreError] = []

    def late() -> Iterator[pa.RecordBatch]:
        # More than waits in buffers, so that the server has begun the COPY.
        yield from pa.table({"id": range(200_000), "word": ["late"] * 200_000}).to_batches()
        sent.set()
        go_on.wait()
        yield from DATA.to_batches()

    def attempt() -> None:
        try:
            session.write("0", pa.RecordBatchReader.from_batches(DATA.schema, late()))
        except DatastoreError as error:
            failures.append(error)

    thread = threading.Thread(target=attempt)
    thread.start()
    try:
        assert sent.wait(30)
        session.publish(receipts)
    finally:
        go_on.set()
        thread.join()
    session.discard()
    assert len(failures) == 1
    assert_same_table(read(driver, ORDERS), ALL)
    assert not staged(database)


@pytest.mark.parametrize("mode", [WriteMode.CREATE, WriteMode.REPLACE, WriteMode.CREATE_APPEND])
def test_somebody_else_created_the_table_meanwhile(
    database: Database, driver: AzurePostgreSQLDriver, mode: WriteMode
) -> None:
    session = begun(driver, mode)
    receipts = written(session)
    theirs = pa.table({"id": [9], "word": ["theirs"]})
    write(driver, ORDERS, theirs)
    if mode == WriteMode.CREATE:
        with pytest.raises(AlreadyExistsError):
            session.publish(receipts)
        expected = theirs
    else:
        session.publish(receipts)
        expected = ALL if mode == WriteMode.REPLACE else pa.concat_tables([theirs, ALL])
    session.discard()
    assert_same_table(read(driver, ORDERS), expected)
    assert not staged(database)


def test_of_many_creators_one_wins(database: Database, driver: AzurePostgreSQLDriver) -> None:
    sessions = [begun(driver) for _ in range(4)]
    receipts = [written(one) for one in sessions]
    start = threading.Barrier(len(sessions))
    outcomes: list[object] = []

    def publish(session: WriteSession, its: list[Receipt]) -> None:
        start.wait()
        try:
            session.publish(its)
        except AlreadyExistsError as error:
            outcomes.append(error)
        else:
            outcomes.append("won")
        session.discard()

    threads = [
        threading.Thread(target=publish, args=pair) for pair in zip(sessions, receipts, strict=True)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(outcomes) == len(sessions)
    assert outcomes.count("won") == 1
    assert_same_table(read(driver, ORDERS), ALL)
    assert not staged(database)


def test_a_table_in_a_schema_that_is_not_there_is_copied_to(
    database: Database, driver: AzurePostgreSQLDriver
) -> None:
    # A schema that is created to be filled would show before its table is there.
    table = TableName("orders", "shop")
    request = WriteRequest(table=table, schema=DATA.schema)
    assert "aside" not in driver.plan_write(request).bulk_path
    session = driver.begin(request)
    receipts = written(session)
    assert database.run("SELECT to_regnamespace('shop') IS NULL") == [(True,)]
    session.publish(receipts)
    session.discard()
    assert_same_table(read(driver, table), ALL)


@pytest.mark.parametrize("name", ["jobs", "table_x", 'o"rd.ers'])
def test_any_name_will_do(database: Database, driver: AzurePostgreSQLDriver, name: str) -> None:
    table = TableName(name, "public")
    write(driver, table, DATA, parts=None)
    assert_same_table(read(driver, table), DATA)
    assert not staged(database)
