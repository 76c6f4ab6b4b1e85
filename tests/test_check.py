"""What `check_store` finds of stores that work and stores that do not."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from datastores import Datastore
from datastores.check import STAGES, Outcome, check_store
from datastores.drivers.network import Endpoint, connect, find_addresses, handshake, is_private
from datastores.errors import ConfigurationError, ConnectionFailedError


def test_stores_of_this_machine(tmp_path: Path) -> None:
    for fields in (
        {"type": "local", "path": str(tmp_path / "files")},
        {"type": "memory"},
        {"type": "duckdb", "path": str(tmp_path / "a.duckdb")},
    ):
        with Datastore(**fields) as store:
            found = check_store(store)
            assert found.passed
            assert tuple(found.outcomes) == STAGES
            assert found.outcomes["read"] is found.outcomes["write"] is Outcome.OK
            assert found.outcomes["tcp"] is Outcome.NOT_TRIED
            assert "ok" in str(found)
            assert "<table>" in found._repr_html_()
    assert [one for one in tmp_path.rglob("*") if one.is_file()] == []


def test_what_fails_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"no database, and no folder")
    for type_ in ("local", "duckdb"):
        with Datastore(type=type_, path=str(tmp_path / "file")) as store:
            found = check_store(store)
            assert not found.passed
            assert found.outcomes["write"] is Outcome.FAILED
            assert found.failures["write"].target
    assert (tmp_path / "file").read_bytes() == b"no database, and no folder"


@pytest.fixture
def port() -> Iterator[int]:
    """A port of this machine where somebody answers, and not with TLS."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def answer() -> None:
            for _ in range(2):
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(1024)
                    connection.sendall(b"N")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.close()
        thread.join(5)


def test_a_server_without_tls(port: int) -> None:
    begins_at_once = Endpoint(host="127.0.0.1", port=port)
    with (
        connect(begins_at_once, timeout_seconds=5) as connection,
        pytest.raises(ConnectionFailedError, match="no TLS"),
    ):
        handshake(begins_at_once, connection)
    asks = Endpoint(host="127.0.0.1", port=port, tls_request=b"tls?", tls_accepted=b"S")
    with (
        connect(asks, timeout_seconds=5) as connection,
        pytest.raises(ConfigurationError, match="offers no TLS; nothing was sent"),
    ):
        handshake(asks, connection)


def test_a_port_where_nobody_listens() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        free = server.getsockname()[1]
    with pytest.raises(ConnectionFailedError, match="connection refused") as caught:
        connect(Endpoint(host="127.0.0.1", port=free), timeout_seconds=5)
    assert "private endpoints" in (caught.value.advice or "")


def test_names_and_addresses() -> None:
    assert "127.0.0.1" in find_addresses(Endpoint(host="localhost", port=1))
    assert is_private("10.1.2.3")
    assert not is_private("20.1.2.3")
    with pytest.raises(ConnectionFailedError, match=r"no host named 'a\.\.b'"):
        find_addresses(Endpoint(host="a..b", port=1))
