"""Two file stores and a warehouse, fresh for each test."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from datastores import Workspace

ROWS = 1_000


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    stores = {
        "files": {"type": "local", "path": str(tmp_path / "files")},
        "other": {"type": "local", "path": str(tmp_path / "other")},
        "cache": {"type": "memory"},
        "warehouse": {"type": "duckdb", "path": str(tmp_path / "warehouse.duckdb")},
    }
    with Workspace.from_mapping({"default": "files", "datastores": stores}) as workspace:
        yield workspace


@pytest.fixture
def orders() -> pa.Table:
    """Rows with the types that other tools change: microseconds, decimals, NULL and ''."""
    ids = range(ROWS)
    return pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "region": pa.array([("north", "south", None)[i % 3] for i in ids]),
            "total": pa.array([Decimal(i) / 100 for i in ids], pa.decimal128(12, 2)),
            "placed": pa.array([i * 1_000_001 for i in ids], pa.timestamp("us")),
            "note": pa.array([("", None, "“ü”\n,")[i % 3] for i in ids]),
        }
    )


def staging_of(workspace: Workspace) -> list[str]:
    """Return what lies in any file store's staging: nothing, once a copy is over."""
    found = []
    for name in ("files", "other", "cache"):
        filesystem = workspace[name].filesystem
        if filesystem.exists("_datastores"):
            names = filesystem.find("_datastores")
            found += [one for one in names if not one.endswith("lock")]
    return found
