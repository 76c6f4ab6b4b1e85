from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from typing_extensions import override

from datastores.drivers.base import TableDriver
from datastores.drivers.duckdb.config import DuckDBConfig
from datastores.drivers.duckdb.driver import DuckDBDriver
from datastores.testing.stateful_tables import machine_for
from datastores.testing.tables import TableDriverConformance
from datastores.values import TableName


class TestDuckDB(TableDriverConformance):
    @override
    @pytest.fixture
    def driver(self, tmp_path: Path) -> Iterator[TableDriver]:
        with DuckDBDriver(DuckDBConfig(path=str(tmp_path / "warehouse.duckdb"))) as driver:
            yield driver

    @override
    def table_named(self, name: str) -> TableName:
        return TableName(name, "main")

    @override
    def staging_left(self, driver: TableDriver) -> Sequence[str]:
        return [str(path) for path in driver.config.staging.rglob("*")]


def fresh_driver() -> TableDriver:
    folder = Path(tempfile.mkdtemp(prefix="datastores-"))
    driver = DuckDBDriver(DuckDBConfig(path=str(folder / "warehouse.duckdb")))
    weakref.finalize(driver, shutil.rmtree, folder, ignore_errors=True)
    return driver


TestDuckDBHistories = machine_for(fresh_driver, TableName("t", "main")).TestCase
