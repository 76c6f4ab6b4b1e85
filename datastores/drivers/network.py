"""From a host's name to a verified TLS connection, a stage at a time; no secret is needed here."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from dataclasses import dataclass

from typing_extensions import override

from datastores.errors import ConfigurationError, ConnectionFailedError
from datastores.trust import trusting

# Where Azure's public names end; a private endpoint's DNS zone is the same with a word before it.
_AZURE = (".windows.net", ".azure.com", ".azure.net")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One address that a driver connects to."""

    host: str
    port: int
    tls: bool = True
    ca_bundle: str | None = None
    """File of trusted certificates, in PEM; None for this machine's."""
    tls_request: bytes = b""
    """What a client says before it may begin TLS; most protocols begin at once."""
    tls_accepted: bytes = b""
    """The server's answer to it if it offers TLS."""

    @override
    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def find_addresses(endpoint: Endpoint) -> list[str]:
    """Return the addresses that the host's name means here.

    Raises:
        ConnectionFailedError: None.
    """
    try:
        found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ConnectionFailedError(
            f"no host named {endpoint.host!r} is known",
            target=str(endpoint),
            advice="Look at the server's or account's name, and at this machine's DNS",
        ) from error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def is_private(address: str) -> bool:
    """Return whether an address is of a private network, as a private endpoint's is."""
    return ipaddress.ip_address(address.partition("%")[0]).is_private


def connect(endpoint: Endpoint, *, timeout_seconds: float) -> socket.socket:
    """Return a TCP connection; `timeout_seconds` is for each address of the host.

    Raises:
        ConnectionFailedError: No address answers; the advice has the likely cause.
    """
    addresses = find_addresses(endpoint)
    reason = "no answer"
    for address in addresses:
        try:
            return socket.create_connection((address, endpoint.port), timeout=timeout_seconds)
        except TimeoutError:
            reason = f"no answer within {timeout_seconds:g} s"
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
    raise ConnectionFailedError(
        f"no connection to {endpoint}: {reason}",
        target=str(endpoint),
        advice=_likely_cause(endpoint, addresses[0]),
    )


def handshake(endpoint: Endpoint, connection: socket.socket) -> str:
    """Begin TLS as a client of the service does, verified; return the protocol's version.

    Raises:
        ConfigurationError: The server offers none, or its certificate is not trusted, or `ca_bundle`
            is no file of certificates.
        ConnectionFailedError: It answers something else, or not at all.
    """
    context = trusting(endpoint.ca_bundle)
    try:
        if endpoint.tls_request:
            connection.sendall(endpoint.tls_request)
            if connection.recv(len(endpoint.tls_accepted)) != endpoint.tls_accepted:
                raise ConfigurationError(
                    f"{endpoint} offers no TLS; nothing was sent to it",
                    target=str(endpoint),
                    advice="Turn TLS on at the server; tls: disable would send all in clear",
                )
        with context.wrap_socket(connection, server_hostname=endpoint.host) as verified:
            return verified.version() or "TLS"
    except ssl.SSLCertVerificationError as error:
        raise ConfigurationError(
            f"the certificate of {endpoint} is not trusted: {error.verify_message}",
            target=str(endpoint),
            advice="Set ca_bundle to the file of who signed it, and the host to a name in it",
        ) from error
    except OSError as error:
        raise ConnectionFailedError(
            f"no TLS with {endpoint}: {error.strerror or error}",
            target=str(endpoint),
            advice="Look at the port, and at the server's TLS settings",
        ) from error


def _likely_cause(endpoint: Endpoint, address: str) -> str:
    host = endpoint.host
    if host.endswith(_AZURE) and not is_private(address):
        zone = f"privatelink.{host.partition('.')[2]}"
        return (
            f"The name means a public address ({address}): if the service has a private endpoint, "
            f"this machine does not use its DNS zone ({zone}); else look at firewall rules"
        )
    return "Look whether the server runs there, and at firewalls and private endpoints"
