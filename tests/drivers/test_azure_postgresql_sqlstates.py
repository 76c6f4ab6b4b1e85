"""What PostgreSQL says by code, a user hears in our words: each class that our statements can meet."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

import pytest

from datastores import Datastore
from datastores.drivers.writing import WriteRequest
from datastores.errors import (
    AlreadyExistsError,
    AuthenticationError,
    ConfigurationError,
    ConflictError,
    ConnectionFailedError,
    DataError,
    DatastoreError,
    DriverError,
    NotFoundError,
    OperationTimeoutError,
    PermissionDeniedError,
    PreconditionFailedError,
    RateLimitedError,
    SchemaMismatchError,
    UnsupportedOperationError,
)
from datastores.testing.table_case import write
from datastores.values import WriteMode
from tests.drivers.test_azure_postgresql import config_of, staged
from tests.drivers.test_azure_postgresql_failures import DATA, ORDERS, driver_of
from tests.services.postgresql import Database

WAIT_SECONDS = 30.0
# https://www.postgresql.org/docs/current/errcodes-appendix.html
OUTCOMES: Mapping[type[DatastoreError], str] = {
    AlreadyExistsError: "42710 42P06 42P07",
    AuthenticationError: "28000 28P01",
    ConfigurationError: "42601 42883 42P10 54001 54023",
    ConflictError: "40000 40001 40P01 55006 72000",
    ConnectionFailedError: (
        "08000 08001 08003 08004 08006 08007 08P01 25P03 26000 40003 57P01 57P02 57P03 57P05"
    ),
    DataError: "21000 22000 22003 22008 22012 22021 22P02 22P03 22P04 22P05 23502 54000",
    DriverError: (
        "03000 25000 25P02 38000 39000 53000 53100 53400 57000 58000 58030 58P01 F0000 HV000 XX000 XX001 XX002"
    ),
    NotFoundError: "0P000 3D000 3F000 42704 42P01 57P04",
    OperationTimeoutError: "25P04 55P03 57014",
    PermissionDeniedError: "0L000 0LP01 25006 42501",
    PreconditionFailedError: "23000 23001 23503 23505 23514 23P01 27000 2BP01 40002 44000 55000 P0001",
    RateLimitedError: "53200 53300",
    SchemaMismatchError: "42703 42804 42846 54011",
    UnsupportedOperationError: "0A000",
}
TRANSIENT = {ConflictError, ConnectionFailedError, OperationTimeoutError, RateLimitedError}


def test_each_code_has_an_outcome(database: Database) -> None:
    database.run(
        """
        CREATE FUNCTION planted(code text) RETURNS integer LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'planted %', code USING ERRCODE = code; END $$
        """
    )
    wrong = []
    with Datastore.from_config(config_of(database.owner)) as store:
        for kind, codes in OUTCOMES.items():
            for code in codes.split():
                with pytest.raises(DatastoreError, match=f"planted {code}") as caught:
                    store.query("SELECT planted(:code) AS nothing", {"code": code}).to_arrow()
                error = caught.value
                if type(error) is not kind or error.transient is not (kind in TRANSIENT):
                    wrong.append((code, type(error).__name__, kind.__name__))
                assert (error.driver, error.operation) == ("azure_postgresql", "read"), code
    assert not wrong


@pytest.mark.parametrize(
    ("setting", "then", "kind"),
    [
        ("deadlock_timeout", "SELECT job FROM _datastores.jobs FOR UPDATE", ConflictError),
        ("lock_timeout", "SELECT pg_sleep(1)", OperationTimeoutError),
    ],
    ids=["deadlock", "lock-timeout"],
)
def test_a_publish_in_anothers_way(
    database: Database, setting: str, then: str, kind: type[DatastoreError]
) -> None:
    role, name = database.owner.username, database.owner.database
    with driver_of(database.owner) as driver:
        write(driver, ORDERS, DATA)
    if setting == "lock_timeout":
        database.run(f'ALTER ROLE "{role}" IN DATABASE "{name}" SET lock_timeout = 200')
    locked = threading.Event()

    def others() -> None:
        with database.owner.connect(autocommit=False) as other:
            other.execute("SET LOCAL lock_timeout = 0")
            other.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
            locked.set()
            deadline = time.monotonic() + WAIT_SECONDS
            waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'relation' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            while not database.run(waiting) and time.monotonic() < deadline:
                time.sleep(0.02)
            other.execute(then.encode())

    with driver_of(database.owner) as driver:
        session = driver.begin(
            WriteRequest(table=ORDERS, schema=DATA.schema, mode=WriteMode.APPEND)
        )
        receipt = session.write("0", DATA.to_reader())
        thread = threading.Thread(target=others)
        thread.start()
        assert locked.wait(WAIT_SECONDS)
        with pytest.raises(kind) as caught:
            session.publish([receipt])
        thread.join()
        assert type(caught.value) is kind
        assert caught.value.transient
        assert database.run("SELECT count(*) FROM orders") == [(3,)]
        session.publish([receipt])
        session.discard()
    assert database.run("SELECT count(*) FROM orders") == [(6,)]
    assert not staged(database)


def test_a_database_that_takes_no_more_connections(database: Database) -> None:
    database.run(f'ALTER DATABASE "{database.owner.database}" CONNECTION LIMIT 0')
    with driver_of(database.owner) as driver, pytest.raises(RateLimitedError) as caught:
        driver.tables()
    assert caught.value.transient
    assert "fewer workers" in str(caught.value)
