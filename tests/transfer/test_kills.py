"""Whenever a copy is killed: the target is as it was or as it should be, and the same call makes it so."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
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
from datastores.values import Atomicity, WriteMode
from tests.services.azurite import Azurite
from tests.services.postgresql import Database

from .killed_copy import STEPS, copied, forked

ROWS, FILES = 4_000, 4
MOMENTS, MOMENTS_OF_PAIR, WARM_UP = 200, 10, 3
PRELOADED = [
    "tests.transfer.killed_copy",
    "pyarrow.parquet",
    "datastores.formats.parquet",
    *(f"datastores.drivers.{kind}.driver" for kind in ("local", "duckdb", "azure_blob")),
    "datastores.drivers.azure_postgresql.driver",
]
NEW = pa.table({"id": range(ROWS), "word": [f"row {number} " * 5 for number in range(ROWS)]})
OLD = pa.table({"id": [-1, -2], "word": ["old", "older"]})
KINDS = ("files as they are", "local", "duckdb", "azure_blob", "azure_postgresql")
MODES = ("create", "append", "replace")
EXPECTED = {"create": NEW, "append": pa.concat_tables([OLD, NEW]), "replace": NEW}
# Only files decide on their publish before they carry it out.
DECIDES = ("files as they are", "local", "azure_blob")
OF_BOOKMARKS = ("the bookmark is claimed", "the files are published")
OF_ARCHIVES, OF_BLOBS = ("before the archive", "a file is archived"), "a blob is copied"
OF_REJECTS = (
    "rejected rows are staged",
    "between the two publishes",
    "rejected rows are published",
)
_REJECTS_STRUCK = (
    ("azure_postgresql", "rejected rows are staged"),
    ("azure_postgresql", "between the two publishes"),
    ("duckdb", "between the two publishes"),
    ("local", "rejected rows are published"),
)
_TABLES = "SELECT schema_name FROM duckdb_tables()"


@dataclass(frozen=True)
class Ends:
    """A source of several files and a target, for several processes."""

    kind: str
    file: Path
    workspace: Workspace
    name: str = "orders"
    new: Mapping[str, Any] = field(default_factory=dict)
    """How the copy says what is new, if it takes only that."""
    drift: str = ""
    source: str = "local"
    """Its kind."""
    folder: str = "in"
    """Of the source."""

    @property
    def table(self) -> str:
        """How `scan` names the target."""
        return _table_at(self.kind, self.name)

    @property
    def path(self) -> str:
        """The target as a path."""
        return self.table.replace(".", "/")

    @property
    def source_table(self) -> str:
        """How `scan` names the source."""
        return _table_at(self.source, self.folder)

    @property
    def source_path(self) -> str:
        """The source as a path."""
        return self.source_table.replace(".", "/")

    def words(self) -> dict[str, Any]:
        """Return what makes it a copy of rows between files, if it is one, and of what is new."""
        rows = {} if self.kind == "files as they are" else {"types": {"id": "int64"}}
        drift = {"drift": self.drift} if self.drift else {}
        return {**rows, **self.new, **drift}

    @property
    def old(self) -> pa.Table:
        """What the target holds before; fewer columns if it is to get others."""
        return OLD.select(["id"]) if self.drift else OLD

    def expected(self, mode: str) -> list[Any]:
        """Return what the target is to hold afterwards."""
        if not self.drift:
            return rows_of(EXPECTED[mode])
        return rows_of(pa.concat_tables([self.old, NEW], promote_options="default"))

    def copy(self, mode: str, **more: Any) -> CopyReport:
        """Make the copy in this process."""
        words = self.words() | more
        return copied(self.workspace, self.source_path, self.path, mode=mode, words=words)

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
            query = f"SELECT job FROM {JOURNAL_SCHEMA}.jobs"
            with duckdb.connect(config.path) as database:
                known = {name for (name,) in database.execute(_TABLES).fetchall()}
                jobs = database.execute(query).fetchall() if JOURNAL_SCHEMA in known else []
            return [str(one) for one in (*folder.rglob("*"), *jobs)]
        found = store.filesystem.find("_datastores") if store.exists("_datastores") else []
        return [one for one in found if not one.endswith("lock") and "/bookmarks.d/" not in one]


def rows_of(table: pa.Table) -> list[Any]:
    return sorted(zip(*(column.to_pylist() for column in table.columns), strict=True))


def _table_at(kind: str, name: str) -> str:
    schema = {"duckdb": "main.", "azure_postgresql": "public."}.get(kind)
    return f"{name}/" if schema is None else f"{schema}{name}"


@pytest.fixture
def source() -> str:
    """The kind of the source."""
    return "local"


@pytest.fixture
def ends(
    kind: str,
    source: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Ends]:
    stores = {
        "source": _store(source, tmp_path / "source", request, monkeypatch),
        "target": _store(kind, tmp_path / "target", request, monkeypatch),
    }
    file = tmp_path / "datastores.yaml"
    file.write_text(yaml.safe_dump({"datastores": stores}))
    with Workspace.load(file) as workspace:
        ends = Ends(kind, file, workspace, source=source)
        per_file = ROWS // FILES if ends.source_table.endswith("/") else None
        workspace["source"].write_table(ends.source_table, NEW, rows_per_file=per_file)
        if source == "duckdb":
            # One process at a time has the file open.
            workspace["source"].close()
        yield ends


def _store(
    kind: str, folder: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """Return a store as a workspace file has it; its secret is in a variable."""
    variable = f"KILLED_{kind.upper()}"
    if kind == "azure_postgresql":
        database: Database = request.getfixturevalue("database")
        login = database.owner
        monkeypatch.setenv(variable, login.password)
        return {
            "type": kind,
            "server_name": login.host,
            "port": login.port,
            "database_name": login.database,
            "ca_bundle": str(login.ca_file),
            "credentials": {"username": login.username, "password": f"env:{variable}"},
        }
    if kind == "azure_blob":
        azurite: Azurite = request.getfixturevalue("azurite")
        monkeypatch.setenv(variable, azurite.account_key)
        return {
            "type": kind,
            "account_name": azurite.account_name,
            "account_url": azurite.account_url,
            "container_name": request.getfixturevalue("blob_container").container_name,
            "credentials": {"account_key": f"env:{variable}"},
        }
    if kind == "duckdb":
        return {"type": kind, "path": str(folder / "t.duckdb")}
    return {"type": "local", "path": str(folder)}


@contextmanager
def killed(ends: Ends, mode: str, step: str) -> Iterator[Callable[[], str]]:
    """Run the copy in a process of its own; what it prints next is returned by a call."""
    command = [sys.executable, "-m", "tests.transfer.killed_copy", str(ends.file)]
    command += [ends.source_path, ends.path, mode, json.dumps(ends.words()), step]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline
        finally:
            process.kill()


def check(ends: Ends, mode: str, before: list[Any] | None) -> str:
    """Look at the target, make the same call again unless it was finished, and look again."""
    expected = ends.expected(mode)
    between = ends.content()
    store = ends.workspace["target"]
    if store.capabilities.write_modes[WriteMode(mode)] is Atomicity.ATOMIC:
        assert between in (before, expected)
    else:
        # Declared: some of the new beside some of the old.
        assert {*(between or ())} <= {*(before or ()), *expected}
    ends.workspace["target"].close()
    if between == expected and not ends.left():
        # It was acknowledged: the same call would be another job.
        return "after the end"
    report = ends.copy(mode)
    assert ends.content() == expected
    assert report.rows in (ROWS, None)
    ends.workspace["target"].close()
    assert ends.left() == []
    if not report.workers:
        return "published, and then acknowledged"
    return "gone on from finished parts" if report.parts_kept else "begun anew"


def prepared(ends: Ends, mode: str) -> list[Any] | None:
    """Make the old target, if the mode needs one; return its rows."""
    if mode != "create":
        ends.workspace["target"].write_table(ends.table, ends.old)
    before = ends.content()
    ends.workspace["target"].close()
    return before


def strike(ends: Ends, mode: str, step: str) -> str:
    """Kill a copy at a step; return what the next call made of it."""
    before = prepared(ends, mode)
    with killed(ends, mode, step) as printed:
        assert printed() == "ready\n"
        # It kills itself.
        assert printed() == ""
    return check(ends, mode, before)


def steps(kind: str) -> list[str]:
    others = [*OF_BOOKMARKS, *OF_ARCHIVES, OF_BLOBS, *OF_REJECTS]
    if kind not in DECIDES:
        others.append("the publish is decided")
    return [step for step in STEPS if step not in others]


@pytest.mark.parametrize(("kind", "step"), [(kind, step) for kind in KINDS for step in steps(kind)])
def test_an_append_that_is_killed_at_a_step(ends: Ends, step: str) -> None:
    outcome = strike(ends, "append", step)
    expected = {
        "a part is staged": "gone on from finished parts",
        "before the publish": "gone on from finished parts",
        "the publish is decided": "published, and then acknowledged",
        "published": "published, and then acknowledged",
        "before what was staged is removed": "published, and then acknowledged",
    }
    if step == "in the middle of a part":
        assert outcome in {"begun anew", "gone on from finished parts"}
    else:
        assert outcome == expected.get(step, "begun anew")


def evolving_steps() -> list[Any]:
    often = {("local", "the publish is decided"), ("azure_postgresql", "a part is staged")}
    pairs = [(kind, step) for kind in KINDS[1:] for step in steps(kind)]
    return [pytest.param(*one, marks=() if one in often else pytest.mark.faults) for one in pairs]


@pytest.mark.parametrize(("kind", "step"), evolving_steps())
def test_an_append_that_alters_its_target_is_killed_at_a_step(ends: Ends, step: str) -> None:
    strike(replace(ends, drift="evolve"), "append", step)


def die_adding(ends: Ends, step: str) -> None:
    """Add to the old rows until the step."""
    ends.workspace["target"].write_table(ends.table, OLD)
    ends.workspace["target"].close()
    with killed(ends, "append", step) as printed:
        assert printed() == "ready\n"
        assert printed() == ""


@pytest.mark.parametrize("kind", ["local"])
def test_forgetting_what_was_decided_leaves_no_row_behind(ends: Ends) -> None:
    ends = replace(ends, new={"cursor": "id"})
    die_adding(ends, "the bookmark is claimed")
    [job] = ends.workspace["target"].jobs()
    ends.workspace["target"].clean(job.job)
    assert ends.left() == []
    assert ends.copy("append").rows == 0
    assert ends.content() == rows_of(EXPECTED["append"])


@pytest.mark.parametrize(
    ("kind", "step"),
    [
        *(("local", step) for step in OF_BOOKMARKS),
        *((kind, "published") for kind in ("duckdb", "azure_postgresql")),
    ],
)
def test_an_incremental_copy_that_is_killed_at_a_step(ends: Ends, step: str) -> None:
    ends = replace(ends, new={"cursor": "id"})
    die_adding(ends, step)
    # Under another name the job cannot go on, and finds what it left.
    ends.copy("append", job="another")
    assert ends.content() == rows_of(EXPECTED["append"])
    assert ends.copy("append").rows in (0, ROWS)
    assert ends.content() == rows_of(EXPECTED["append"])
    assert ends.copy("append").rows == 0


@pytest.mark.parametrize(
    ("kind", "step"),
    [
        pytest.param(
            kind, step, marks=() if (kind, step) in _REJECTS_STRUCK else pytest.mark.faults
        )
        for kind in ("local", "duckdb", "azure_postgresql")
        for step in ("a part is staged", *OF_REJECTS)
    ],
)
def test_each_row_is_written_or_rejected_once_whenever_a_copy_is_killed(
    ends: Ends, step: str
) -> None:
    rejects = replace(ends, name="rejects")
    place = f"datastore://target/{rejects.path}"
    ends = replace(ends, new={"types": {"id": "int8"}, "rejects": place})
    rows = pa.table({"id": range(100, 160), "word": ["a word"] * 60})
    ends.workspace["source"].write_table("in/", rows, mode="replace", rows_per_file=60 // FILES)
    expected = [row for row in rows_of(rows) if row[0] < 128]

    def rejected() -> list[int]:
        store = ends.workspace["target"]
        try:
            found = store.scan(rejects.table, columns=["row_values"]).to_arrow()
        except NotFoundError:
            return []
        finally:
            store.close()
        return sorted(int(json.loads(row)["id"]) for row in found["row_values"].to_pylist())

    with killed(ends, "create", step) as printed:
        assert printed() == "ready\n"
        assert printed() == ""
    published = step in {"between the two publishes", "rejected rows are published"}
    assert ends.content() == (expected if published else None)
    assert rejected() == ([*range(128, 160)] if step == "rejected rows are published" else [])
    report = ends.copy("create")
    assert report.rows == 28
    assert report.unfit is not None
    assert report.unfit.rows_rejected == 32
    assert (ends.content(), rejected()) == (expected, [*range(128, 160)])
    assert ends.left() == []
    # It is over, so that the same call is another job.
    assert ends.copy("replace").rows == 28
    assert len(rejected()) == 64


@pytest.mark.faults
@pytest.mark.parametrize("mode", ["create", "replace"])
@pytest.mark.parametrize(("kind", "step"), [(kind, step) for kind in KINDS for step in steps(kind)])
def test_a_copy_that_is_killed_at_a_step(ends: Ends, mode: str, step: str) -> None:
    strike(ends, mode, step)


def begun(here: Ends, mode: str) -> multiprocessing.process.BaseProcess:
    """Begin a copy in a process that has imported everything and begun nothing: it starts at once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    secrets = {name: text for name, text in os.environ.items() if name.startswith("KILLED_")}
    told, tells = context.Pipe(duplex=False)
    words = (secrets, str(here.file), here.source_path, here.path, mode, here.words())
    process = context.Process(target=forked, args=(tells, *words))
    process.start()
    told.recv()
    return process


