"""What a killed process left staged is removed by one call; what still runs is left alone."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pytest

from datastores import Datastore, Workspace
from datastores.cli import main
from datastores.drivers.writing import WriteRequest
from datastores.errors import UnsupportedOperationError
from datastores.testing.table_case import write
from datastores.values import WriteMode
from tests.drivers.test_azure_postgresql import staged
from tests.drivers.test_azure_postgresql_failures import DATA, ORDERS, driver_of
from tests.services.postgresql import Database

T = TypeVar("T")

WAIT_SECONDS = 30.0
KILLED = """
import sys, time
import pyarrow as pa
from datastores import Workspace
from datastores.drivers.writing import WriteRequest
from datastores.values import TableName, WriteMode

def batches():
    yield pa.record_batch({"id": [1], "word": ["killed"]})
    print("staging", flush=True)
    time.sleep(600)

with Workspace.load(sys.argv[1]) as workspace:
    schema = pa.schema({"id": pa.int64(), "word": pa.string()})
    driver = workspace["warehouse"].tabular
    table = TableName("orders", "public")
    session = driver.begin(WriteRequest(table=table, schema=schema, mode=WriteMode.APPEND, job="killed"))
    session.write("0", pa.table({"id": [0], "word": ["staged"]}).to_reader())
    if sys.argv[2] == "published":
        session.publish([])
    session.write("1", pa.RecordBatchReader.from_batches(schema, batches()))
"""


@pytest.fixture
def workspace_file(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    login = database.owner
    monkeypatch.setenv("PG_PASSWORD", login.password)
    file = tmp_path / "datastores.yaml"
    file.write_text(
        f"""
        datastores:
          files: {{type: local, path: {tmp_path}}}
          warehouse:
            type: azure_postgresql
            server_name: {login.host}
            port: {login.port}
            database_name: {login.database}
            ca_bundle: {login.ca_file}
            credentials: {{username: {login.username}, password: "env:PG_PASSWORD"}}
        """
    )
    with driver_of(login) as driver:
        write(driver, ORDERS, DATA)
    return file


@contextmanager
def writing(file: Path, moment: str = "staged") -> Iterator[subprocess.Popen[str]]:
    """Run a process that is in the middle of a write, and kill it at the end."""
    command = [sys.executable, "-c", KILLED, str(file), moment]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "staging\n"
            yield process
        finally:
            process.kill()


def abandon(database: Database, job: str = "killed") -> None:
    """Leave a job as a process does that goes away without a word."""
    with driver_of(database.owner) as driver:
        driver.begin(
            WriteRequest(table=ORDERS, schema=DATA.schema, mode=WriteMode.APPEND, job=job)
        ).write("0", DATA.to_reader())


def until(look: Callable[[], T]) -> T:
    """Return what a look finds at last: the server takes a moment to notice a death."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


@pytest.mark.parametrize("moment", ["staged", "published"])
def test_what_a_killed_write_left_is_removed_and_a_live_one_stays(
    database: Database, workspace_file: Path, moment: str
) -> None:
    with Workspace.load(workspace_file) as workspace:
        warehouse = workspace["warehouse"]
        assert list(warehouse.clean()) == []
        with writing(workspace_file, moment):
            # It lives, in another process; and so does one of this process.
            session = warehouse.tabular.begin(
                WriteRequest(table=ORDERS, schema=DATA.schema, mode=WriteMode.APPEND, job="live")
            )
            assert list(warehouse.clean()) == []
            receipt = session.write("0", DATA.to_reader())
        [leftover] = until(warehouse.clean)
        assert list(warehouse.clean()) == []
        assert any(name.startswith("rows_live") for name in staged(database))
        session.publish([receipt])
        session.discard()
    assert (leftover.job, leftover.target) == ("killed", "public.orders")
    # What was published without receipts counts none.
    assert (leftover.bytes > 0) == (moment == "staged")
    assert (datetime.now(UTC) - leftover.began).total_seconds() < WAIT_SECONDS
    assert not staged(database)
    assert database.run("SELECT count(*) FROM orders") == [(6,)]


def test_the_command_shows_what_it_removed(
    database: Database, workspace_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*words: str) -> str:
        assert (
            main(["jobs", "clean", "--store", "warehouse", "--file", str(workspace_file), *words])
            == 0
        )
        return capsys.readouterr().out

    def removed(*words: str) -> str:
        return until(lambda: found if "killed" in (found := run(*words)) else "")

    assert "no job" in run()
    abandon(database)
    table = removed()
    assert "public.orders" in table
    assert "writing" in table
    assert run("--json") == ""
    abandon(database)
    record = json.loads(removed("--json"))
    assert (record["store"], record["job"]) == ("warehouse", "killed")
    assert not staged(database)


def test_another_roles_leftovers_are_left_alone(database: Database) -> None:
    with driver_of(database.owner) as driver:
        write(driver, ORDERS, DATA)
    abandon(database)
    database.run(f'GRANT USAGE ON SCHEMA _datastores TO "{database.clerk.username}"')
    database.run(f'GRANT SELECT ON _datastores.jobs TO "{database.clerk.username}"')
    with driver_of(database.clerk) as clerk:
        assert clerk.clean() == []
    with driver_of(database.owner) as owner:
        assert until(owner.clean)


def test_a_store_that_keeps_no_book_says_so(tmp_path: Path) -> None:
    store = Datastore("local", path=str(tmp_path))
    with pytest.raises(UnsupportedOperationError, match="no clean without a job"):
        store.clean()
