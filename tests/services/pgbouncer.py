"""PgBouncer in front of a test's PostgreSQL: TLS with the run's certificate, passwords by scram-sha-256."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tests.services import install
from tests.services.certificates import Certificates
from tests.services.postgresql import Login
from tests.services.process import LOOPBACK, ServerProcess, accepts, unprivileged_user

POOL_SIZE = 3
"""How many connections of the server's all clients of one role share."""
WAIT_SECONDS = 2
"""How long a client waits for one of them before it is sent away."""


@contextmanager
def pgbouncer(login: Login, certificates: Certificates, pool_mode: str) -> Iterator[Login]:
    """Yield how a role signs in through a pooler of its own, and end that afterwards.

    Args:
        login: The role, and the server behind.
        certificates: The pooler's towards its clients.
        pool_mode: `transaction` or `session`.
    """
    program = install.pgbouncer_program()

    def command(folder: Path, port: int) -> list[str]:
        settings = {
            "listen_addr": LOOPBACK,
            "listen_port": port,
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": folder / "users",
            "client_tls_sslmode": "require",
            "client_tls_cert_file": folder / "server.pem",
            "client_tls_key_file": folder / "server.key",
            "server_tls_sslmode": "require",
            "pool_mode": pool_mode,
            "default_pool_size": POOL_SIZE,
            "query_wait_timeout": WAIT_SECONDS,
        }
        lines = [
            "[databases]",
            f"* = host={login.host} port={login.port}",
            "[pgbouncer]",
            *(f"{name} = {value}" for name, value in settings.items()),
        ]
        ini = process.place("pgbouncer.ini", "\n".join(lines).encode())
        return [str(program), str(ini)]

    process = ServerProcess("pgbouncer", command, answers=accepts, user=unprivileged_user())
    try:
        process.place("users", f'"{login.username}" "{login.password}"\n'.encode())
        process.place("server.pem", certificates.certificate.read_bytes())
        process.place("server.key", certificates.key.read_bytes())
        process.start()
        yield replace(login, port=process.port, ca_file=certificates.authority)
    finally:
        # At once, and not when the last client has gone.
        process.close(signal.SIGTERM)
