"""PostgreSQL's server ends what we do, in the middle of it: the copy ends right, or one clear error."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pytest

import datastores
from datastores import Datastore
from datastores.drivers.azure_postgresql.client import Client
from datastores.drivers.reading import ScanRequest
from datastores.drivers.writing import WriteRequest
from datastores.errors import (
    ConfigurationError,
    ConnectionFailedError,
    DatastoreError,
    OperationTimeoutError,
    PreconditionFailedError,
)
from datastores.testing.arrow import assert_same_table
from datastores.testing.table_case import read, write
from datastores.transfer import PartProgress, meter
from datastores.values import WriteMode
from tests.drivers.test_azure_postgresql import config_of, staged
from tests.drivers.test_azure_postgresql_failures import DATA, ORDERS, driver_of
from tests.services.postgresql import Database, PostgreSQL
from tests.services.proxy import Faults, Proxy

WAIT_SECONDS = 30.0

# Which of our connections, as the server sees them.
READER = "query LIKE 'COPY (SELECT%' AND state = 'active'"
WRITER = "query LIKE 'COPY %FROM STDIN%' AND state = 'active'"
COORDINATOR = "state = 'idle in transaction' AND query NOT LIKE '%advisory%'"
PUBLISHER = "wait_event_type = 'Lock' AND query NOT LIKE '%advisory%'"


def found(database: Database, who: str) -> list[int]:
    """Return our backends that fit a condition."""
    return [
        pid
        for (pid,) in database.run(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'datastores' "
            f"AND datname = current_database() AND ({who})"
        )
    ]


def strike(database: Database, function: str, who: str) -> None:
    """Do something to each of our backends that fit, of which there is one at least."""
    pids = found(database, who)
    assert pids, who
    for pid in pids:
        database.run(f"SELECT {function}({pid})")


def large(rows: int = 200_000, width: int = 40) -> pa.Table:
    return pa.table({"id": pa.array(range(rows), pa.int64()), "word": ["w" * width] * rows})


@dataclass(frozen=True, slots=True, kw_only=True)
class Blow:
    """What happens once, in the middle of a copy."""

    name: str
    do: Callable[[Database, PostgreSQL, Proxy], None]
    survived: bool = True
    """Whether the copy ends right, by another attempt."""
    fields: tuple[tuple[str, Any], ...] = ()
    """Settings of the store."""


def restart(_: Database, server: PostgreSQL, __: Proxy) -> None:
    server.stop()
    server.start()


def terminate(who: str) -> Callable[[Database, PostgreSQL, Proxy], None]:
    return lambda database, *_: strike(database, "pg_terminate_backend", who)


def cancel(who: str) -> Callable[[Database, PostgreSQL, Proxy], None]:
    return lambda database, *_: strike(database, "pg_cancel_backend", who)


def cut(_: Database, __: PostgreSQL, between: Proxy) -> None:
    between.cut()


def wait(_: Database, __: PostgreSQL, ___: Proxy) -> None:
    time.sleep(3.0)


IN_PARTS = [
    Blow(name="reader cancelled", do=cancel(READER)),
    Blow(name="reader terminated", do=terminate(READER)),
    Blow(name="writer cancelled", do=cancel(WRITER)),
    Blow(name="writer terminated", do=terminate(WRITER)),
    Blow(name="snapshot's connection terminated", do=terminate(f"{COORDINATOR} OR {READER}"), survived=False),
    Blow(name="server restarted", do=restart, survived=False),
    Blow(name="network cut", do=cut, survived=False),
    Blow(name="statement timeout", do=wait, fields=(("statement_timeout_seconds", 2.5),)),
]  # fmt: skip
IN_PUBLISH = [
    Blow(name="cancelled", do=cancel(PUBLISHER)),
    Blow(name="terminated", do=terminate(PUBLISHER)),
    Blow(name="network cut", do=cut),
    Blow(name="statement timeout", do=wait, fields=(("statement_timeout_seconds", 2.5),)),
]


def by_name(blows: list[Blow]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("blow", blows, ids=lambda one: one.name.replace(" ", "-"))


@contextmanager
def store_of(database: Database, between: Proxy, blow: Blow) -> Iterator[Datastore]:
    login = replace(database.owner, port=between.port)
    with Datastore.from_config(config_of(login, **dict(blow.fields))) as store:
        yield store
    # Whatever happened: nothing of ours is left, in the schema or of connections.
    assert not staged(database)
    assert nothing_connected(database)


def nothing_connected(database: Database) -> bool:
    deadline = time.monotonic() + WAIT_SECONDS
    while found(database, "true"):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once, and tell the progress of every batch."""
    monkeypatch.setattr("datastores.retry.PAUSES_SECONDS", (0.01, 0.02))
    monkeypatch.setattr(meter, "MIN_INTERVAL_SECONDS", 0.0)


