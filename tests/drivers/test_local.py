from collections.abc import Iterator
from pathlib import Path

import pytest

from datastores.drivers.base import FileDriver
from datastores.drivers.local.config import LocalConfig
from datastores.drivers.local.driver import LocalDriver
from datastores.testing.files import FileDriverConformance


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


class TestLocal(FileDriverConformance):
    @pytest.fixture
    def driver(self, root: Path) -> Iterator[FileDriver]:
        with LocalDriver(LocalConfig(path=str(root))) as driver:
            yield driver
