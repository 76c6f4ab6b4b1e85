from collections.abc import Iterator

import pytest

from datastores.drivers.base import FileDriver
from datastores.drivers.memory.config import MemoryConfig
from datastores.drivers.memory.driver import MemoryDriver
from datastores.testing.files import FileDriverConformance


class TestMemory(FileDriverConformance):
    @pytest.fixture
    def driver(self) -> Iterator[FileDriver]:
        with MemoryDriver(MemoryConfig()) as driver:
            yield driver
