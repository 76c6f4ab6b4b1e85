"""The local driver: files in one folder of this machine."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from datastores.drivers.base import FileDriver, FolderChange
from datastores.drivers.local import publish
from datastores.drivers.local.client import LocalStoreFileSystem
from datastores.drivers.local.config import LocalConfig
from datastores.values import FILE_STORE_MODES, Atomicity, Capabilities


class LocalDriver(FileDriver):
    """A folder as a store. What is published survives the death of the process, not a power cut."""

    config_type = LocalConfig
    capabilities: ClassVar[Capabilities] = Capabilities(
        write_modes=dict.fromkeys(FILE_STORE_MODES, Atomicity.ATOMIC),
        query=True,
        writable_files=True,
        processes=True,
    )

    def __init__(self, config: LocalConfig) -> None:
        super().__init__(config)
        self._filesystem = LocalStoreFileSystem(config.path, config.staging_path)

    @property
    @override
    def place(self) -> str:
        return str(self.config.path)

    @property
    @override
    def filesystem(self) -> LocalStoreFileSystem:
        return self._filesystem

    @override
    def publish_file(self, staged: str, path: str, *, replace: bool) -> None:
        publish.publish_file(self._filesystem, staged, path, replace=replace)

    @override
    def publish_folder(self, change: FolderChange) -> None:
        publish.publish_folder(self._filesystem, change)
