"""A container as a filesystem: names with slashes are paths, and folders are what blobs are in."""

from __future__ import annotations

import asyncio
import contextlib
import os
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import ResourceNotFoundError
from fsspec.callbacks import DEFAULT_CALLBACK
from typing_extensions import override

from datastores.drivers.azure_blob import errors, reading
from datastores.drivers.azure_blob.client import Connection, Container
from datastores.drivers.azure_blob.config import AzureBlobConfig
from datastores.drivers.azure_blob.copying import copy_blob
from datastores.drivers.azure_blob.reading import BlobFile, Info
from datastores.drivers.azure_blob.writing import BlobAppendFile, BlobPendingFile
from datastores.drivers.filesystem import StoreFileSystem
from datastores.errors import (
    NotFoundError,
    PreconditionFailedError,
)
from datastores.location import join_path

REQUESTS_IN_FLIGHT = 16


class AzureBlobStoreFileSystem(StoreFileSystem):
    """Blobs by path. Folders are not things of their own: each exists while a blob is in it.

    Nothing is cached: a listing shows what is there now. A blob is written from its beginning to
    its end, and appending to one writes it anew.
    """

    protocol = "datastore-azure-blob"

    def __init__(self, config: AzureBlobConfig, **options: Any) -> None:
        super().__init__(config=config, **options)
        self._config = config
        self.connection = Connection(config)

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, AzureBlobStoreFileSystem) and self._config == other._config

    @override
    def __hash__(self) -> int:
        return hash((type(self), self._config.url, self._config.container_name))

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._config,)

    @override
    def info(self, path: str, **kwargs: Any) -> Info:
        name = self._strip_protocol(path)
        found = self._look_up("info", name)
        if found is None:
            raise errors.is_absent(name)
        return found

    @override
    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        name = self._strip_protocol(path)

        async def list_folder(container: Container) -> list[Info]:
            return await reading.list_folder(container, name)

        found = self.connection.run("list", name, list_folder)
        if not found and name:
            found = [one for one in [self.info(name)] if one["type"] == "file"]
        return found if detail else [one["name"] for one in found]

    @override
    def find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        **kwargs: Any,
    ) -> Any:
        if maxdepth is not None:
            return super().find(path, maxdepth, withdirs, detail, **kwargs)
        name = self._strip_protocol(path)

        async def list_tree(container: Container) -> list[Info]:
            return await reading.list_tree(container, name)

        found = {one["name"]: one for one in self.connection.run("list", name, list_tree)}
        if not found and name:
            one = self._look_up("list", name)
            found = {name: one} if one is not None and one["type"] == "file" else {}
        elif withdirs:
            found |= {one: reading.folder_info(one) for one in _folders(found, name)}
        names = sorted(found)
        return {one: found[one] for one in names} if detail else names

    @override
    def _open(self, path: str, mode: str = "rb", *, autocommit: bool = True, **kwargs: Any) -> Any:
        name = self._strip_protocol(path)
        if mode == "rb":
            found = self.info(name)
            if found["type"] == "directory":
                raise errors.is_folder(name)
            known = {key: kwargs[key] for key in ("cache_type", "cache_options") if key in kwargs}
            return BlobFile(self, self.connection, found, **known)
        existing = self._check_write(name, mode)
        self.refuse_obstacle(name)
        if mode == "ab":
            start = existing["size"] if existing is not None else 0
            return BlobAppendFile(self, self.connection, name, start=start, autocommit=autocommit)
        return BlobPendingFile(self.connection, name, mode, autocommit=autocommit)

    @override
    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any
    ) -> bytes:
        name = self._strip_protocol(path)
        if start is None and end is None:

            async def read_all(container: Container) -> bytes:
                content: bytes = await container._cat_file(name)  # noqa: SLF001  # adlfs' own
                return content

            return self._read(name, read_all)
        if end is None or (start or 0) < 0 or end < 0:
            start, end, _ = slice(start, end).indices(self.info(name)["size"])
        first, last = start or 0, end
        if last <= first:
            # No request asks for nothing, and a missing file is an error all the same.
            if self.info(name)["type"] == "directory":
                raise errors.is_folder(name)
            return b""

        async def read(container: Container) -> bytes:
            return await reading.read_range(container, name, first, last)

        return self._read(name, read)

    @override
    def get_file(
        self,
        rpath: str,
        lpath: Any,
        callback: Any = DEFAULT_CALLBACK,
        outfile: Any = None,
        **kwargs: Any,
    ) -> None:
        name = self._strip_protocol(rpath)
        if outfile is not None or not isinstance(lpath, str | os.PathLike) or self.isdir(name):
            super().get_file(rpath, lpath, callback=callback, outfile=outfile, **kwargs)
            return
        os.makedirs(os.path.dirname(os.path.abspath(lpath)), exist_ok=True)
        part = f"{os.fspath(lpath)}.{uuid.uuid4().hex[:8]}.part"

        async def get(container: Container) -> None:
            await container._get_file(name, part, callback=callback)  # noqa: SLF001  # adlfs' own

        try:
            self.connection.run("read", name, get)
            os.replace(part, lpath)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.remove(part)

    @override
    def mkdir(self, path: str, create_parents: bool = True, **kwargs: Any) -> None:
        self.makedirs(path)

    @override
    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        name = self._strip_protocol(path)
        found = self._look_up("mkdir", name)
        if found is not None and (found["type"] == "file" or not exist_ok):
            raise errors.exists(name)
        self.refuse_obstacle(name)

    @override
    def rmdir(self, path: str) -> None:
        name = self._strip_protocol(path)
        if self.info(name)["type"] == "file":
            raise errors.through_file(name)
        raise PreconditionFailedError(
            f"{name!r} is a folder that is not empty", driver="azure_blob", target=name
        )

    @override
    def rm_file(self, path: str) -> None:
        name = self._strip_protocol(path)

        async def delete(container: Container) -> None:
            await container.client.delete_blob(name)

        self.connection.run("delete", name, delete)

    @override
    def _remove_tree(self, path: str) -> None:
        async def delete(container: Container) -> None:
            names = await reading.list_names(container, path)
            # The last one is there only where a blob marks the folder itself.
            await self._delete_all(container, [*names, path] if path else names)

        self.connection.run("delete", path, delete)

    @override
    def cp_file(self, path1: str, path2: str, **kwargs: Any) -> None:
        source, target = self._strip_protocol(path1), self._strip_protocol(path2)
        if self.info(source)["type"] == "directory":
            self.makedirs(target, exist_ok=True)
            return
        self._check_write(target, "wb")
        self.refuse_obstacle(target)
        self.copy_blobs([(source, target)])

    @override
    def _rename(self, source: str, target: str) -> None:
        found = self.info(source)
        if source == target:
            return
        self.refuse_obstacle(target)
        if found["type"] == "file":
            self._check_write(target, "wb")
            pairs = [(source, target)]
        else:
            if self.exists(target):
                raise errors.exists(target)
            pairs = [(one, join_path(target, one[len(source) :])) for one in self.find(source)]
        self.copy_blobs(pairs)
        self.delete_blobs([one for one, _ in pairs])

    @override
    def touch(self, path: str, truncate: bool = True, **kwargs: Any) -> None:
        if truncate or not self.exists(path):
            self.pipe_file(path, b"")

    def copy_blobs(self, pairs: Sequence[tuple[str, str]], *, creating: bool = False) -> None:
        """Copy blobs inside the container, on the server, and wait until each is whole.

        Raises:
            AlreadyExistsError: `creating`, and a target is there.
        """

        async def copy(container: Container) -> None:
            await _gather(
                copy_blob(container, one, other, creating=creating) for one, other in pairs
            )

        # Of many pairs the error names the first; it is right for the usual one.
        self.connection.run("copy", pairs[0][1] if pairs else "", copy, creating=creating)

    def delete_blobs(self, names: Sequence[str]) -> None:
        """Delete blobs; those that are gone already are no error."""

        async def delete(container: Container) -> None:
            await self._delete_all(container, names)

        self.connection.run("delete", names[0] if names else "", delete)

    def copy_version(self, source: str, target: str, etag: str) -> None:
        """Copy a blob that has this etag to where nothing is.

        Raises:
            AlreadyExistsError: The target is there.
            PreconditionFailedError: The blob has another etag.
        """

        async def copy(container: Container) -> None:
            await copy_blob(container, source, target, creating=True, etag=etag)

        self.connection.run("copy", target, copy, creating=True)

    def delete_version(self, path: str, etag: str) -> None:
        """Delete a blob that has this etag.

        Raises:
            PreconditionFailedError: It has another one.
        """
        condition: Any = {"etag": f'"{etag}"', "match_condition": MatchConditions.IfNotModified}

        async def delete(container: Container) -> None:
            await container.client.delete_blob(path, **condition)

        self.connection.run("delete", path, delete)

    def look_up_all(self, paths: Sequence[str]) -> list[Info | None]:
        """Return what stands at each path, asking for many at once."""

        async def look_up(container: Container) -> list[Info | None]:
            return await _gather(reading.look_up(container, one) for one in paths)

        return self.connection.run("info", paths[0] if paths else "", look_up)

    async def _delete_all(self, container: Container, names: Iterable[str]) -> None:
        async def delete(name: str) -> None:
            try:
                await container.client.delete_blob(name)
            except ResourceNotFoundError as error:
                if not errors.is_missing_blob(error):
                    raise

        await _gather(delete(name) for name in names)

    def _look_up(self, operation: str, path: str) -> Info | None:
        async def look_up(container: Container) -> Info | None:
            return await reading.look_up(container, path)

        return self.connection.run(operation, path, look_up)

    def refuse_folder_or_obstacle(self, path: str) -> None:
        """Raise if a path is a folder, or a parent of it a file: the service would keep both."""
        if self.isdir(path):
            raise errors.exists(path)
        self.refuse_obstacle(path)

    def refuse_obstacle(self, path: str) -> None:
        """Raise if a parent of a path is a file: the service would keep both."""

        async def find(container: Container) -> str | None:
            return await reading.find_obstacle(container, path)

        if "/" in path and (obstacle := self.connection.run("write", path, find)) is not None:
            raise errors.through_file(obstacle)

    def _read(self, path: str, read: Any) -> bytes:
        try:
            content: bytes = self.connection.run("read", path, read)
        except NotFoundError:
            if self.isdir(path):
                raise errors.is_folder(path) from None
            raise
        return content


async def _gather(calls: Iterable[Any]) -> list[Any]:
    """Await calls, a bounded number at a time; the first error is raised once all have ended."""
    limit = asyncio.Semaphore(REQUESTS_IN_FLIGHT)

    async def one(call: Any) -> Any:
        async with limit:
            return await call

    found = await asyncio.gather(*(one(call) for call in calls), return_exceptions=True)
    for result in found:
        if isinstance(result, BaseException):
            raise result
    return list(found)


def _folders(names: Iterable[str], path: str) -> set[str]:
    """Return the folders that files are in, `path` itself and what is below it."""
    found = {path} if path else set()
    for name in names:
        parent = name.rpartition("/")[0]
        while len(parent) > len(path):
            found.add(parent)
            parent = parent.rpartition("/")[0]
    return found
