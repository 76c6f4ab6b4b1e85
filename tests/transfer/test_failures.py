"""Copies that fail or are interrupted: the target holds what it held, and nothing is left over."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

import datastores
from datastores import Workspace
from datastores.errors import DataError
from datastores.transfer import PartProgress
from datastores.types.fields import without_metadata

from .conftest import staging_of


def content(workspace: Workspace, store: str, table: str) -> pa.Table | None:
    target = workspace[store]
    if not target.exists(table if store != "warehouse" else f"main/{table}.parquet"):
        return None
    found = target.scan(table).to_arrow()
    return found.cast(without_metadata(found.schema)).sort_by("id")


@pytest.mark.parametrize("store", ["warehouse", "other", "cache"])
@pytest.mark.parametrize("mode", ["create", "replace", "append"])
def test_a_source_that_fails_half_way(
    workspace: Workspace, orders: pa.Table, store: str, mode: str
) -> None:
    files = workspace["files"]
    files.write_table("in/", orders, rows_per_file=100)
    damaged = files.list("in")[7].path
    raw = bytearray(files.read(damaged))
    raw[10:200] = b"\xff" * 190
    files.write(damaged, bytes(raw), mode="replace")
    if mode != "create":
        workspace[store].write_table("target", orders.slice(0, 5))
    before = content(workspace, store, "target")

    with pytest.raises(DataError, match="in/"):
        datastores.copy(
            files / "in/",
            workspace[store] / "target",
            mode=mode,
            types={"id": "int64"},
            workers=2,
        )

    after = content(workspace, store, "target")
    assert after == before
    assert staging_of(workspace) == []


@pytest.mark.parametrize("store", ["warehouse", "other", "cache"])
def test_the_same_call_goes_on_from_an_interrupt(
    workspace: Workspace, orders: pa.Table, store: str
) -> None:
    workspace["files"].write_table("in/", orders, rows_per_file=50)
    workspace[store].write_table("target", orders.slice(0, 5))

    def interrupt(progress: PartProgress) -> None:
        if progress.done:
            signal.raise_signal(signal.SIGINT)
            time.sleep(0.01)

    def again(**options: Any) -> datastores.transfer.CopyReport:
        return datastores.copy(
            workspace["files"] / "in/",
            workspace[store] / "target",
            mode="append",
            types={"id": "int64"},
            workers=2,
            **options,
        )

    with pytest.raises(KeyboardInterrupt) as caught:
        again(progress=interrupt)
    [note] = caught.value.__notes__
    assert "the same call goes on from here" in note
    after = content(workspace, store, "target")
    assert after is not None
    assert len(after) == 5
    told: list[PartProgress] = []
    plans: list[Any] = []
    report = again(progress=told.append, on_plan=plans.append)
    assert report.parts_kept > 0
    assert "rows/s" not in str(report)
    assert "rows a second" not in report.to_html()
    assert plans[0].parts_kept == report.parts_kept
    assert f"{report.parts_kept} of {report.parts} parts are there" in str(plans[0])
    after = content(workspace, store, "target")
    assert after is not None
    assert after.equals(pa.concat_tables([orders, orders.slice(0, 5)]).sort_by("id"))
    assert report.rows == len(orders)
    assert staging_of(workspace) == []
    # Once it has returned, the same call is a new job.
    assert again().parts_kept == 0


def test_a_kill_leaves_the_target_as_it_was(tmp_path: Path, orders: pa.Table) -> None:
    """The next copy works, whatever the killed one left in staging."""
    stores = f"""
    datastores:
      files: {{type: local, path: {tmp_path / "files"}}}
    """
    file = tmp_path / "datastores.yaml"
    file.write_text(textwrap.dedent(stores))
    workspace = Workspace.load(file)
    workspace["files"].write_table("in/", orders, rows_per_file=10)
    workspace["files"].write_table("target/", orders.slice(0, 5))
    script = textwrap.dedent(
        """
        import sys, time, datastores
        workspace = datastores.Workspace.load(sys.argv[1])

        def slow(progress):
            print("part", flush=True)
            time.sleep(0.2)

        datastores.copy(
            workspace["files"] / "in/", workspace["files"] / "target/",
            mode="replace", types={"id": "int64"}, progress=slow,
        )
        """
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(file)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    assert len(workspace["files"].scan("target/").to_arrow()) == 5
    datastores.copy(
        workspace["files"] / "in/",
        workspace["files"] / "target/",
        mode="replace",
        types={"id": "int64"},
        verify=True,
    )


@pytest.mark.parametrize(
    ("kind", "table", "limit_bytes"),
    [
        pytest.param("local", "target/", 2 << 20, id="files"),
        pytest.param("duckdb", "main.target", 2 << 20, id="DuckDB, while staging"),
        # Room for what is staged, which is compressed, and not for the database.
        pytest.param("duckdb", "main.target", 6 << 20, id="DuckDB, while publishing"),
    ],
)
def test_a_disk_that_is_full(tmp_path: Path, kind: str, table: str, limit_bytes: int) -> None:
    """A limit on the size of files stands for a full disk: the write call fails either way."""
    stores = {
        "files": {"type": "local", "path": str(tmp_path / "files")},
        "target": {"type": kind, "path": str(tmp_path / "target")},
    }
    file = tmp_path / "datastores.yaml"
    file.write_text(yaml.safe_dump({"datastores": stores}))
    chance = random.Random(1)  # noqa: S311  # no secret
    notes = [chance.randbytes(40).hex() for _ in range(100_000)]
    with Workspace.load(file) as workspace:
        workspace["files"].write_table("in.parquet", pa.table({"note": notes}))
        workspace["target"].write_table(table, pa.table({"note": ["old"]}))
    script = textwrap.dedent(
        """
        import resource, signal, sys, datastores
        workspace = datastores.Workspace.load(sys.argv[1])
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
        try:
            datastores.copy(
                workspace["files"] / "in.parquet", workspace["target"] / sys.argv[2],
                mode="replace", types={"note": "string"}, workers=1,
            )
        except datastores.DatastoreError as error:
            print(type(error).__name__, error.store)
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(file), table.replace(".", "/"), str(limit_bytes)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["DriverError", "target"], done.stderr
    with Workspace.load(file) as workspace:
        assert workspace["target"].scan(table).to_arrow()["note"].to_pylist() == ["old"]
        assert list(workspace["target"].jobs()) == []
    assert staging_of_local(tmp_path) == []


def staging_of_local(root: Path) -> list[Path]:
    """Return what lies in any staging below a folder."""
    return [
        one
        for staging in (*root.rglob("_datastores"), *root.glob("*.datastores"))
        for one in staging.rglob("*")
        if one.is_file() and one.suffix != ".lock" and one.name != "lock"
    ]
