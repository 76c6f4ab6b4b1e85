"""Entra for tests: a tenant of each test's own, behind the genuine name of its endpoint."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from tests.services import tokens
from tests.services.certificates import Certificates
from tests.services.entra_server import HOST, HOST_CHINA
from tests.services.fakes import FakeServer

ENDING = HOST
ENDING_CHINA = HOST_CHINA
FIRST_SECRET = "first-s3cret"  # noqa: S105  # of a fake
"""What a new tenant's application signs in by."""


class Tenant:
    """One tenant with one application; over plain HTTP also a machine with a managed identity."""

    def __init__(self, server: FakeServer, ca_file: Path | None) -> None:
        self._server = server
        self.ca_file = ca_file
        self.id = str(uuid.uuid4())
        self.client_id = str(uuid.uuid4())
        self.accept(FIRST_SECRET)

    def accept(self, *client_secrets: str, assertions: tuple[str, ...] = ()) -> None:
        """Let the application sign in by these, and by nothing else."""
        application = {"secrets": client_secrets, "assertions": assertions}
        self.change(applications={self.client_id: application})

    def vouch(self, token: str) -> str:
        """Let a job of the application be vouched for by its token; return the endpoint for it."""
        self.accept()
        self.change(job={"client_id": self.client_id, "token": token})
        return f"{self.address}/oidc"

    @property
    def address(self) -> str:
        """Scheme, host, port and the tenant's own part of the path."""
        scheme = "https" if self.ca_file else "http"
        return f"{scheme}://localhost:{self.port}/{self.id}"

    def is_of(self, token: str, client_id: str | None = None) -> bool:
        """Return whether a token is this tenant's for its application, or another client."""
        claims = tokens.claims_of(token)
        return (claims["tid"], claims["appid"]) == (self.id, client_id or self.client_id)

    def change(self, **settings: Any) -> None:
        """Change the tenant's settings: `applications`, `resources`, `token_seconds`, `machine`."""
        self._order("change", **settings)

    def fail(self, **fault: Any) -> None:
        """Queue a fault: `status`, `code`, `message`, `headers`, `delay_seconds`, `times`."""
        self._order("fail", **fault)

    def discoveries(self) -> int:
        """Return how many look-ups of an unknown authority there were, of any tenant, since the last call."""
        return len(self._server.order("common", "log"))

    @property
    def port(self) -> int:
        """Where it listens on loopback."""
        return self._server.process.port

    def tokens_asked(self) -> int:
        """Return how many requests for a token there were since the last call."""
        return sum(path.endswith("/token") for path in self.asked())

    def asked(self) -> list[str]:
        """Return the paths that were asked for since the last call."""
        return [one["path"] for one in self._order("log")]

    def _order(self, order: str, /, **arguments: Any) -> Any:
        return self._server.order(self.id, order, **arguments)


def start_entra(certificates: Certificates | None) -> FakeServer:
    """Start the server of all tenants; without certificates over plain HTTP."""
    return FakeServer("tests.services.entra_server", certificates)
