"""The toy driver: the contract's methods, each handed to the client."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from datastores.drivers.base import FileDriver, FolderChange
from datastores.drivers.filesystem import check_publishable, staging_folder
from datastores.values import Atomicity, Capabilities, WriteMode
from datastores_toy.client import ToyFileSystem
from datastores_toy.config import ToyConfig


class ToyDriver(FileDriver):
    """Files in one SQLite database: every change is one transaction."""

    config_type = ToyConfig
    capabilities: ClassVar[Capabilities] = Capabilities(
        write_modes={
            WriteMode.CREATE: Atomicity.ATOMIC,
            WriteMode.APPEND: Atomicity.ATOMIC,
            WriteMode.REPLACE: Atomicity.ATOMIC,
            WriteMode.CREATE_APPEND: Atomicity.ATOMIC,
            WriteMode.REPLACE_PARTITIONS: Atomicity.ATOMIC,
        },
        query=True,
        writable_files=True,
        processes=True,
    )

    def __init__(self, config: ToyConfig) -> None:
        super().__init__(config)
        self._staging = staging_folder(config.staging_path)
        self._filesystem = ToyFileSystem(config)

    @property
    @override
    def place(self) -> str:
        path: str = self.config.path
        return path

    @property
    @override
    def filesystem(self) -> ToyFileSystem:
        return self._filesystem

    @override
    def publish_file(self, staged: str, path: str, *, replace: bool) -> None:
        self._filesystem.publish_file(staged, path, replace=replace)

    @override
    def publish_folder(self, change: FolderChange) -> None:
        check_publishable(change.folder.strip("/"), self._staging, self.type_name)
        self._filesystem.publish_folder(change)

    @override
    def close(self) -> None:
        self._filesystem.close()
