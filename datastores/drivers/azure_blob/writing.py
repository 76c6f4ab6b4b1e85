"""Files being written: blocks that nobody sees until they are committed, all at once."""

from __future__ import annotations

import contextlib
import io
import random
import shutil
import tempfile
import time
import uuid
from collections import deque
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.storage.blob import BlobBlock
from azure.storage.blob.aio import BlobClient
from fsspec import AbstractFileSystem
from typing_extensions import Buffer, override

from datastores.drivers.azure_blob.client import BLOCK_BYTES, Connection, Container, Submitted
from datastores.drivers.pending_file import PendingFile
from datastores.errors import AlreadyExistsError, NotFoundError, PreconditionFailedError

BLOCKS_IN_FLIGHT = 4

APPEND_ATTEMPTS = 50
"""Each meets somebody else's append to the same blob, which has succeeded."""

# Up to here a blob is sent by one request. The SDK hands its content to aiohttp as bytes, which
# holds up every other request while it sends more than these at once.
_ONE_REQUEST_BYTES = 1 << 20

# A block blob has at most 50 000 blocks, so that blocks grow with the blob: 8 MiB for the first
# 10 000 of them, then twice that, and so on, up to 2.4 TiB.
# https://learn.microsoft.com/rest/api/storageservices/put-block#remarks
_BLOCKS_OF_ONE_SIZE = 10_000


class BlockSink(io.RawIOBase):
    """Takes bytes one after another and stages them as blocks; memory is a few blocks."""

    def __init__(self, connection: Connection, path: str) -> None:
        self._connection = connection
        self._path = path
        self._buffer = bytearray()
        self._length = 0
        # Blocks of one blob have ids of one length; another writer of the same name has others.
        self._writer = uuid.uuid4().hex
        self._blocks: list[str] = []
        self._in_flight: deque[Submitted[Any]] = deque()

    @override
    def writable(self) -> bool:
        return True

    @override
    def tell(self) -> int:
        return self._length

    @override
    def seek(self, offset: int, whence: int = 0, /) -> int:
        raise io.UnsupportedOperation("a blob is written from its beginning to its end")

    @override
    def write(self, data: Buffer, /) -> int:
        view = memoryview(data).cast("B")
        self._buffer += view
        self._length += len(view)
        while len(self._buffer) > self._block_bytes:
            block = bytes(memoryview(self._buffer)[: self._block_bytes])
            del self._buffer[: self._block_bytes]
            self._stage(block)
        return len(view)

    def commit(self, *, creating: bool, etag: str | None = None) -> None:
        """Make the blob of what was written.

        Args:
            creating: Only if there is no blob of that name.
            etag: Only if the blob there has still this one.
        """
        condition: dict[str, Any] = {}
        if creating:
            condition = {"match_condition": MatchConditions.IfMissing}
        elif etag is not None:
            condition = {"etag": f'"{etag}"', "match_condition": MatchConditions.IfNotModified}
        if not self._length or (not condition and self._length <= _ONE_REQUEST_BYTES):
            content = bytes(self._buffer)
            # `overwrite` is the SDK's word for "with no condition of its own".
            options = {"overwrite": True, **condition}

            async def upload(container: Container) -> Any:
                return await container.client.upload_blob(self._path, content, **options)

            self._connection.run("write", self._path, upload, creating=creating)
            return
        self._stage(bytes(self._buffer))
        self._settle(0)
        blocks = [BlobBlock(block_id=name) for name in self._blocks]

        async def commit(container: Container) -> None:
            blob = container.client.get_blob_client(self._path)
            try:
                await blob.commit_block_list(blocks, **condition)
            except HttpResponseError:
                # The SDK tries again when an answer is lost, and meets what its first try made.
                if not condition or not await self._is_committed(blob):
                    raise

        self._connection.run("write", self._path, commit, creating=creating)

    @override
    def close(self) -> None:
        while self._in_flight:
            self._in_flight.popleft().future.cancel()
        self._buffer.clear()
        super().close()

    async def _is_committed(self, blob: BlobClient) -> bool:
        try:
            committed, _ = await blob.get_block_list("committed")
        except ResourceNotFoundError:
            return False
        return [one.id for one in committed] == self._blocks

    @property
    def _block_bytes(self) -> int:
        return BLOCK_BYTES << (len(self._blocks) // _BLOCKS_OF_ONE_SIZE)

    def _stage(self, block: bytes) -> None:
        name = f"{self._writer}-{len(self._blocks):05d}"

        async def stage(container: Container) -> Any:
            # aiohttp sends large bytes in one go, and a file in pieces that let others work.
            blob = container.client.get_blob_client(self._path)
            return await blob.stage_block(name, io.BytesIO(block), len(block))

        self._blocks.append(name)
        self._in_flight.append(self._connection.submit(stage))
        self._settle(BLOCKS_IN_FLIGHT)

    def _settle(self, most: int) -> None:
        """Wait until at most so many blocks are in flight."""
        while len(self._in_flight) > most:
            self._connection.wait("write", self._path, self._in_flight.popleft())


class BlobPendingFile(PendingFile):
    """A blob being written, from its beginning to its end; `seek` is not to be had."""

    def __init__(self, connection: Connection, path: str, mode: str, *, autocommit: bool) -> None:
        self._blocks = BlockSink(connection, path)
        # A raw file, and all that PendingFile calls it has.
        super().__init__(path, mode, self._blocks, start=0, autocommit=autocommit)  # type: ignore[arg-type]

    @override
    def _publish(self) -> None:
        self._blocks.commit(creating=self.mode == "xb")

    @override
    def _drop(self) -> None:
        self._blocks.close()


class BlobAppendFile(PendingFile):
    """What is added to a blob, kept on this machine until it is closed.

    Then the blob is written anew, the old content before the new, unless somebody else has changed
    it meanwhile: then once more.
    """

    def __init__(
        self,
        filesystem: AbstractFileSystem,
        connection: Connection,
        path: str,
        *,
        start: int,
        autocommit: bool,
    ) -> None:
        self._filesystem = filesystem
        self._connection = connection
        self._added = tempfile.SpooledTemporaryFile(BLOCK_BYTES)  # noqa: SIM115  # closed by _drop
        super().__init__(path, "ab", self._added, start=start, autocommit=autocommit)

    @override
    def _publish(self) -> None:
        for attempt in range(1, APPEND_ATTEMPTS + 1):
            try:
                self._append()
            except (AlreadyExistsError, PreconditionFailedError):
                if attempt == APPEND_ATTEMPTS or self._filesystem.isdir(self.path):
                    raise
                # Those who met must not meet again.
                time.sleep(random.uniform(0, 0.02 * attempt))  # noqa: S311  # no secret
            else:
                return

    def _append(self) -> None:
        etag = None
        with contextlib.closing(BlockSink(self._connection, self.path)) as sink:
            with contextlib.suppress(NotFoundError), self._filesystem.open(self.path, "rb") as file:
                etag = file.details["etag"]
                shutil.copyfileobj(file, sink, BLOCK_BYTES)
            self._added.seek(0)
            shutil.copyfileobj(self._added, sink, BLOCK_BYTES)
            sink.commit(creating=etag is None, etag=etag)

    @override
    def _drop(self) -> None:
        self._added.close()
