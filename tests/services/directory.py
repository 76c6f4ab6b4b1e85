"""What Azure's PostgreSQL does with a token, for a PostgreSQL that knows nothing of Entra.

PostgreSQL hands the password of a role in the group `entra` to this directory, as one that speaks
LDAP: it is right if it is a token for databases, still good, and of the role's own application.

Source: https://www.postgresql.org/docs/current/auth-ldap.html, RFC 4511 section 4.2
"""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Iterator
from typing import Any

from typing_extensions import override

from tests.services import tokens
from tests.services.entra import Tenant
from tests.services.process import LOOPBACK

GROUP = "entra"
RESOURCE = "https://ossrdbms-aad.database.windows.net"
_BIND, _OK, _INVALID_CREDENTIALS = 0x60, 0, 49


class Directory(socketserver.ThreadingTCPServer):
    """Listens at a free port of loopback. Roles are told to it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__((LOOPBACK, 0), _Connection)
        self.roles: dict[str, Tenant] = {}
        """Role -> the tenant whose application it is."""
        self.seen: dict[str, list[str]] = {}
        """Role -> the tokens that it was right with."""
        self.lock = threading.Lock()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def rule(self) -> str:
        """The line of pg_hba.conf that asks here."""
        return (
            f"hostssl all +{GROUP} all ldap ldapserver={LOOPBACK} ldapport={self.port} "
            'ldapprefix="cn=" ldapsuffix=""'
        )

    def admits(self, role: str, password: str) -> bool:
        """Return whether a role's password is a token of its application."""
        tenant = self.roles[role]
        right = (
            password.count(".") == 2  # a token has three parts
            and tokens.why_not(password, audience=RESOURCE, tenant=tenant.id) is None
            and tenant.is_of(password)
        )
        if right:
            with self.lock:
                self.seen.setdefault(role, []).append(password)
        return right


class _Connection(socketserver.StreamRequestHandler):
    server: Directory

    @override
    def handle(self) -> None:
        while head := self.rfile.read(1):
            _, message, _ = _split(head + self._rest())
            _, number, rest = _split(message)
            kind, operation, _ = _split(rest)
            if kind != _BIND:
                return
            _, _version, rest = _split(operation)
            _, name, rest = _split(rest)
            _, password, _ = _split(rest)
            admitted = self.server.admits(name.decode().removeprefix("cn="), password.decode())
            code = _OK if admitted else _INVALID_CREDENTIALS
            reply = _made(0x61, _made(0x0A, bytes([code])) + _made(0x04, b"") + _made(0x04, b""))
            self.wfile.write(_made(0x30, _made(0x02, number) + reply))

    def _rest(self) -> bytes:
        length = self.rfile.read(1)
        size = length[0]
        if size & 0x80:
            more = self.rfile.read(size & 0x7F)
            length, size = length + more, int.from_bytes(more, "big")
        return length + self.rfile.read(size)


def _split(encoded: bytes) -> tuple[int, bytes, bytes]:
    """Return the kind and content of the first element of an encoding by BER, and what follows it."""
    size, start = encoded[1], 2
    if size & 0x80:
        start += size & 0x7F
        size = int.from_bytes(encoded[2:start], "big")
    return encoded[0], encoded[start : start + size], encoded[start + size :]


def _made(kind: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes([size]) if size < 0x80 else b"\x82" + size.to_bytes(2, "big")  # the short form
    return bytes([kind]) + length + content


@contextlib.contextmanager
def directory() -> Iterator[Any]:
    """Serve until the block ends."""
    with Directory() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