@by_name(IN_PARTS)
def test_a_blow_in_the_middle_of_a_part(
    postgresql: PostgreSQL,
    database: Database,
    proxy: Callable[[int], Proxy],
    blow: Blow,
    caplog: pytest.LogCaptureFixture,
) -> None:
    between = proxy(database.owner.port)
    # More than all buffers on the way hold: the server is in the middle of it too.
    source = large(4_000, width=8_000)
    with driver_of(database.owner) as driver:
        write(driver, replace(ORDERS, name="source"), source)
        write(driver, ORDERS, DATA)
    blows = iter([blow])

    def in_the_middle(progress: PartProgress) -> None:
        if progress.rows and not progress.done:
            for one in blows:
                one.do(database, postgresql, between)

    with store_of(database, between, blow) as store:

        def copy() -> datastores.transfer.CopyReport:
            return datastores.copy(
                store / "public/source",
                store / "public/orders",
                mode="replace",
                workers=1,
                progress=in_the_middle,
                verify=True,
            )

        if blow.survived:
            report = copy()
            assert report.retries >= 1
            assert sum(one.attempts - 1 for one in report.part_reports) == report.retries
            assert " retr" in str(report)
        else:
            with pytest.raises(ConnectionFailedError, match="snapshot") as caught:
                copy()
            assert caught.value.transient
            assert caught.value.target == "<azure_postgresql>/public.source"
            assert caught.value.advice
            assert caught.value.__notes__ == ["after 3 attempts"]
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    with driver_of(database.owner) as driver:
        if blow.survived:
            assert read(driver, ORDERS).sort_by("id").equals(source)
        else:
            assert_same_table(read(driver, ORDERS), DATA)


@by_name(IN_PUBLISH)
def test_a_blow_while_publishing(
    postgresql: PostgreSQL, database: Database, proxy: Callable[[int], Proxy], blow: Blow
) -> None:
    between = proxy(database.owner.port)
    with driver_of(database.owner) as driver:
        write(driver, ORDERS, DATA)
    more = pa.table({"id": [4], "word": ["d"]})

    def when_it_waits() -> None:
        with database.owner.connect(autocommit=False) as other:
            other.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
            locked.set()
            deadline = time.monotonic() + WAIT_SECONDS
            while not found(database, PUBLISHER) and time.monotonic() < deadline:
                time.sleep(0.02)
            blow.do(database, postgresql, between)

    with store_of(database, between, blow) as store:
        locked = threading.Event()
        session = store.tabular.begin(
            WriteRequest(table=ORDERS, schema=more.schema, mode=WriteMode.APPEND)
        )
        receipt = session.write("0", more.to_reader())
        thread = threading.Thread(target=when_it_waits)
        thread.start()
        assert locked.wait(WAIT_SECONDS)
        with pytest.raises(DatastoreError) as caught:
            session.publish([receipt])
        thread.join()
        assert caught.value.transient
        assert (caught.value.operation, caught.value.target) == ("publish", "public.orders")
        assert database.run("SELECT count(*) FROM orders") == [(3,)]
        session.publish([receipt])
        session.publish([receipt])
        session.discard()
    assert database.run("SELECT count(*) FROM orders") == [(4,)]


