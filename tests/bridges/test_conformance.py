"""The suite of table drivers over tables of files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from typing_extensions import override

from datastores.bridges.files_as_tables import FilesAsTables
from datastores.drivers.base import TableDriver
from datastores.drivers.local.config import LocalConfig
from datastores.drivers.local.driver import LocalDriver
from datastores.drivers.memory.config import MemoryConfig
from datastores.drivers.memory.driver import MemoryDriver
from datastores.testing.tables import TableDriverConformance
from datastores.values import TableName, WriteMode


class FilesConformance(TableDriverConformance):
    refused_types = (pa.month_day_nano_interval(),)

    @override
    def table_named(self, name: str) -> TableName:
        return TableName(f"tables/{name}/")

    @override
    def create_options(self, mode: WriteMode) -> dict[str, Any]:
        # A folder is partitioned when it is created.
        return self.options(mode)

    @override
    def staging_left(self, driver: TableDriver) -> Sequence[str]:
        assert isinstance(driver, FilesAsTables)
        found: list[str] = driver.files.filesystem.find("_datastores")
        return found


class TestLocalFiles(FilesConformance):
    @pytest.fixture
    @override
    def driver(self, tmp_path: Path) -> TableDriver:
        return FilesAsTables(LocalDriver(LocalConfig(path=str(tmp_path / "store"))))


class TestMemoryFiles(FilesConformance):
    @pytest.fixture
    @override
    def driver(self) -> TableDriver:
        return FilesAsTables(MemoryDriver(MemoryConfig()))
