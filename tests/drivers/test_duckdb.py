from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from typing_extensions import override

from datastores.drivers.base import TableDriver
from datastores.drivers.duckdb.config import DuckDBConfig
from datastores.drivers.duckdb.driver import DuckDBDriver
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
