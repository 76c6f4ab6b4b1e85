"""A workspace file with a folder and a warehouse, and the command run on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from datastores import Workspace
from datastores.cli import main

WORKSPACE = """\
default: files
datastores:
  files:
    type: local
    path: {folder}/files
    description: A folder
  warehouse:
    type: duckdb
    path: {folder}/warehouse.duckdb
"""
ORDERS = 'id,total,day,name\n1,1.50,2026-01-01,a\n2,200.25,2026-01-02,00123\n3,7.00,,"x, y"\n'


@dataclass(frozen=True)
class Outcome:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.err)
        return found


Run = Callable[..., Outcome]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, in which `datastores.yaml` is found."""
    text = WORKSPACE.format(folder=tmp_path)
    (tmp_path / "datastores.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATASTORES_FILE", raising=False)
    monkeypatch.delenv("DATASTORES_DEBUG", raising=False)
    return tmp_path


@pytest.fixture
def run(folder: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run the command in this process, which is what the console script calls."""

    def command(*words: str) -> Outcome:
        capfd.readouterr()
        code = main(words)
        return Outcome(code, *capfd.readouterr())

    return command


@pytest.fixture
def start(folder: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start the command as a process of its own; the caller waits for it."""

    def command(*words: str, columns: int = 100, **options: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *(words if words[0] == "-c" else ("-m", "datastores", *words))],
            cwd=folder,
            env={**os.environ, "COLUMNS": str(columns), "PYTHONUNBUFFERED": "1"},
            text=True,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
        )

    return command


@pytest.fixture
def csv_file(folder: Path) -> str:
    """Three orders as a CSV file; its URL."""
    with Workspace.load(folder / "datastores.yaml") as workspace:
        workspace["files"].write("raw/orders.csv", ORDERS.encode())
    return "datastore://files/raw/orders.csv"


@pytest.fixture
def table(folder: Path) -> str:
    """A thousand orders in the warehouse; the table's URL."""
    rows = pa.table(
        {
            "id": pa.array(range(1000), pa.int64()),
            "region": pa.array([("north", "south", None)[i % 3] for i in range(1000)]),
            "total": pa.array(
                [None if i == 5 else Decimal(i) for i in range(1000)], pa.decimal128(12, 2)
            ),
            "day": pa.array([i % 30 for i in range(1000)], pa.int32()).cast(pa.date32()),
            "raw": pa.array([bytes([i % 256, 0xFF]) for i in range(1000)]),
        }
    )
    with Workspace.load(folder / "datastores.yaml") as workspace:
        workspace["warehouse"].write_table("main.orders", rows)
    return "datastore://warehouse/main/orders"


def staging(folder: Path) -> list[Path]:
    """Return the files that a copy left in the staging of the folder store: none."""
    found = (folder / "files" / "_datastores").rglob("*")
    return [one for one in found if one.is_file() and not one.name.endswith("lock")]
