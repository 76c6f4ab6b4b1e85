"""Whether a service can be reached, stage by stage: name, TCP, TLS. No secret is needed here."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from datastores.errors import ConfigurationError, ConnectionFailedError, DatastoreError


class Stage(StrEnum):
    """One step on the way to a store, each standing on the one before."""

    NAME = "name"
    TCP = "tcp"
    TLS = "tls"
    SIGN_IN = "sign-in"
    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One address that a driver talks to."""

    host: str
    port: int
    tls: bool = True
    tls_request: bytes = b""
    """What asks the server for TLS, if it does not begin with it; the answer `S` is yes."""
    ca_bundle: str | None = None
    timeout_seconds: float = 10.0

    @property
    def target(self) -> str:
        """Host and port, for people."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """How one stage went."""

    stage: Stage
    error: DatastoreError | None = None
    note: str = ""
    """What was found, such as `private address 10.0.0.4`."""


def system_ca_bundle() -> str:
    """Return this machine's file of trusted certificates, or `system` to let OpenSSL look."""
    return ssl.get_default_verify_paths().cafile or "system"


def reach(endpoint: Endpoint) -> Iterator[Reached]:
    """Yield the stages up to the first that fails."""
    try:
        found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        yield Reached(
            stage=Stage.NAME,
            error=_failed(
                endpoint,
                f"no host named {endpoint.host!r} is known",
                "Look at its name in the config, or at this machine's DNS",
            ),
        )
        return
    address = str(found[0][4][0])
    kind = "private" if ipaddress.ip_address(address.partition("%")[0]).is_private else "public"
    yield Reached(stage=Stage.NAME, note=f"{kind} address {address}")
    connection = _connect(endpoint, kind)
    if isinstance(connection, DatastoreError):
        yield Reached(stage=Stage.TCP, error=connection)
        return
    with connection:
        yield Reached(stage=Stage.TCP)
        if endpoint.tls:
            yield Reached(stage=Stage.TLS, error=_tls_failure(connection, endpoint))


def network_failure(endpoint: Endpoint) -> DatastoreError | None:
    """Return what keeps a client from even asking to sign in, or None if nothing does."""
    return next((one.error for one in reach(endpoint) if one.error is not None), None)


def _connect(endpoint: Endpoint, kind: str) -> socket.socket | DatastoreError:
    try:
        return socket.create_connection(
            (endpoint.host, endpoint.port), timeout=endpoint.timeout_seconds
        )
    except OSError as error:
        reason = (error.strerror or str(error) or "no answer").lower()
    advice = "Look whether the server runs there, and at firewalls"
    if kind == "public":
        advice += (
            "; the address is public: if the server has a private endpoint, this machine does not "
            "use its DNS zone"
        )
    return _failed(endpoint, f"no connection to {endpoint.target}: {reason}", advice)


def _tls_failure(connection: socket.socket, endpoint: Endpoint) -> DatastoreError | None:
    try:
        if endpoint.tls_request:
            connection.sendall(endpoint.tls_request)
            answer = connection.recv(1)
            if answer == b"N":
                return _refused(
                    endpoint,
                    f"{endpoint.target} offers no TLS; nothing was sent to it",
                    "Turn TLS on at the server; tls: disable would send the password in clear",
                )
            if answer != b"S":
                return _failed(
                    endpoint,
                    f"{endpoint.target} does not answer as its service does",
                    "Look at the port",
                )
        context = ssl.create_default_context(cafile=endpoint.ca_bundle)
        context.wrap_socket(connection, server_hostname=endpoint.host).close()
    except ssl.SSLCertVerificationError as error:
        return _refused(
            endpoint,
            f"the certificate of {endpoint.target} is not trusted: {error.verify_message}",
            "Set ca_bundle to the file of who signed it, and the host to a name in it",
        )
    except OSError as error:
        return _failed(
            endpoint, f"no TLS with {endpoint.target}: {error}", "Look at its TLS settings"
        )
    return None


def _failed(endpoint: Endpoint, message: str, advice: str) -> ConnectionFailedError:
    return ConnectionFailedError(
        message, operation="connect", target=endpoint.target, advice=advice
    )


def _refused(endpoint: Endpoint, message: str, advice: str) -> ConfigurationError:
    return ConfigurationError(message, operation="connect", target=endpoint.target, advice=advice)
