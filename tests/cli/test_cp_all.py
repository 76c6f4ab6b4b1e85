"""The command `cp-all`: which tables, in which order, and what is said of them."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from datastores import Workspace

from .conftest import Run


@pytest.fixture
def tables(table: str, folder: Path) -> None:
    """Two tables in the schema `shop` beside that in `main`."""
    with Workspace.load(folder / "datastores.yaml") as workspace:
        for name in ("a", "b"):
            workspace["warehouse"].write_table(f"shop.{name}", pa.table({"id": [1, 2]}))


@pytest.mark.usefixtures("tables")
def test_a_store_to_a_folder_and_a_schema_back(run: Run, folder: Path) -> None:
    words = ("cp-all", "warehouse", "datastore://files/backup", "--exclude", "main.*")
    dry = run(*words, "--dry-run")
    assert dry.code == 0
    assert dry.out.splitlines()[-1] == " nothing was copied"
    assert "warehouse/shop.a  files/backup/shop/a/  2" in dry.out
    assert not (folder / "files").exists()
    found = run(*words, "--verify", "--report", "all.json", "--workers", "1")
    assert found.code == 0, found.err
    lines = found.out.splitlines()
    assert lines[:3] == [
        *(" warehouse/  ->  files/backup", " 2 tables, a snapshot for each"),
        " mode create · each table for itself, in this order",
    ]
    assert lines[4].startswith(" files/backup/shop/a/  2 rows  done in ")
    assert lines[7].startswith(" copied 2 tables, 4 rows, ")
    report = json.loads((folder / "all.json").read_text(encoding="utf-8"))
    assert [one["rows"] for one in report["tables"]] == [2, 2]
    back = ("cp-all", "datastore://files/backup", "datastore://warehouse/again", "--json")
    [record] = run(*back).records
    assert (record["rows"], len(record["tables"])) == (4, 2)
    again = run(*back)
    assert again.code == 4
    assert again.error["type"] == "AlreadyExistsError"


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--include", "shop.c"], 3, "matches 'shop.c'. Did you mean 'shop."),
        (["--mode", "upsert"], 2, "invalid value for '--mode'"),
        (["--columns", "id"], 2, "no such option"),
        (["--report", "a.html"], 2, "name a file that ends in .json"),
        (["--report", "a.json", "--dry-run"], 2, "--report goes without --dry-run"),
    ],
)
def test_mistakes(run: Run, folder: Path, words: list[str], code: int, message: str) -> None:
    found = run("cp-all", "warehouse", "datastore://files/", *words)
    assert found.code == code
    assert message in " ".join(found.err.split())
    assert not (folder / "files").exists()
