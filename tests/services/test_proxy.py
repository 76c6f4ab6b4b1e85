import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.services.process import LOOPBACK
from tests.services.proxy import Faults, Proxy


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that sends back what it gets; yields its port."""

    def serve(connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(1024):
                    connection.sendall(data)
            except OSError:
                return

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=[connection], daemon=True).start()

    listener = socket.create_server((LOOPBACK, 0))
    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


@pytest.fixture
def through(proxy: Callable[[int], Proxy], echo: int) -> Proxy:
    return proxy(echo)


def exchange(proxy: Proxy, data: bytes, *, timeout: float = 5) -> bytes:
    """Send data through the proxy, and return as much of it as comes back."""
    with socket.create_connection((LOOPBACK, proxy.port), timeout=timeout) as connection:
        connection.sendall(data)
        found = b""
        while len(found) < len(data) and (part := connection.recv(1024)):
            found += part
        return found


def test_nothing_happens_without_a_fault(through: Proxy) -> None:
    assert exchange(through, b"x" * 100_000) == b"x" * 100_000
    assert through.connections == 1


@pytest.mark.parametrize(
    "faults", [Faults(refuse=True), Faults(reset_after_sent=10), Faults(reset_after_received=10)]
)
def test_resets(through: Proxy, faults: Faults) -> None:
    through.faults = faults
    with pytest.raises(ConnectionError):
        exchange(through, b"x" * 100)
    through.faults = Faults()
    assert exchange(through, b"after") == b"after"


def test_reset_lets_the_bytes_before_it_through(through: Proxy) -> None:
    through.faults = Faults(reset_after_received=10)
    with socket.create_connection((LOOPBACK, through.port), timeout=5) as connection:
        connection.sendall(b"0123456789")
        assert connection.recv(100) == b"0123456789"
        connection.sendall(b"x")
        with pytest.raises(ConnectionError):
            connection.recv(100)


@pytest.mark.parametrize("faults", [Faults(stall_after_sent=4), Faults(stall_after_received=4)])
def test_stalls(through: Proxy, faults: Faults) -> None:
    through.faults = faults
    with socket.create_connection((LOOPBACK, through.port), timeout=0.5) as connection:
        connection.sendall(b"0123456789")
        if faults.stall_after_received:
            assert connection.recv(100) == b"0123"
        with pytest.raises(TimeoutError):
            connection.recv(100)


@pytest.mark.parametrize("faults", [Faults(flip_sent=2), Faults(flip_received=2)])
def test_one_bit(through: Proxy, faults: Faults) -> None:
    through.faults = faults
    assert exchange(through, b"0000") == b"0010"


def test_other_words(through: Proxy) -> None:
    through.faults = Faults(replace_received=(b"abc", b"xyz"))
    assert exchange(through, b"0abc0") == b"0xyz0"


def test_delay(through: Proxy) -> None:
    through.faults = Faults(delay_seconds=0.1)
    before = time.monotonic()
    assert exchange(through, b"x") == b"x"
    assert time.monotonic() - before >= 0.2


def test_cut(through: Proxy) -> None:
    with socket.create_connection((LOOPBACK, through.port), timeout=5) as connection:
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
        through.cut()
        with pytest.raises(ConnectionError):
            connection.recv(1)
    assert exchange(through, b"again") == b"again"
