"""The driver of one container of Azure Blob storage, in an account with a flat namespace."""

from __future__ import annotations

from contextlib import suppress
from typing import ClassVar
from urllib.parse import urlsplit

from typing_extensions import override

from datastores.drivers.azure_blob import publish
from datastores.drivers.azure_blob.config import AzureBlobConfig
from datastores.drivers.azure_blob.filesystem import AzureBlobStoreFileSystem
from datastores.drivers.base import FileDriver, FolderChange
from datastores.drivers.filesystem import staging_folder
from datastores.drivers.network import Endpoint
from datastores.errors import NotFoundError, PermissionDeniedError
from datastores.values import FILE_STORE_MODES, Atomicity, Capabilities


class AzureBlobDriver(FileDriver):
    """A container as a store. One file is published at once; of a folder, one file after another."""

    config_type = AzureBlobConfig
    capabilities: ClassVar[Capabilities] = Capabilities(
        write_modes=dict.fromkeys(FILE_STORE_MODES, Atomicity.FILE_BY_FILE),
        query=True,
        writable_files=True,
        empty_folders=False,
        processes=True,
    )

    def __init__(self, config: AzureBlobConfig) -> None:
        super().__init__(config)
        self._staging = staging_folder(config.staging_path)
        self._filesystem = AzureBlobStoreFileSystem(config)

    @property
    @override
    def place(self) -> str:
        url: str | None = self.config.url
        account = url.partition("://")[2] if url is not None else "account of the connection string"
        return f"{account}/{self.config.container_name}"

    @property
    @override
    def endpoints(self) -> tuple[Endpoint, ...]:
        parts = urlsplit(self._filesystem.connection.url)
        tls = parts.scheme == "https"
        return (
            Endpoint(
                host=parts.hostname or "",
                port=parts.port or (443 if tls else 80),
                tls=tls and self.config.tls == "verify",
                ca_bundle=self.config.ca_bundle,
            ),
        )

    @override
    def sign_in(self) -> str:
        # Who may not list, or finds no container, has signed in: reading will say what is missing.
        with suppress(PermissionDeniedError, NotFoundError):
            self._filesystem.ls("")
        return str(self.config.signs_in_by)

    @property
    @override
    def filesystem(self) -> AzureBlobStoreFileSystem:
        return self._filesystem

    @override
    def publish_file(self, staged: str, path: str, *, replace: bool) -> None:
        publish.publish_file(self._filesystem, staged, path, replace=replace)

    @override
    def publish_folder(self, change: FolderChange) -> None:
        publish.publish_folder(self._filesystem, change, self._staging)

    @override
    def move_file(self, path: str, target: str, *, version: str) -> None:
        publish.move_file(self._filesystem, path, target, version=version)

    @override
    def close(self) -> None:
        self._filesystem.connection.close()
