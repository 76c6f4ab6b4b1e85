"""Why a connection failed, found out stage by stage: name, TCP, TLS. No secret is needed here."""

from __future__ import annotations

import socket
import ssl
import struct

from datastores.errors import ConfigurationError, ConnectionFailedError, DatastoreError

# Asks whether the server would speak TLS; it answers with one letter.
# https://www.postgresql.org/docs/current/protocol-message-formats.html (SSLRequest)
_TLS_REQUEST = struct.pack("!ii", 8, 80877103)


def system_ca_bundle() -> str:
    """Return this machine's file of trusted certificates, or `system` to let OpenSSL look."""
    return ssl.get_default_verify_paths().cafile or "system"


def network_failure(
    host: str, port: int, *, ca_bundle: str | None, tls: bool, timeout_seconds: float
) -> DatastoreError | None:
    """Return what keeps a client from even asking to sign in, or None if nothing does."""
    target = f"{host}:{port}"
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return _failed(
            f"no host named {host!r} is known",
            target,
            "Look at server_name, or at this machine's DNS",
        )
    connection = None
    for family, kind, protocol, _, address in addresses:
        connection = socket.socket(family, kind, protocol)
        connection.settimeout(timeout_seconds)
        try:
            connection.connect(address)
            break
        except OSError as error:
            connection.close()
            reason, connection = error.strerror or str(error) or "no answer", None
    if connection is None:
        return _failed(
            f"no connection to {target}: {reason.lower()}",
            target,
            "Look whether the server runs there, and at firewalls and private endpoints",
        )
    with connection:
        return _tls_failure(connection, host, target, ca_bundle) if tls else None


def _tls_failure(
    connection: socket.socket, host: str, target: str, ca_bundle: str | None
) -> DatastoreError | None:
    try:
        connection.sendall(_TLS_REQUEST)
        answer = connection.recv(1)
    except OSError as error:
        return _failed(
            f"{target} does not answer: {error}", target, "Look whether it is PostgreSQL"
        )
    if answer == b"N":
        return ConfigurationError(
            f"{target} offers no TLS; nothing was sent to it",
            driver="azure_postgresql",
            operation="connect",
            target=target,
            advice="Turn TLS on at the server; tls: disable would send the password in clear",
        )
    if answer != b"S":
        return _failed(f"{target} does not answer as PostgreSQL does", target, "Look at the port")
    try:
        context = ssl.create_default_context(cafile=ca_bundle)
        context.wrap_socket(connection, server_hostname=host).close()
    except ssl.SSLCertVerificationError as error:
        return ConfigurationError(
            f"the certificate of {target} is not trusted: {error.verify_message}",
            driver="azure_postgresql",
            operation="connect",
            target=target,
            advice="Set ca_bundle to the file of who signed it, and server_name to a name in it",
        )
    except OSError as error:
        return _failed(f"no TLS with {target}: {error}", target, "Look at its TLS settings")
    return None


def _failed(message: str, target: str, advice: str) -> ConnectionFailedError:
    return ConnectionFailedError(
        message, driver="azure_postgresql", operation="connect", target=target, advice=advice
    )
