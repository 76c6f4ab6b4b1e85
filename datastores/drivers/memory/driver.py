"""The memory driver: the shortest driver that keeps every promise, and the reference for the others."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from datastores.drivers.base import FileDriver, FolderChange
from datastores.drivers.filesystem import check_publishable, staging_folder
from datastores.drivers.memory.client import MemoryStoreFileSystem
from datastores.drivers.memory.config import MemoryConfig
from datastores.values import FILE_STORE_MODES, Atomicity, Capabilities


class MemoryDriver(FileDriver):
    """A store of this object: two drivers share nothing, and `close` deletes nothing."""

    config_type = MemoryConfig
    capabilities: ClassVar[Capabilities] = Capabilities(
        write_modes=dict.fromkeys(FILE_STORE_MODES, Atomicity.ATOMIC),
        query=True,
        writable_files=True,
    )

    def __init__(self, config: MemoryConfig) -> None:
        super().__init__(config)
        self._staging = staging_folder(config.staging_path)
        self._filesystem = MemoryStoreFileSystem()

    @property
    @override
    def place(self) -> str:
        return "memory of this process"

    @property
    @override
    def filesystem(self) -> MemoryStoreFileSystem:
        return self._filesystem

    @override
    def publish_file(self, staged: str, path: str, *, replace: bool) -> None:
        self._filesystem.publish_file(staged, path, replace=replace)

    @override
    def publish_folder(self, change: FolderChange) -> None:
        check_publishable(change.folder.strip("/"), self._staging, self.type_name)
        self._filesystem.publish_folder(change)
