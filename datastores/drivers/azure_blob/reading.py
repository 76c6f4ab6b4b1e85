"""Listings of blobs as files and folders, and files being read."""

from __future__ import annotations

import asyncio
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.storage.blob import BlobProperties
from azure.storage.blob.aio import BlobPrefix
from fsspec.spec import AbstractBufferedFile
from typing_extensions import override

from datastores.drivers.azure_blob import errors
from datastores.drivers.azure_blob.client import BLOCK_BYTES, Connection, Container

Info = dict[str, Any]


def folder_info(path: str) -> Info:
    """Return what `info` says of a folder."""
    return {"name": path, "size": 0, "type": "directory"}


def blob_info(found: BlobProperties | BlobPrefix) -> Info:
    """Return what `info` says of one entry of a listing."""
    if isinstance(found, BlobPrefix) or _marks_folder(found):
        return folder_info(found.name.rstrip("/"))
    return {
        "name": found.name,
        "size": found.size,
        "type": "file",
        "mtime": found.last_modified.timestamp(),
        "created": found.creation_time.timestamp(),
        "etag": found.etag.strip('"'),
    }


async def look_up(container: Container, path: str) -> Info | None:
    """Return what stands at a path: a blob, or a folder in which one stands; None for neither."""
    if not path:
        await container.client.get_container_properties()
        return folder_info("")
    blob, inner = await asyncio.gather(_find_blob(container, path), _find_inner(container, path))
    if blob is not None and blob["type"] == "file":
        return blob
    return folder_info(path) if blob is not None or inner else None


async def find_obstacle(container: Container, path: str) -> str | None:
    """Return the first of a path's parents that is a file, if one is."""
    parts = path.split("/")
    parents = ["/".join(parts[:count]) for count in range(1, len(parts))]
    found = await asyncio.gather(*(_find_blob(container, one) for one in parents))
    files = [one["name"] for one in found if one is not None and one["type"] == "file"]
    return str(files[0]) if files else None


async def list_folder(container: Container, path: str) -> list[Info]:
    """Return the files and folders in a folder, by name; nothing for one that is not there."""
    found: dict[str, Info] = {}
    prefix = f"{path}/" if path else None
    async for one in container.client.walk_blobs(prefix, include=["metadata"], delimiter="/"):
        info = blob_info(one)
        # A folder may be listed twice: as a prefix, and by the blob that marks it.
        if info["type"] == "directory" or info["name"] not in found:
            found[info["name"]] = info
    found.pop(path, None)
    return [found[name] for name in sorted(found)]


async def list_tree(container: Container, path: str) -> list[Info]:
    """Return all the files in a folder, at any depth, by name."""
    prefix = f"{path}/" if path else None
    blobs = container.client.list_blobs(name_starts_with=prefix, include=["metadata"])
    infos = [blob_info(one) async for one in blobs]
    return [one for one in infos if one["type"] == "file"]


async def list_names(container: Container, path: str) -> list[str]:
    """Return the names of all blobs in a folder, those that only mark folders included."""
    blobs = container.client.list_blobs(name_starts_with=f"{path}/" if path else None)
    return [one.name async for one in blobs]


async def read_range(
    container: Container, path: str, start: int, end: int, etag: str | None = None
) -> bytes:
    """Return the bytes of a range, as far as the blob has them; of the blob with that etag."""
    condition: dict[str, Any] = {}
    if etag is not None:
        condition = {"etag": f'"{etag}"', "match_condition": MatchConditions.IfNotModified}
    blob = container.client.get_blob_client(path)
    try:
        stream = await blob.download_blob(start, end - start, **condition)
        content: bytes = await stream.readall()
    except HttpResponseError as error:
        if errors.is_out_of_range(error):
            return b""
        raise
    return content


class BlobFile(AbstractBufferedFile):  # type: ignore[misc]  # fsspec has no types
    """A blob being read, as it was when it was opened: a changed one is an error."""

    def __init__(self, fs: Any, connection: Connection, info: Info, **options: Any) -> None:
        self._connection = connection
        self._info = info
        options = {"block_size": BLOCK_BYTES, "cache_type": "readahead", **options}
        super().__init__(fs, info["name"], "rb", size=info["size"], **options)

    @property
    def details(self) -> Info:
        """What `info` said when it was opened."""
        return self._info

    @details.setter
    def details(self, value: Info) -> None:
        self._info = value

    @override
    def _fetch_range(self, start: int, end: int) -> bytes:
        path, etag = self._info["name"], self._info["etag"]

        async def read(container: Container) -> bytes:
            return await read_range(container, path, start, end, etag)

        return self._connection.run("read", path, read)


def _marks_folder(found: BlobProperties) -> bool:
    # Data Lake accounts and Hadoop mark folders by empty blobs, with a slash or with metadata.
    metadata = {name.lower(): value for name, value in (found.metadata or {}).items()}
    return bool(found.name.endswith("/") or metadata.get("hdi_isfolder") == "true")


async def _find_blob(container: Container, path: str) -> Info | None:
    try:
        found = await container.client.get_blob_client(path).get_blob_properties()
    except ResourceNotFoundError as error:
        if errors.is_missing_blob(error):
            return None
        raise
    return blob_info(found)


async def _find_inner(container: Container, path: str) -> bool:
    blobs = container.client.list_blobs(name_starts_with=f"{path}/", results_per_page=1)
    async for _ in blobs:
        return True
    return False
