"""Why a connection failed, found out stage by stage: name, TCP, TLS. No secret is needed here."""

from __future__ import annotations

import ssl
import struct

from datastores.drivers.network import Endpoint, connect, handshake
from datastores.errors import DatastoreError

# Asks whether the server would speak TLS; it answers with one letter.
# https://www.postgresql.org/docs/current/protocol-message-formats.html (SSLRequest)
_TLS_REQUEST = struct.pack("!ii", 8, 80877103)
_TLS_ACCEPTED = b"S"


def system_ca_bundle() -> str:
    """Return this machine's file of trusted certificates, or `system` to let OpenSSL look."""
    return ssl.get_default_verify_paths().cafile or "system"


def endpoint_of(host: str, port: int, *, ca_bundle: str | None, tls: bool) -> Endpoint:
    """Return where a server is, and how TLS begins with it."""
    return Endpoint(
        host=host,
        port=port,
        tls=tls,
        ca_bundle=ca_bundle,
        tls_request=_TLS_REQUEST,
        tls_accepted=_TLS_ACCEPTED,
    )


def network_failure(endpoint: Endpoint, *, timeout_seconds: float) -> DatastoreError | None:
    """Return what keeps a client from even asking to sign in, or None if nothing does."""
    try:
        with connect(endpoint, timeout_seconds=timeout_seconds) as connection:
            if endpoint.tls:
                handshake(endpoint, connection)
    except DatastoreError as error:
        return error.located(driver="azure_postgresql", operation="connect")
    return None
