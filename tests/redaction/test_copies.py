"""What is shown, sent and left of copies: interrupted, gone on from, in other processes, by Dask."""

from __future__ import annotations

import multiprocessing
import tempfile
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from urllib.parse import unquote

import dask
import psutil
import pytest
from distributed import Client, LocalCluster
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import datastores
from datastores import Datastore
from datastores.bridges import file_reads
from datastores.cli import main
from tests.redaction.conftest import (
    CLIENT_SECRET,
    PASSWORD,
    Served,
    everything_logged,
    planted_database,
)
from tests.redaction.planted import Planted, files_below, found
from tests.redaction.scene import ROWS, Listening, Scene, Services, removed_files_kept
from tests.services.azurite import Azurite
from tests.services.postgresql import OwnServer, PostgreSQL

_LIMIT_BYTES = 1 << 40
TABLE, LAKE = "datastore://warehouse/public/orders", "datastore://lake/orders/"
COMMANDS = (
    "stores",
    "stores --json",
    "check",
    "check --json",
    "check stranger",
    "explain warehouse",
    "explain stranger",
    "explain signed --json",
    "secrets check",
    "secrets check --json",
    "jobs list",
    "jobs list --json",
    "ls datastore://signed/",
    "head datastore://warehouse/public/orders",
    "tables stranger",
    "tables stranger --json",
    "cp datastore://warehouse/public/orders datastore://lake/again.parquet",
    "cp datastore://warehouse/public/orders datastore://lake/again.parquet --json",
    "cp datastore://signed/orders/ datastore://scratch/main/again --dry-run",
    "diff datastore://warehouse/public/orders datastore://lake/orders/",
    "query warehouse select.nothing",
    "cat datastore://signed/missing",
    "--help",
    "cp --help",
)


@pytest.fixture(scope="module")
def secrets(azurite_server: Azurite) -> tuple[Planted, ...]:
    azurite_server.start()
    sas = azurite_server.sas()
    signature = unquote(sas.partition("sig=")[2].partition("&")[0])
    return (
        *(PASSWORD, CLIENT_SECRET, Planted("account key", azurite_server.account_key)),
        Planted("SAS", sas, signature),
    )


def commanded(scene: Scene, patch: pytest.MonkeyPatch) -> None:
    """Run each command, with the tracebacks of those that fail."""
    patch.setenv("DATASTORES_FILE", str(scene.path))
    patch.setenv("DATASTORES_DEBUG", "1")
    for words in COMMANDS:
        with redirect_stdout(StringIO()) as told, redirect_stderr(told):
            main(words.split())
        scene.places.note(f"$ {words}", told.getvalue())


@pytest.fixture(scope="module")
def scene(
    secrets: tuple[Planted, ...],
    served: Served,
    postgresql_server: PostgreSQL,
    azurite_server: Azurite,
    exporter: InMemorySpanExporter,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Scene]:
    """All that is told of copies between a database, an account and a file, in all their states."""
    folder = tmp_path_factory.mktemp("scene")
    (folder / "tmp").mkdir()
    vault, tenant = served
    password, _, key, sas = secrets
    vault.put("pg", password.value)
    vault.put("key", key.value)
    # Warned about.
    vault.put("sas", sas.value, exp=1_700_000_000)
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("SP", CLIENT_SECRET.value)
        patch.setattr(tempfile, "tempdir", str(folder / "tmp"))
        patch.setattr(file_reads, "MAX_SPLIT_BYTES", 1)
        services = Services(
            vault=vault,
            tenant=tenant,
            postgresql=postgresql_server,
            database=stack.enter_context(planted_database(postgresql_server)),
            azurite=azurite_server,
            container=stack.enter_context(azurite_server.container()).container_name,
        )
        scene = Scene(services, folder)
        records = stack.enter_context(everything_logged())
        stack.enter_context(removed_files_kept(folder, scene.places))
        warned = stack.enter_context(warnings.catch_warnings(record=True))
        warnings.simplefilter("always")
        exporter.clear()
        played(scene, folder)
        commanded(scene, patch)
        scene.workspace.close()
        spans = exporter.get_finished_spans()
        scene.places.note("spans", "".join(one.to_json() for one in spans))
        scene.places.note("logs", "\n".join(records.texts))
        scene.places.note("loggers", repr(sorted(records.loggers)))
        scene.places.note("warnings", repr([vars(one) for one in warned]))
        scene.places.update(files_below(folder))
        if isinstance(server := postgresql_server.server, OwnServer):
            log = (server.process.folder / "server.log").read_text(errors="replace")
            scene.places.note("server log", log)
        yield scene