def test_rows_handed_to_a_loop_are_not_read_again(database: Database) -> None:
    with driver_of(database.owner) as driver:
        write(driver, ORDERS, large())
        with driver.plan_read(ScanRequest(table=ORDERS, batch_rows=1_000), 1) as plan:
            reader = driver.read(plan.splits[0])
            reader.read_next_batch()
            strike(database, "pg_terminate_backend", READER)
            with pytest.raises(ConnectionFailedError) as caught:
                reader.read_all()
        assert caught.value.transient


def test_a_read_is_made_again_before_its_first_batch(database: Database) -> None:
    def when_it_runs() -> None:
        while not found(database, READER):
            time.sleep(0.02)
        strike(database, "pg_terminate_backend", READER)

    request = ScanRequest(query="SELECT 1 AS one FROM pg_sleep(1)")
    with driver_of(database.owner) as driver, driver.plan_read(request, 1) as plan:
        thread = threading.Thread(target=when_it_runs)
        thread.start()
        assert driver.read(plan.splits[0]).read_all().num_rows == 1
        thread.join()


def test_a_snapshot_outlives_the_servers_limit_on_waiting_transactions(database: Database) -> None:
    with driver_of(database.owner) as driver:
        write(driver, ORDERS, DATA)
    database.run(
        f'ALTER ROLE "{database.owner.username}" IN DATABASE "{database.owner.database}" '
        "SET idle_in_transaction_session_timeout = '200ms'"
    )
    with (
        driver_of(database.owner) as driver,
        driver.plan_read(ScanRequest(table=ORDERS), 1) as plan,
    ):
        time.sleep(0.6)
        assert_same_table(driver.read(plan.splits[0]).read_all(), DATA, ordered=False)


def test_a_statement_takes_no_longer_than_the_config_says(database: Database) -> None:
    login = database.owner
    with Datastore.from_config(config_of(login, statement_timeout_seconds=0.2)) as store:
        began = time.monotonic()
        with pytest.raises(OperationTimeoutError, match="statement timeout"):
            store.query("SELECT pg_sleep(20)::text AS nothing").to_arrow()
        assert time.monotonic() - began < WAIT_SECONDS / 2
    with pytest.raises(ConfigurationError, match="no time"):
        config_of(login, statement_timeout_seconds=0)


def test_a_silent_network_is_noticed_within_90_seconds(database: Database) -> None:
    """What the kernel was told to do; only it can tell silence from a server that thinks."""
    names = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
    with (
        Client(config_of(database.owner)).connection("connect") as connection,
        socket.socket(fileno=os.dup(connection.fileno())) as one,
    ):
        idle, interval, count, unanswered = (
            one.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in names
        )
        assert one.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert idle + interval * count <= 90
    assert 0 < unanswered <= 90_000


def test_a_server_that_stops_in_the_middle_of_a_read(
    postgresql: PostgreSQL, database: Database
) -> None:
    with driver_of(database.owner) as driver:
        write(driver, ORDERS, large())
        with driver.plan_read(ScanRequest(table=ORDERS, batch_rows=1_000), 1) as plan:
            reader = driver.read(plan.splits[0])
            reader.read_next_batch()
            postgresql.stop()
            with pytest.raises(ConnectionFailedError) as caught:
                for _ in reader:
                    pass
            assert caught.value.transient
        postgresql.start()
        assert read(driver, ORDERS).num_rows == 200_000


