"""Parts in other processes: any executor, no secret on the way, and whatever becomes of a worker."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import shutil
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from azure.storage.blob import ContainerClient
from distributed import Client, LocalCluster
from typing_extensions import override

import datastores
from datastores import Datastore, Workspace
from datastores.bridges import file_reads
from datastores.cli import main
from datastores.errors import (
    ConfigurationError,
    ConnectionFailedError,
    DataError,
    UnsupportedOperationError,
)
from datastores.transfer import CopyReport, PartProgress, executors
from datastores.transfer.executors import check_executor
from tests.drivers.test_azure_postgresql import staged
from tests.services.azurite import Azurite
from tests.services.postgresql import Database
from tests.transfer.struck_parts import Call, dying, failing, failing_once, held

ROWS, FILES = 4_000, 4
NEW = pa.table({"id": range(ROWS), "word": [f"row {number} " * 5 for number in range(ROWS)]})


@pytest.fixture(scope="module")
def processes() -> Iterator[ProcessPoolExecutor]:
    # Not forked: this process has threads.
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


@pytest.fixture(scope="module")
def dask() -> Iterator[Executor]:
    with (
        LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=2,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0",
        ) as cluster,
        Client(cluster) as client,  # type: ignore[no-untyped-call]
    ):
        yield client.get_executor()


@pytest.fixture
def executor(kind: str, request: pytest.FixtureRequest) -> Iterator[Executor]:
    if kind == "threads":
        with ThreadPoolExecutor(2) as pool:
            yield pool
    else:
        yield request.getfixturevalue(kind)


@pytest.fixture
def workspace(
    database: Database, azurite: Azurite, blob_container: ContainerClient, tmp_path: Path
) -> Iterator[Workspace]:
    """Stores that other processes reach: their secrets are in files."""
    login = database.owner
    secrets = {"password": login.password, "account_key": azurite.account_key}
    for name, value in secrets.items():
        (tmp_path / name).write_text(value)
    stores = {
        "warehouse": {
            "type": "azure_postgresql",
            "server_name": login.host,
            "port": login.port,
            "database_name": login.database,
            "ca_bundle": str(login.ca_file),
            "credentials": {"username": login.username, "password": f"file:{tmp_path}/password"},
        },
        "lake": {
            "type": "azure_blob",
            "account_name": azurite.account_name,
            "account_url": azurite.account_url,
            "container_name": blob_container.container_name,
            "credentials": {"account_key": f"file:{tmp_path}/account_key"},
        },
        "files": {"type": "local", "path": str(tmp_path / "files")},
        "cache": {"type": "memory"},
    }
    with Workspace.from_mapping({"datastores": stores}) as workspace:
        yield workspace


@pytest.fixture
def parted(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A folder of four files, each of which is a part."""
    monkeypatch.setattr(file_reads, "MAX_SPLIT_BYTES", 1)
    workspace["files"].write_table("in/", NEW, rows_per_file=ROWS // FILES)
    return workspace


class Passing(Executor):
    """An executor of no known kind, that passes on what it is given, changed."""

    def __init__(self, inner: Executor, change: Callable[[int, Any], Any]) -> None:
        self.inner = inner
        self._change = change
        self.futures: list[Future[Any]] = []

    @override
    def submit(self, fn: Any, /, *arguments: Any, **words: Any) -> Future[Any]:
        call = self._change(len(self.futures) + 1, fn)
        self.futures.append(self.inner.submit(call, *arguments, **words))
        return self.futures[-1]


def copied(workspace: Workspace, target: str, *, workers: int = 1, **options: Any) -> CopyReport:
    """Copy the folder as rows: without a word about its columns files are copied as they are."""
    return datastores.copy(
        *("datastore://files/in/", f"datastore://{target}"),
        workspace=workspace,
        types={"id": "int64"},
        workers=workers,
        **options,
    )


def rows_of(table: pa.Table) -> list[Any]:
    return sorted(zip(*(column.to_pylist() for column in table.columns), strict=True))


def scanned(workspace: Workspace, store: str, path: str) -> list[Any]:
    return rows_of(workspace[store].scan(path).to_arrow())


@pytest.mark.parametrize("kind", ["threads", "processes", "dask"])
def test_rows_go_out_and_come_back(
    workspace: Workspace, database: Database, executor: Executor, kind: str
) -> None:
    database.run(
        f"CREATE TABLE orders AS SELECT n AS id, 'word ' || n AS word FROM generate_series(1, {ROWS}) n"
    )
    told: list[PartProgress] = []
    report = datastores.copy(
        *(workspace["warehouse"] / "public/orders", workspace["lake"] / "orders/"),
        executor=executor,
        workers=2,
        verify=True,
        progress=told.append,
    )
    assert (report.rows, report.parts, report.retries) == (ROWS, 2, 0)
    assert report.digest
    assert sum(one.rows for one in told if one.done) == ROWS
    for one in report.part_reports:
        assert 0 <= one.began_seconds < one.ended_seconds <= report.seconds
        own = one.worker == f"{socket.gethostname()}:{os.getpid()}"
        assert not own
        assert one.worker.startswith(
            {"dask": "dask ", "processes": socket.gethostname()}.get(kind, "")
        )
    # One statement takes the parts in, and no session of this process could have written them.
    back = datastores.copy(
        *(workspace["lake"] / "orders/", workspace["warehouse"] / "public/back"),
        executor=executor,
        workers=2,
        verify=True,
    )
    assert back.rows == ROWS
    differ = "SELECT * FROM orders EXCEPT ALL SELECT * FROM back"
    assert database.run(f"SELECT count(*) FROM ({differ}) AS differ") == [(0,)]
    assert not staged(database)


def test_files_go_as_they_are(workspace: Workspace, processes: Executor) -> None:
    for number in range(3):
        workspace["files"].write(f"raw/{number}", bytes(range(256)) * 1000)
    ends = workspace["files"] / "raw/", workspace["lake"] / "raw/"
    report = datastores.copy(*ends, executor=processes, verify=True)
    assert report.files == 3
    assert workspace["lake"].read("raw/2") == bytes(range(256)) * 1000


def test_a_table_that_exists_is_written_by_other_processes(
    parted: Workspace, processes: Executor, database: Database
) -> None:
    """Alone one worker would fill it, in a transaction of its own."""
    parted["warehouse"].write_table("public.orders", NEW.slice(0, 1))
    ends = parted["files"] / "in/", parted["warehouse"] / "public/orders"
    report = datastores.copy(*ends, executor=processes, mode="append")
    assert report.parts == FILES
    assert scanned(parted, "warehouse", "public.orders") == rows_of(
        pa.concat_tables([NEW, NEW.slice(0, 1)])
    )


def test_no_secret_goes_to_another_process(
    parted: Workspace, database: Database, azurite: Azurite
) -> None:
    parted["warehouse"].write_table("public.orders", NEW)
    sent: list[bytes] = []

    def note(_: int, call: Any) -> Any:
        sent.append(pickle.dumps(call))
        return pickle.loads(sent[-1])

    with ThreadPoolExecutor(1) as pool:
        for source, target in (
            ("files/in/", "warehouse/public/back"),
            ("warehouse/public/orders", "lake/rows/"),
            ("lake/rows/", "lake/files/"),
        ):
            datastores.copy(
                f"datastore://{source}",
                f"datastore://{target}",
                workspace=parted,
                executor=Passing(pool, note),
                workers=2,
            )
    assert len(sent) >= FILES + 2 + 1
    for secret in (database.owner.password, azurite.account_key):
        assert not [one for one in sent if secret.encode() in one]


def test_what_cannot_go_to_another_process_is_refused_before_anything_is_staged(
    workspace: Workspace, database: Database, processes: Executor, tmp_path: Path
) -> None:
    workspace["cache"].write_table("in/", NEW)
    workspace["files"].write_table("in/", NEW)
    login = database.owner
    config = {**workspace["warehouse"].config.to_mapping(), "credentials": {
        "username": login.username, "password": f"literal:{login.password}"
    }}  # fmt: skip
    stores = {"files": {"type": "local", "path": str(tmp_path / "files")}}
    stores["literal"] = {"type": "postgresql", **config}
    with Workspace.from_mapping({"datastores": stores}) as literal:
        ends = literal["files"] / "in/", literal["literal"] / "public/orders"
        with pytest.raises(ConfigurationError, match=r"password .* is a literal secret") as caught:
            datastores.copy(*ends, executor=processes)
        assert caught.value.store == "literal"
        assert "env:NAME" in str(caught.value)
        assert login.password not in str(caught.value)
        with ThreadPoolExecutor(1) as threads:
            assert datastores.copy(*ends, executor=threads).rows == ROWS
    cached = workspace["cache"] / "in/", workspace["files"] / "out/"
    with pytest.raises(UnsupportedOperationError, match="memory datastore") as refused:
        datastores.plan_copy(*cached, executor=processes)
    assert refused.value.store == "cache"
    with pytest.raises(ConfigurationError, match="a str is not an executor"):
        datastores.copy(*cached, executor="dask")  # type: ignore[arg-type]
    assert not workspace["files"].exists("_datastores")
    assert not staged(database)


class Twice(Passing):
    """Runs each call twice at once, and takes what the second one returns."""

    @override
    def submit(self, fn: Any, /, *arguments: Any, **words: Any) -> Future[Any]:
        self.inner.submit(fn)
        return self.inner.submit(fn)


@pytest.mark.parametrize("target", ["warehouse/public/back", "files/out/"])
def test_a_part_that_two_processes_run_at_once_counts_once(
    parted: Workspace, database: Database, processes: Executor, target: str
) -> None:
    twice = Twice(processes, lambda _, call: call)
    report = copied(parted, target, executor=twice, workers=2, verify=True)
    assert report.rows == ROWS
    store, _, path = target.partition("/")
    assert scanned(parted, store, path.replace("public/", "public.")) == rows_of(NEW)
    assert not staged(database)


@pytest.mark.parametrize("target", ["warehouse/public/back", "files/out/"])
def test_the_same_call_goes_on_when_a_process_was_killed(
    parted: Workspace, database: Database, target: str, tmp_path: Path
) -> None:
    def strike(number: int, call: Any) -> Any:
        return Call(dying, call, tmp_path / "died") if number == 3 else call

    spawn = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(1, mp_context=spawn) as pool,
        pytest.raises(ConnectionFailedError, match=r"lost a worker.*BrokenProcessPool") as lost,
    ):
        copied(parted, target, executor=Passing(pool, strike))
    assert "2 of 4 parts are safe: the same call goes on" in lost.value.__notes__[0]
    store, _, path = target.partition("/")
    with ThreadPoolExecutor(1) as threads:
        report = copied(parted, target, executor=Passing(threads, lambda _, call: call))
    assert report.parts_kept == 2
    assert scanned(parted, store, path.replace("public/", "public.")) == rows_of(NEW)
    assert not staged(database)


