"""A server as it is from afar: each connection carries so much a second, and no more.

Usage: python -m benchmarks.far PORT MEGABYTES_PER_SECOND. Prints the port that leads to PORT of this
machine, and serves until its input ends. A process of its own, so that it takes no time from the copies.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

_LOOPBACK = "127.0.0.1"
_CHUNK_BYTES = 64 << 10


@contextmanager
def far(port: int, megabytes_per_second: float) -> Iterator[int]:
    """Yield a port that leads to another one, from afar."""
    command = [sys.executable, "-m", "benchmarks.far", str(port), str(megabytes_per_second)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None  # noqa: S101
        assert process.stdin is not None  # noqa: S101
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()


async def _carry(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, bytes_per_second: float
) -> None:
    free_at = 0.0
    while data := await reader.read(_CHUNK_BYTES):
        writer.write(data)
        await writer.drain()
        # The way is busy until the chunk is over; what was idle before is not made up for.
        free_at = max(free_at, time.monotonic()) + len(data) / bytes_per_second
        await asyncio.sleep(max(0.0, free_at - time.monotonic()))
    writer.close()


async def _serve(port: int, bytes_per_second: float) -> None:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, onward = await asyncio.open_connection(_LOOPBACK, port)
        await asyncio.gather(
            _carry(reader, onward, bytes_per_second),
            _carry(there, writer, bytes_per_second),
            return_exceptions=True,
        )

    server = await asyncio.start_server(accept, _LOOPBACK, 0, limit=_CHUNK_BYTES)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    # Connections that are open still are cut, without a word of theirs.
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2]) * 1e6))
