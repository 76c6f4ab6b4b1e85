"""Copies of blobs inside a container."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.storage.blob.aio import BlobClient

from datastores.drivers.azure_blob.client import Container
from datastores.errors import DriverError, OperationTimeoutError

_COPY_POLL_SECONDS = 0.5
_COPY_SECONDS = 3600


async def copy_blob(
    container: Container, source: str, target: str, *, creating: bool, etag: str | None = None
) -> None:
    """Copy a blob inside the container, on the server, and wait until it is whole.

    Args:
        container: Of both.
        source: The blob's name.
        target: The name of the copy.
        creating: Only where nothing is.
        etag: Only if the blob has this one.
    """
    condition: dict[str, Any] = {"match_condition": MatchConditions.IfMissing} if creating else {}
    if etag is not None:
        only = MatchConditions.IfNotModified
        condition |= {"source_etag": f'"{etag}"', "source_match_condition": only}
    blob = container.client.get_blob_client(target)
    url = container.client.get_blob_client(source).url
    status: Any = "pending"
    try:
        status = (await blob.start_copy_from_url(url, **condition))["copy_status"]
    except HttpResponseError:
        # The SDK tries again when an answer is lost, and meets what its first try made. Of a blob
        # that has been there under this name in several versions, that might be another's.
        if not creating or etag is not None or not await _is_copy(blob, url):
            raise
    deadline = time.monotonic() + _COPY_SECONDS
    while status == "pending":
        await asyncio.sleep(_COPY_POLL_SECONDS)
        copy = (await blob.get_blob_properties()).copy
        status = copy.status
        if status == "pending" and time.monotonic() > deadline:
            await blob.abort_copy(str(copy.id))
            raise OperationTimeoutError(f"the copy to {target!r} did not finish", target=target)
    # A blob that somebody else wrote meanwhile is no copy: it has no status.
    if status not in {"success", None}:
        raise DriverError(f"the copy to {target!r} ended as {status}", target=target)


async def _is_copy(blob: BlobClient, url: str) -> bool:
    """Tell whether a blob was made by copying what has an address, its signature apart."""
    try:
        found = (await blob.get_blob_properties()).copy.source
    except ResourceNotFoundError:
        return False
    return found is not None and found.partition("?")[0] == url.partition("?")[0]
