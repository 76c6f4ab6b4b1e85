"""Whenever a copy is killed: the target is as it was or as it should be, and the same call makes it so."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import yaml

from datastores import Workspace
from datastores.drivers.duckdb.catalog import JOURNAL_SCHEMA
from datastores.drivers.duckdb.config import DuckDBConfig
from datastores.errors import NotFoundError
from datastores.transfer import CopyReport
from tests.services.azurite import Azurite
from tests.services.postgresql import Database

from .killed_copy import STEPS, copied

ROWS, FILES = 4_000, 4
NEW = pa.table({"id": range(ROWS), "word": [f"row {number} " * 5 for number in range(ROWS)]})
OLD = pa.table({"id": [-1, -2], "word": ["old", "older"]})
KINDS = ("files as they are", "local", "duckdb", "azure_blob", "azure_postgresql")
MODES = ("create", "append", "replace")
EXPECTED = {"create": NEW, "append": pa.concat_tables([OLD, NEW]), "replace": NEW}
# Only files decide on their publish before they carry it out.
_DECIDES = ("files as they are", "local", "azure_blob")
_TABLES = "SELECT schema_name FROM duckdb_tables()"


@dataclass(frozen=True)
class Ends:
    """A source of several files and a target, for several processes."""

    kind: str
    file: Path
    workspace: Workspace

    @property
    def table(self) -> str:
        """How `scan` names the target."""
        return {"duckdb": "main.orders", "azure_postgresql": "public.orders"}.get(
            self.kind, "orders/"
        )

    @property
    def path(self) -> str:
        """The target as a path."""
        return self.table.replace(".", "/")

    def types(self) -> dict[str, str]:
        """Return what makes it a copy of rows between files, if it is one."""
        return {} if self.kind == "files as they are" else {"id": "int64"}

    def copy(self, mode: str) -> CopyReport:
        """Make the copy in this process."""
        return copied(self.workspace, "in/", self.path, mode=mode, types=self.types())

    def content(self) -> list[Any] | None:
        """Return the target's rows, in order; None if there is no target."""
        try:
            found = self.workspace["target"].scan(self.table).to_arrow()
        except NotFoundError:
            return None
        return sorted(zip(*(column.to_pylist() for column in found.columns), strict=True))

    def left(self) -> list[str]:
        """Return what is staged."""
        store = self.workspace["target"]
        if self.kind == "azure_postgresql":
            query = "select nspname::text as name from pg_namespace where nspname = '_datastores'"
            return [str(one) for one in store.query(query).to_arrow()["name"].to_pylist()]
        if self.kind == "duckdb":
            config = store.config
            assert isinstance(config, DuckDBConfig)
            folder = config.staging
            query = f"SELECT job FROM {JOURNAL_SCHEMA}.journal"
            with duckdb.connect(config.path) as database:
                known = {name for (name,) in database.execute(_TABLES).fetchall()}
                jobs = database.execute(query).fetchall() if JOURNAL_SCHEMA in known else []
            return [str(one) for one in (*folder.rglob("*"), *jobs)]
        found = store.filesystem.find("_datastores") if store.exists("_datastores") else []
        return [one for one in found if not one.endswith("lock")]


def rows_of(table: pa.Table) -> list[Any]:
    return sorted(zip(*(column.to_pylist() for column in table.columns), strict=True))


