"""Stores whose secrets are in a vault, copies between them, and all that is told, sent and left."""

from __future__ import annotations

import json
import os
import pickle
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle  # type: ignore[import-untyped]
import psutil
import pyarrow as pa
import pytest
from psycopg import sql
from typing_extensions import override

import datastores
from datastores import Workspace
from datastores.transfer import CopyPlan, PartProgress
from tests.redaction.planted import shown, shown_error, without_callers
from tests.services.azurite import Azurite
from tests.services.entra import Tenant
from tests.services.key_vault import Vault
from tests.services.postgresql import Database, PostgreSQL

ROWS = pa.table({"id": range(2_000), "word": ["row " * 9] * 2_000})


class Listening(Executor):
    """Runs what another executor does, and keeps all that goes there and comes back."""

    def __init__(self, inner: Executor) -> None:
        self.inner = inner
        self.sent: list[bytes] = []

    @override
    def submit(self, fn: Any, /, *arguments: Any, **words: Any) -> Future[Any]:
        self.sent.append(cloudpickle.dumps((fn, arguments, words)))
        self.sent.append(shown((fn, arguments, words)).encode())
        future = self.inner.submit(fn, *arguments, **words)
        future.add_done_callback(self._came)
        return future

    def _came(self, future: Future[Any]) -> None:
        if not future.cancelled():
            self.sent.append(pickle.dumps(future.exception() or future.result()))


class Places(dict[str, str | bytes]):
    """Where secrets are looked for."""

    def note(self, name: str, content: Any) -> None:
        """Add all that is shown of a value, or a text or bytes as they are."""
        text = content if isinstance(content, str | bytes) else shown(content)
        before = self.get(name)
        self[name] = text if before is None else before + text  # type: ignore[operator]


@dataclass(kw_only=True)
class Services:
    """The servers that a scene plays on."""

    vault: Vault
    tenant: Tenant
    postgresql: PostgreSQL
    database: Database
    azurite: Azurite
    container: str


class Scene:
    """The stores of one workspace file, and what is told while they are used."""

    def __init__(self, services: Services, folder: Path) -> None:
        self.services = services
        self.places = Places()
        self.path = folder / "datastores.yaml"
        self.path.write_text(_workspace(services, folder))
        self.workspace = Workspace.load(self.path)

    def copy(self, source: str, target: str, *, stop_after: int | None = None, **more: Any) -> None:
        """Copy, and keep what is told; `stop_after` so many parts comes Ctrl-C."""
        done = 0

        def progress(part: PartProgress) -> None:
            nonlocal done
            self.places.note("progress", part)
            done += part.done
            if part.done:
                self._look_at_servers()
            if part.done and done == stop_after:
                signal.raise_signal(signal.SIGINT)
                # Until the main thread has taken it.
                time.sleep(0.2)

        options: dict[str, Any] = {
            "workspace": self.workspace,
            "progress": progress,
            "on_plan": self._plan,
            "types": {"id": "int32"},
            "workers": 2,
            **more,
        }
        if stop_after is not None:
            with pytest.raises(KeyboardInterrupt) as caught:
                datastores.copy(source, target, **options)
            self.places.note("interrupted", shown_error(without_callers(caught.value)))
            return
        report = datastores.copy(source, target, **options)
        assert report.rows == ROWS.num_rows
        self.places.note("report", report)
        self.places.note("report, JSON", report.to_json())
        self.places.note("report, HTML", report.to_html())

    def _plan(self, plan: CopyPlan) -> None:
        self.places.note("plan", plan)
        self.places.note("plan, JSON", plan.to_json())

    def look_at_jobs(self, *names: str) -> None:
        """Keep the journals of what was interrupted."""
        for name in names:
            [entry] = self.workspace[name].jobs()
            self.places.note(f"jobs of {name}", entry)
        blobs = self.workspace["lake"].filesystem.find("")
        for one in blobs:
            self.places.note(f"blob {one}", self.workspace["lake"].read(one))
        self._look_at_staging()

    def _look_at_staging(self) -> None:
        tables = self.services.database.run(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = '_datastores'"
        )
        for (name,) in tables:
            rows = sql.SQL("SELECT t::text FROM _datastores.{} t LIMIT 50").format(
                sql.Identifier(name)
            )
            self.places.note(f"staging {name}", self.services.database.run(rows.as_string()))

    def _look_at_servers(self) -> None:
        with self.services.postgresql.admin.connect() as connection:
            rows = connection.execute("SELECT query, application_name FROM pg_stat_activity")
            self.places.note("pg_stat_activity", rows.fetchall())
        for one in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                self.places.note("processes", repr(one.cmdline()))


@contextmanager
def removed_files_kept(folder: Path, places: Places) -> Iterator[None]:
    """Keep what is in the files below a folder when they are removed."""
    active = True

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if not active or event != "os.remove":
            return
        name, where = arguments[0], arguments[1]
        base = f"/proc/self/fd/{where}" if where != -1 else os.getcwd()  # noqa: PTH109
        path = Path(os.path.realpath(base)) / os.fsdecode(name)
        if path.is_file() and path.is_relative_to(folder):
            places[f"removed {path}"] = path.read_bytes()

    # A hook stays as long as its process.
    sys.addaudithook(hook)
    try:
        yield
    finally:
        active = False


def _workspace(services: Services, folder: Path) -> str:
    login, azurite = services.database.owner, services.azurite
    of_lake = {
        "type": "azure_blob",
        "account_name": azurite.account_name,
        "account_url": azurite.account_url,
        "container_name": services.container,
    }
    of_warehouse = {
        "type": "azure_postgresql",
        "server_name": login.host,
        "port": login.port,
        "database_name": login.database,
        "ca_bundle": str(login.ca_file),
    }
    password, key, sas = ({"vault": "main", "name": name} for name in ("pg", "key", "sas"))
    signs_in: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "warehouse": (of_warehouse, {"username": login.username, "password": password}),
        "stranger": (of_warehouse, {"username": "nobody", "password": password}),
        "lake": (of_lake, {"account_key": key}),
        "signed": (of_lake, {"sas_token": sas}),
    }
    stores: dict[str, Any] = {
        "scratch": {"type": "duckdb", "path": str(folder / "scratch.duckdb")},
        **{name: {**fields, "credentials": one} for name, (fields, one) in signs_in.items()},
    }
    main = {
        "url": services.vault.url,
        "identity": "service_principal",
        "ca_bundle": str(services.vault.ca_file),
        "credentials": {
            "tenant_id": services.tenant.id,
            "client_id": services.tenant.client_id,
            "client_secret": "env:SP",
        },
    }
    # JSON is YAML, without the aliases of what stands there twice.
    return json.dumps({"vaults": {"main": main}, "datastores": stores})
