"""A TCP proxy that does to a connection what networks do: refuse, reset, stall, flip a bit, delay."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from tests.services.process import LOOPBACK

_CHUNK_BYTES = 16_384
# Close at once and send RST, whatever was not sent yet.
_LINGER_NONE = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What happens to each connection made from now on. Offsets count from its beginning."""

    refuse: bool = False
    """Connections are reset as soon as they are made."""
    reset_after_sent: int | None = None
    """Bytes from the client after which the connection is reset, both ways."""
    reset_after_received: int | None = None
    """Bytes from the server after which the connection is reset, both ways."""
    stall_after_sent: int | None = None
    """Bytes from the client after which no more pass, either way; the connection stays."""
    stall_after_received: int | None = None
    """Bytes from the server after which no more pass, either way; the connection stays."""
    flip_sent: int | None = None
    """Which byte from the client has its lowest bit flipped."""
    flip_received: int | None = None
    """Which byte from the server has its lowest bit flipped."""
    replace_received: tuple[bytes, bytes] | None = None
    """Words from the server, and others of the same length that come in their place."""
    delay_seconds: float = 0.0
    """How long each chunk waits, either way."""


class Proxy:
    """Listens at a free port of loopback and passes bytes to a server, with `faults`."""

    def __init__(self, port: int) -> None:
        self._target = (LOOPBACK, port)
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port: int = self._listener.getsockname()[1]
        self.faults = Faults()
        self.connections = 0
        """How many were made."""
        self._lock = threading.Lock()
        self._open: set[_Connection] = set()
        self._accepting = threading.Thread(target=self._accept, name="proxy", daemon=True)
        self._accepting.start()

    def cut(self) -> None:
        """Reset every connection there is, as a server does that dies."""
        with self._lock:
            connections = list(self._open)
        for one in connections:
            one.reset()

    def close(self) -> None:
        """Stop listening and reset every connection."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join(timeout=10)
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            faults = self.faults
            try:
                if faults.refuse:
                    raise ConnectionRefusedError
                server = socket.create_connection(self._target, timeout=10)
            except OSError:
                _reset(client)
                continue
            server.settimeout(None)
            connection = _Connection(client, server, faults, self._forget)
            with self._lock:
                self._open.add(connection)
            connection.start()

    def _forget(self, connection: _Connection) -> None:
        with self._lock:
            self._open.discard(connection)


class _Connection:
    """Two sockets, and a thread for each way."""

    def __init__(
        self,
        client: socket.socket,
        server: socket.socket,
        faults: Faults,
        done: Callable[[_Connection], None],
    ) -> None:
        self._client, self._server, self._faults = client, server, faults
        self._done = done
        self._ways = 2
        self._lock = threading.Lock()
        self._stalled = threading.Event()
        self._ended = threading.Event()

    def start(self) -> None:
        """Pass bytes both ways until one side ends, or a fault does."""
        faults = self._faults
        sent = (faults.reset_after_sent, faults.stall_after_sent, faults.flip_sent, None)
        received = (
            faults.reset_after_received,
            faults.stall_after_received,
            faults.flip_received,
            faults.replace_received,
        )
        for source, target, limits in (
            (self._client, self._server, sent),
            (self._server, self._client, received),
        ):
            threading.Thread(target=self._pass, args=(source, target, *limits), daemon=True).start()

    def reset(self) -> None:
        """Drop the connection on both sides, without the farewell of TCP."""
        self._ended.set()
        for one in (self._client, self._server):
            _reset(one)

    def _pass(
        self,
        source: socket.socket,
        target: socket.socket,
        reset_after: int | None,
        stall_after: int | None,
        flip: int | None,
        replace: tuple[bytes, bytes] | None,
    ) -> None:
        passed = 0
        try:
            while data := source.recv(_CHUNK_BYTES):
                if self._faults.delay_seconds:
                    time.sleep(self._faults.delay_seconds)
                if flip is not None and passed <= flip < passed + len(data):
                    flipped = bytearray(data)
                    flipped[flip - passed] ^= 1
                    data = bytes(flipped)
                if replace is not None:
                    data = data.replace(*replace)
                if stall_after is not None and passed + len(data) > stall_after:
                    target.sendall(data[: stall_after - passed])
                    self._stalled.set()
                if self._stalled.is_set():
                    self._ended.wait()
                    return
                if reset_after is not None and passed + len(data) > reset_after:
                    target.sendall(data[: reset_after - passed])
                    self.reset()
                    return
                target.sendall(data)
                passed += len(data)
            if not self._ended.is_set():
                target.shutdown(socket.SHUT_WR)
        except OSError:
            self.reset()
        finally:
            self._finish()

    def _finish(self) -> None:
        with self._lock:
            self._ways -= 1
            last = not self._ways
        if last:
            self._client.close()
            self._server.close()
            self._done(self)


def _reset(one: socket.socket) -> None:
    with suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
    # A thread that waits in `recv` holds the socket open: shutting it down wakes that thread.
    with suppress(OSError):
        one.shutdown(socket.SHUT_RD)
    one.close()


@contextmanager
def proxied(port: int) -> Iterator[Proxy]:
    """Yield a proxy in front of a port of loopback, and close it afterwards."""
    proxy = Proxy(port)
    try:
        yield proxy
    finally:
        proxy.close()