@pytest.mark.faults
@pytest.mark.parametrize("kind", KINDS)
def test_copies_that_are_killed_at_any_moment(
    ends: Ends, capsys: pytest.CaptureFixture[str]
) -> None:
    strike_at_any_moment(ends, MOMENTS, capsys)


@pytest.mark.faults
@pytest.mark.parametrize("source", KINDS[1:])
@pytest.mark.parametrize("kind", KINDS[1:])
def test_copies_of_each_pair_that_are_killed_at_any_moment(
    ends: Ends, capsys: pytest.CaptureFixture[str]
) -> None:
    strike_at_any_moment(ends, MOMENTS_OF_PAIR, capsys)


def strike_at_any_moment(ends: Ends, moments: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Kill copies at moments that are spread over the time that one takes; print what came of it."""
    outcomes: Counter[str] = Counter()
    chance = random.Random(11)  # noqa: S311  # the same moments in each run
    seconds = 0.0
    for turn in range(-WARM_UP, moments):
        here, mode = replace(ends, name=f"orders_{turn + WARM_UP}"), MODES[turn % len(MODES)]
        before = prepared(here, mode)
        ends.workspace["source"].close()
        process = begun(here, mode)
        if turn < 0:
            # How long it takes if it is left alone.
            start = time.monotonic()
            process.join()
            seconds = time.monotonic() - start
            assert here.content() == rows_of(EXPECTED[mode])
            continue
        time.sleep(chance.uniform(0, seconds))
        process.kill()
        process.join()
        outcomes[check(here, mode, before)] += 1
    with capsys.disabled():
        shown = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
        pair = f"{ends.source} to {ends.kind}"
        sys.stdout.write(f"\n{pair}: {moments} kills, all right: {shown}\n")