def played(scene: Scene, folder: Path) -> None:
    """Copy there and back, each time with an interruption, then by other executors."""
    stores = scene.workspace
    stores["warehouse"].write_table("public.orders", ROWS)
    scene.copy(TABLE, LAKE, stop_after=1)
    scene.look_at_jobs("lake")
    scene.copy(TABLE, LAKE, verify=True)
    back = ("datastore://signed/orders/", "datastore://warehouse/public/back")
    scene.copy(*back, stop_after=1)
    scene.look_at_jobs("warehouse")
    scene.copy(*back)
    here = (LAKE, "datastore://scratch/main/orders")
    scene.copy(*here, stop_after=1)
    scene.places.update(files_below(folder))
    scene.copy(*here)
    with ThreadPoolExecutor(2) as threads:
        listening = Listening(threads)
        scene.copy(TABLE, "datastore://signed/threads/", executor=listening)
        scene.places.note("sent", b"".join(listening.sent))
    with (
        # Of the limit, one byte: whatever a worker holds is written to disk at once.
        dask.config.set({"distributed.worker.memory.target": 1 / _LIMIT_BYTES}),
        LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=1,
            processes=False,
            protocol="tcp",
            host="127.0.0.1",
            dashboard_address=None,
            memory_limit=_LIMIT_BYTES,
            local_directory=str(folder / "tmp"),
        ) as cluster,
        Client(cluster) as client,  # type: ignore[no-untyped-call]
    ):
        listening = Listening(client.get_executor())
        scene.copy(TABLE, "datastore://lake/dask/", executor=listening)
        scene.places.note("sent to Dask", b"".join(listening.sent))


TOLD = (
    *(
        "plan",
        "progress",
        "report",
        "report, JSON",
        "report, HTML",
        "interrupted",
        "spans",
        "logs",
        "warnings",
    ),
    *("jobs of lake", "jobs of warehouse", "blob", "staging", "pg_stat_activity", "processes"),
    *("sent", "sent to Dask", "removed"),
)


# One test, since each process that runs one plays the scene.
def test_no_copy_tells_a_secret(scene: Scene, secrets: tuple[Planted, ...]) -> None:
    for place in TOLD:
        told = [text for name, text in scene.places.items() if name.startswith(place)]
        assert any(len(text) > 20 for text in told), place
    assert all(scene.places[f"$ {words}"] for words in COMMANDS)
    spilled = [name for name in scene.places if "/dask-scratch-space/" in name]
    assert any("/storage/" in name for name in spilled), spilled
    for ending in (".receipt", "scratch.duckdb"):
        assert any(name.endswith(ending) for name in scene.places), ending
    for package in ("azure", "datastores", "distributed", "msal", "urllib3"):
        assert package in str(scene.places["loggers"])
    places = dict(scene.places)
    if log := str(places.pop("server log", "")):
        assert "statement: BEGIN" in log
        # What the tests' admin says when it makes the role is no statement of ours.
        ours = [line for line in log.splitlines() if "CREATE ROLE" not in line]
        places["server log"] = "\n".join(ours)
    assert not found(secrets, places)


def test_processes_are_given_no_secret(
    secrets: tuple[Planted, ...], azurite: Azurite, tmp_path: Path
) -> None:
    """Neither as arguments nor in an environment beyond what they inherit."""
    [key] = [one for one in secrets if one.kind == "account key"]
    (tmp_path / "key").write_text(key.value)
    seen: dict[str, bytes] = {}
    with (
        azurite.container() as container,
        Datastore(
            "azure_blob",
            account_name=azurite.account_name,
            account_url=azurite.account_url,
            container_name=container.container_name,
            account_key=f"file:{tmp_path}/key",
        ) as lake,
        # Not forked: this process has threads.
        ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool,
    ):
        lake.write_table("in/", ROWS, rows_per_file=1_000)
        datastores.copy(lake / "in/", lake / "out/", types={"id": "int32"}, executor=pool)
        for one in psutil.Process().children(recursive=True):
            folder = Path(f"/proc/{one.pid}")
            seen |= {
                f"{one.pid} {name}": (folder / name).read_bytes() for name in ("cmdline", "environ")
            }
    assert sum(b"spawn" in text for text in seen.values()) >= 2
    assert not found([key], seen)