@pytest.fixture
def ends(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Ends]:
    target: dict[str, Any] = {"type": "local" if kind == "files as they are" else kind}
    if kind == "azure_postgresql":
        database: Database = request.getfixturevalue("database")
        login = database.owner
        monkeypatch.setenv("KILLED_SECRET", login.password)
        target |= {
            "server_name": login.host,
            "port": login.port,
            "database_name": login.database,
            "ca_bundle": str(login.ca_file),
            "credentials": {"username": login.username, "password": "env:KILLED_SECRET"},
        }
    elif kind == "azure_blob":
        azurite: Azurite = request.getfixturevalue("azurite")
        monkeypatch.setenv("KILLED_SECRET", azurite.account_key)
        target |= {
            "account_name": azurite.account_name,
            "account_url": azurite.account_url,
            "container_name": request.getfixturevalue("blob_container").container_name,
            "credentials": {"account_key": "env:KILLED_SECRET"},
        }
    else:
        target["path"] = str(tmp_path / ("target/t.duckdb" if kind == "duckdb" else "target"))
    stores = {"source": {"type": "local", "path": str(tmp_path / "source")}, "target": target}
    file = tmp_path / "datastores.yaml"
    file.write_text(yaml.safe_dump({"datastores": stores}))
    with Workspace.load(file) as workspace:
        workspace["source"].write_table("in/", NEW, rows_per_file=ROWS // FILES)
        yield Ends(kind, file, workspace)


@contextmanager
def killed(ends: Ends, mode: str, step: str) -> Iterator[Callable[[], str]]:
    """Run the copy in a process of its own; what it prints next is returned by a call."""
    command = [sys.executable, "-m", "tests.transfer.killed_copy", str(ends.file)]
    command += ["in/", ends.path, mode, json.dumps(ends.types()), step]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline
        finally:
            process.kill()


def check(ends: Ends, mode: str, before: list[Any] | None) -> int:
    """Look at the target, make the same call again unless it was finished, and look again."""
    expected = rows_of(EXPECTED[mode])
    between = ends.content()
    assert between in (before, expected)
    ends.workspace["target"].close()
    if between == expected and not ends.left():
        # It was acknowledged: the same call would be another job.
        return 0
    report = ends.copy(mode)
    assert ends.content() == expected
    assert report.rows in (ROWS, None)
    ends.workspace["target"].close()
    assert ends.left() == []
    return report.parts_kept


def prepared(ends: Ends, mode: str) -> list[Any] | None:
    """Make the old target, if the mode needs one; return its rows."""
    if mode != "create":
        ends.workspace["target"].write_table(ends.table, OLD)
    before = ends.content()
    ends.workspace["target"].close()
    return before


def strike(ends: Ends, mode: str, step: str) -> int:
    """Kill a copy at a step; return how many of its parts the next call kept."""
    before = prepared(ends, mode)
    with killed(ends, mode, step) as printed:
        assert printed() == "ready\n"
        # It kills itself.
        assert printed() == ""
    return check(ends, mode, before)


def steps(kind: str) -> list[str]:
    return [step for step in STEPS if step != "the publish is decided" or kind in _DECIDES]


@pytest.mark.parametrize(("kind", "step"), [(kind, step) for kind in KINDS for step in steps(kind)])
def test_an_append_that_is_killed_at_a_step(ends: Ends, step: str) -> None:
    kept = strike(ends, "append", step)
    if step == "a part is staged":
        assert kept >= (0 if ends.kind == "azure_postgresql" else 1)
    if step in {"the publish is decided", "published", "before what was staged is removed"}:
        assert kept >= 1


@pytest.mark.faults
@pytest.mark.parametrize("mode", ["create", "replace"])
@pytest.mark.parametrize(("kind", "step"), [(kind, step) for kind in KINDS for step in steps(kind)])
def test_a_copy_that_is_killed_at_a_step(ends: Ends, mode: str, step: str) -> None:
    strike(ends, mode, step)


@pytest.mark.faults
@pytest.mark.parametrize("turn", range(200))
@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_that_is_killed_at_any_moment(ends: Ends, turn: int) -> None:
    mode = MODES[turn % len(MODES)]
    before = prepared(ends, mode)
    chance = random.Random(turn)  # noqa: S311  # the same moments in each run
    with killed(ends, mode, "") as printed:
        assert printed() == "ready\n"
        time.sleep(chance.uniform(0, _SECONDS[ends.kind]))
    check(ends, mode, before)


_SECONDS: Mapping[str, float] = {
    "files as they are": 0.2,
    "local": 0.3,
    "duckdb": 0.5,
    "azure_blob": 0.8,
    "azure_postgresql": 0.6,
}