def test_dask_runs_the_part_of_a_killed_worker_again(
    parted: Workspace, database: Database, dask: Executor, tmp_path: Path
) -> None:
    def strike(number: int, call: Any) -> Any:
        return Call(dying, call, tmp_path / "died") if number == 2 else call

    report = datastores.copy(
        *(parted["files"] / "in/", parted["warehouse"] / "public/orders"),
        executor=Passing(dask, strike),
        workers=2,
        verify=True,
    )
    assert (tmp_path / "died").exists()
    assert report.rows == ROWS
    assert scanned(parted, "warehouse", "public.orders") == rows_of(NEW)
    assert not staged(database)


def test_an_error_in_another_process_is_the_same_here(
    parted: Workspace, processes: Executor
) -> None:
    inside = Passing(processes, lambda _, call: Call(failing))
    with pytest.raises(DataError) as caught:
        copied(parted, "files/out/", executor=inside)
    assert (str(caught.value), caught.value.store) == ("no. Look", "files")
    assert not parted["files"].exists("_datastores/")


class Lost(Executor):
    """Takes calls, and loses them with its workers."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], Any]] = []

    @override
    def submit(self, fn: Any, /, *arguments: Any, **words: Any) -> Future[Any]:
        self.calls.append(fn)
        future: Future[Any] = Future()
        future.set_exception(BrokenExecutor("gone"))
        return future


@pytest.mark.parametrize("target", ["warehouse/public/back", "files/out/"])
def test_a_worker_that_was_given_up_stages_nothing_for_a_later_call(
    parted: Workspace, database: Database, target: str, tmp_path: Path
) -> None:
    lost = Lost()
    with pytest.raises(ConnectionFailedError):
        copied(parted, target, executor=lost)
    # The source changes meanwhile, and the straggler still reads what it was.
    source, old, new = (tmp_path / "files" / one for one in ("in", "old", "new"))
    shutil.move(source, old)
    changed = pa.table({"id": NEW["id"], "word": ["changed"] * ROWS})
    parted["files"].write_table("in/", changed, rows_per_file=ROWS // FILES)
    outcomes: list[Any] = []

    def after_a_straggler(number: int, call: Any) -> Any:
        def run() -> Any:
            shutil.move(source, new)
            shutil.move(old, source)
            outcomes.append(lost.calls[0]())
            shutil.move(source, old)
            shutil.move(new, source)
            return call()

        return run if number == 1 else call

    with ThreadPoolExecutor(1) as pool:
        report = copied(parted, target, executor=Passing(pool, after_a_straggler))
    assert outcomes[0].receipt.rows == ROWS // FILES
    assert report.retries == 1
    store, _, path = target.partition("/")
    assert scanned(parted, store, path.replace("public/", "public.")) == rows_of(changed)


@pytest.mark.parametrize("target", ["warehouse/public/back", "files/out/"])
def test_a_copy_that_ends_early_waits_for_no_process(
    parted: Workspace,
    processes: Executor,
    database: Database,
    target: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(executors, "PATIENCE_SECONDS", 0.1)
    began, over = tmp_path / "began", tmp_path / "over"

    def change(number: int, call: Any) -> Any:
        return Call(held, call, began, over) if number == 1 else Call(failing_once, began)

    inside = Passing(processes, change)
    try:
        with pytest.raises(DataError, match="no"):
            copied(parted, target, executor=inside, workers=2)
        assert not inside.futures[0].done()
    finally:
        over.touch()
    assert not staged(database)
    # What it stages, if it still can, is nobody's.
    inside.futures[0].result()
    assert len(inside.futures) == 2
    assert not parted[target.partition("/")[0]].exists(target.partition("/")[2])
    assert not staged(database)


def test_a_process_opens_a_store_once(workspace: Workspace) -> None:
    driver = workspace["warehouse"].driver
    sent = pickle.dumps(driver)
    here, again = pickle.loads(sent), pickle.loads(sent)
    assert here is again is not driver
    assert pickle.loads(pickle.dumps(workspace["lake"].driver)) is not here


def test_the_command_line_lets_a_cluster_copy(
    parted: Workspace, dask: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "datastores.yaml"
    file.write_text(f"datastores:\n  files: {{type: local, path: {tmp_path / 'files'}}}\n")
    words = [
        "cp",
        "datastore://files/in/",
        "datastore://files/out.jsonl",
        "--json",
        "-f",
        str(file),
    ]
    address = dask._client.scheduler.address
    assert main([*words, "--dask", address]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["rows"] == ROWS
    assert all(one["worker"].startswith("dask ") for one in report["part_reports"])
    assert main([*words, "--dask", "nonsense://x"]) == 2
    assert "no address of a Dask scheduler" in capsys.readouterr().err


def test_the_command_line_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    file = tmp_path / "datastores.yaml"
    file.write_text(f"datastores:\n  files: {{type: local, path: {tmp_path}}}\n")
    words = ["cp", "datastore://files/a", "datastore://files/b", "-f", str(file)]
    assert main([*words, "--dask", "tcp://127.0.0.1:8786"]) == 1
    assert "pip install 'datastores[dask]'" in capsys.readouterr().err


class Credential:
    """What an identity is in code; with a lock, as theirs are."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def get_token(self, *scopes: str) -> Any:
        raise NotImplementedError


def test_a_credential_that_does_not_pickle_is_refused(
    parted: Workspace, processes: Executor, azurite: Azurite
) -> None:
    with (
        Datastore(
            type="azure_blob",
            account_name=azurite.account_name,
            container_name="none",
            identity=Credential(),
        ) as store,
        pytest.raises(ConfigurationError, match="goes to no other process"),
    ):
        check_executor(processes, {"lake": store.driver})
