"""What every driver with a network does: nothing secret leaves it before the server is verified.

A driver's test class inherits `TlsConformance` beside its suite, and gives the fixture `tls_server`
and `driver_at`; `before_tls` too where a protocol does not begin with TLS:

    class TestAzurePostgreSQL(TableDriverConformance, TlsConformance):
        @pytest.fixture
        def tls_server(self, postgresql): ...
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from datastores.drivers.base import Driver
from datastores.errors import (
    ConfigurationError,
    ConnectionFailedError,
    DatastoreError,
    DatastoreWarning,
)

PLANTED = "planted-Pa55word"
_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsServer:
    """A genuine server, and what an impostor of it has."""

    host: str
    port: int
    ca_bundle: str
    """Verifies its certificate, which no authority signed that this machine trusts."""
    elsewhere: str
    """A certificate of another host with its key, in PEM; of an authority in `ca_bundle`."""
    credentials: Mapping[str, Any]
    """Settings that sign in to it."""
    planted: Sequence[Mapping[str, Any]]
    """Settings that would send `PLANTED`: one for each way to sign in."""


class PlantedCredential:
    """A credential whose token is `PLANTED`."""

    def get_token(self, *_scopes: str, **_options: Any) -> Any:
        """Return it, as azure-core's `TokenCredential` does."""
        return _Token(PLANTED, int(time.time()) + 3600)


@dataclass(frozen=True, slots=True)
class _Token:
    token: str
    expires_on: int


class Line:
    """One client of an impostor, before TLS; what it says is remembered."""

    def __init__(self, connection: socket.socket, heard: bytearray) -> None:
        self._connection, self._heard = connection, heard

    def receive(self, size: int) -> bytes:
        """Return at most `size` bytes."""
        data = self._connection.recv(size)
        self._heard += data
        return data

    def send(self, data: bytes) -> None:
        """Send it."""
        self._connection.sendall(data)


class TlsConformance:
    """Verified by default, by a bundle where one is named, and before anything secret is sent."""

    @pytest.fixture
    def tls_server(self) -> TlsServer:
        """A running server with TLS."""
        raise NotImplementedError("the test class has no fixture named tls_server")

    def driver_at(self, host: str, port: int, **fields: Any) -> Driver:
        """Return a driver whose server is there.

        Args:
            host: The server's.
            port: The server's.
            fields: All other settings of the store: `ca_bundle`, `tls`, and who signs in.
        """
        raise NotImplementedError("the test class does not say how a driver is made")

    def before_tls(self, line: Line, *, offered: bool) -> None:
        """Speak as the service does until TLS begins; if none is offered, ask for the password."""
        if not offered:
            line.receive(65_536)
            line.send(b"no TLS here\r\n")

    def test_the_server_is_verified_by_default(self, tls_server: TlsServer) -> None:
        with pytest.raises(ConfigurationError, match="not trusted") as caught:
            self._sign_in(tls_server, tls_server.credentials, ca_bundle=None)
        assert "ca_bundle" in str(caught.value)

    def test_an_authority_is_trusted_by_name(self, tls_server: TlsServer) -> None:
        self._sign_in(tls_server, tls_server.credentials)

    def test_what_is_no_file_of_authorities_is_named(
        self, tls_server: TlsServer, tmp_path: Path
    ) -> None:
        (tmp_path / "no.pem").write_text("none")
        for name, reason in (("missing.pem", "no such file"), ("no.pem", "no certificates in PEM")):
            with pytest.raises(ConfigurationError, match=f"ca_bundle: .*{name}: .*{reason}"):
                self._sign_in(tls_server, tls_server.credentials, ca_bundle=str(tmp_path / name))

    def test_a_server_without_tls_is_sent_nothing_secret(self, tls_server: TlsServer) -> None:
        for planted in tls_server.planted:
            with self._impostor(tls_server, None) as (port, heard):
                with pytest.raises((ConfigurationError, ConnectionFailedError)) as caught:
                    self._sign_in(tls_server, planted, port=port)
                assert heard
                assert PLANTED.encode() not in heard
                assert PLANTED not in str(caught.value)

    def test_a_server_of_another_name_is_sent_nothing_secret(self, tls_server: TlsServer) -> None:
        for planted in tls_server.planted:
            with self._impostor(tls_server, tls_server.elsewhere) as (port, heard):
                with pytest.raises(ConfigurationError, match="not trusted"):
                    self._sign_in(tls_server, planted, port=port)
                assert PLANTED.encode() not in heard

    def test_the_impostors_hear_what_is_not_protected(self, tls_server: TlsServer) -> None:
        """Where `tls: disable` was said; so the tests above would notice."""
        said = b""
        for certificate in (None, tls_server.elsewhere):
            with (
                self._impostor(tls_server, certificate) as (port, heard),
                pytest.warns(DatastoreWarning, match="tls: disable"),
                pytest.raises(DatastoreError),
            ):
                self._sign_in(tls_server, tls_server.planted[0], port=port, tls="disable")
            said += heard
        assert PLANTED.encode() in said

    def _sign_in(self, server: TlsServer, fields: Mapping[str, Any], **changes: Any) -> None:
        given = {"host": server.host, "port": server.port, "ca_bundle": server.ca_bundle}
        with self.driver_at(**{**given, **fields, **changes}) as driver:
            driver.sign_in()

    @contextlib.contextmanager
    def _impostor(
        self, server: TlsServer, certificate: str | None
    ) -> Iterator[tuple[int, bytearray]]:
        """Yield the port of a server that takes what it is sent, and what that was so far."""
        heard = bytearray()
        with socket.create_server((server.host, 0)) as listener:
            thread = threading.Thread(target=self._listen, args=(listener, certificate, heard))
            thread.start()
            try:
                yield listener.getsockname()[1], heard
            finally:
                # Closing it would not wake who waits in `accept`.
                listener.shutdown(socket.SHUT_RDWR)
                thread.join()

    def _listen(self, listener: socket.socket, certificate: str | None, heard: bytearray) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            # Clients go away in the middle: that is what they are to do.
            with connection, contextlib.suppress(OSError):
                connection.settimeout(_SECONDS)
                self.before_tls(Line(connection, heard), offered=certificate is not None)
                self._hear(connection, certificate, heard)

    def _hear(self, connection: socket.socket, certificate: str | None, heard: bytearray) -> None:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            connection = context.wrap_socket(connection, server_side=True)
        with connection:
            heard += connection.recv(65_536)
