"""The demo as a user runs it: a fresh data directory, real data, and the commands it suggests."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run

ROWS = {"airlines": 16, "airports": 1_458, "flights": 336_776, "planes": 3_322, "weather": 26_115}


def command(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "datastores", *words],
        env={**os.environ, "XDG_DATA_HOME": str(folder)},
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_the_demo_proves_what_it_says_and_can_be_run_again(tmp_path: Path) -> None:
    shown = command(tmp_path, "demo")
    for name, rows in ROWS.items():
        assert f"{rows:,} rows, typed from CSV" in shown, name
    assert " verified: both sides 336,776 rows" in shown
    for reader in ("pandas", "DuckDB"):
        assert f" {reader:<6} reads datastore://files/flights/: every row and value equal" in shown
    for line in shown.partition("Try next:")[2].strip().splitlines():
        program, *words = shlex.split(line)
        assert program == "datastores"
        assert command(tmp_path, *words)
    types = json.loads(
        command(
            tmp_path,
            *("schema", "datastore://warehouse/nycflights13/flights"),
            *("--file", "embedded", "--json"),
        )
    )
    named = {one["name"]: one["type"] for one in types["columns"]}
    assert named["time_hour"].startswith("timestamp")
    assert named["arr_delay"].startswith("int")
    again = json.loads(command(tmp_path, "demo", "--json"))
    assert again["tables"] == ROWS
    assert again["equal"] == {"pandas": True, "DuckDB": True}
    months = {one.name for one in (tmp_path / "datastores" / "files" / "flights").iterdir()}
    assert months >= {f"month={month}" for month in range(1, 13)}


def test_without_its_data(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["datastores.cli.demo"], "PACKAGE", "no-such-package")
    monkeypatch.setenv("XDG_DATA_HOME", str(folder))
    found = run("demo")
    assert found.code == 1
    assert "pip install no-such-package" in found.err