@pytest.mark.parametrize("mode", [WriteMode.CREATE, WriteMode.REPLACE])
def test_a_server_that_stops_in_the_middle_of_a_write(
    postgresql: PostgreSQL, database: Database, mode: WriteMode
) -> None:
    with driver_of(database.owner) as driver:
        if mode != WriteMode.CREATE:
            write(driver, ORDERS, DATA)
        session = driver.begin(WriteRequest(table=ORDERS, schema=DATA.schema, mode=mode))
        first = session.write("0", DATA.to_reader())

        def batches() -> Iterator[pa.RecordBatch]:
            yield from large(50_000).to_batches()
            postgresql.stop()
            yield from large().to_batches()

        with pytest.raises(ConnectionFailedError):
            session.write("1", pa.RecordBatchReader.from_batches(DATA.schema, batches()))
        with pytest.raises(ConnectionFailedError):
            session.publish([first])
        postgresql.start()
        if mode == WriteMode.CREATE:
            # The table that is filled aside outlives a crash, with the parts that were finished.
            session.publish([first])
        else:
            # What was staged to be copied is gone, and that is known.
            with pytest.raises(PreconditionFailedError, match="write it again"):
                session.publish([first])
        session.discard()
        assert not staged(database)
        assert_same_table(read(driver, ORDERS), DATA)


@pytest.mark.parametrize("sent", [100, 40_000, 400_000])
def test_a_connection_reset_while_writing(
    database: Database, proxy: Callable[[int], Proxy], sent: int
) -> None:
    between = proxy(database.owner.port)
    with driver_of(replace(database.owner, port=between.port)) as driver:
        session = driver.begin(WriteRequest(table=ORDERS, schema=DATA.schema))
        # The connection of `begin` is dead, and the next one gets the faults.
        between.faults = Faults(reset_after_sent=sent)
        between.cut()
        with pytest.raises(ConnectionFailedError):
            session.write("0", large().to_reader())
        between.faults = Faults()
        receipt = session.write("0", DATA.to_reader())
        session.publish([receipt])
        session.discard()
        assert_same_table(read(driver, ORDERS), DATA)
    assert not staged(database)


def test_a_server_that_takes_nothing_is_sent_no_more_than_the_network_holds(
    database: Database, proxy: Callable[[int], Proxy]
) -> None:
    between = proxy(database.owner.port)
    handed = 0

    def batches() -> Iterator[pa.RecordBatch]:
        nonlocal handed
        batch = large(1_000, width=1_024).to_batches()[0]
        cutter.start()
        for _ in range(100):
            handed += 1
            yield batch

    def cut_once_it_stands() -> None:
        before = -1
        while before < handed:
            before = handed
            time.sleep(1.0)
        between.cut()

    with driver_of(replace(database.owner, port=between.port)) as driver:
        session = driver.begin(WriteRequest(table=ORDERS, schema=DATA.schema))
        between.faults = Faults(stall_after_sent=2**20)
        between.cut()
        cutter = threading.Thread(target=cut_once_it_stands)
        with pytest.raises(ConnectionFailedError):
            session.write("0", pa.RecordBatchReader.from_batches(DATA.schema, batches()))
        cutter.join()
        between.faults = Faults()
        session.discard()
    # A megabyte each; two sockets hold some of them.
    assert 1 < handed < 30


def test_a_server_that_has_much_to_say_while_it_is_written_to(database: Database) -> None:
    """It takes rows only while somebody reads its notices, of which there are 64 MB."""
    database.run("CREATE TABLE orders (id bigint, word text)")
    database.run(
        "CREATE FUNCTION say() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE NOTICE '%', repeat('n', 8000); RETURN NEW; END $$"
    )
    database.run("CREATE TRIGGER says BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION say()")
    data = large(8_000, width=2_000)
    with driver_of(database.owner) as driver:
        write(driver, ORDERS, data, mode=WriteMode.APPEND)
        assert_same_table(read(driver, ORDERS), data)


def test_a_reader_that_is_left_early_gives_its_connection_back(database: Database) -> None:
    with driver_of(database.owner) as driver:
        write(driver, ORDERS, large())
        with driver.plan_read(ScanRequest(table=ORDERS, batch_rows=100), 1) as plan:
            with driver.read(plan.splits[0]) as reader:
                reader.read_next_batch()
            del reader
        found = database.run(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'datastores' AND state <> 'idle'"
        )
        assert found == [(0,)]
