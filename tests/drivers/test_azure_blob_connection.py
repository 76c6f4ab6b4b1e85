"""When a connection to Blob storage ends: closed by another thread, or left behind by a fork."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from datastores.drivers.azure_blob.client import Container
from datastores.drivers.azure_blob.driver import AzureBlobDriver
from datastores.errors import ConnectionFailedError
from tests.services.process import forked

Make = Callable[..., AzureBlobDriver]


def test_a_forked_process_has_connections_of_its_own(make_blob: Make) -> None:
    filesystem = make_blob().filesystem
    filesystem.pipe_file("a", b"x")
    assert forked(lambda: bytes(filesystem.cat_file("a"))) == b"x"
    assert filesystem.cat_file("a") == b"x"


def test_a_store_that_is_closed_while_it_is_read(make_blob: Make) -> None:
    filesystem = make_blob().filesystem
    filesystem.pipe_file("a", b"x")
    connection = filesystem.connection

    async def read(container: Container) -> bytes:
        await asyncio.to_thread(connection.close)
        content: bytes = await container._cat_file("a")
        return content

    with pytest.raises(ConnectionFailedError, match="was closed while this was under way"):
        connection.run("read", "a", read)
    assert filesystem.cat_file("a") == b"x"
    with pytest.raises(ConnectionFailedError, match="was closed while this was under way"):
        connection.wait("read", "a", connection.submit(read))
    assert filesystem.cat_file("a") == b"x"
