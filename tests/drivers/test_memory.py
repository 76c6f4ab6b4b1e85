import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import settings
from typing_extensions import override

from datastores.drivers.base import FileDriver
from datastores.drivers.memory.config import MemoryConfig
from datastores.drivers.memory.driver import MemoryDriver
from datastores.errors import NotFoundError, UnsupportedOperationError
from datastores.testing.files import FileDriverConformance
from datastores.testing.stateful_files import FileMachine


class TestMemory(FileDriverConformance):
    @pytest.fixture
    @override
    def driver(self) -> Iterator[FileDriver]:
        with MemoryDriver(MemoryConfig()) as driver:
            yield driver


class MemoryMachine(FileMachine):
    @staticmethod
    @override
    def open_filesystem() -> tuple[Any, Callable[[], None]]:
        driver = MemoryDriver(MemoryConfig())
        return driver.filesystem, driver.close


MemoryMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestAnyOrder = MemoryMachine.TestCase


def test_two_drivers_share_nothing() -> None:
    one, other = MemoryDriver(MemoryConfig()), MemoryDriver(MemoryConfig())
    one.filesystem.pipe_file("file", b"1")
    with pytest.raises(NotFoundError):
        other.filesystem.cat_file("file")
    assert one.filesystem != other.filesystem


def test_a_filesystem_is_not_pickled() -> None:
    with pytest.raises(UnsupportedOperationError, match="this process only"):
        pickle.dumps(MemoryDriver(MemoryConfig()).filesystem)
