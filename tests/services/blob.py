"""Blob storage that minds whose token it is sent: an account of a test's own, at a genuine address."""

from __future__ import annotations

import secrets

from tests.services.certificates import Certificates
from tests.services.entra import Tenant
from tests.services.fakes import FakeServer

ENDING = ".blob.core.windows.net"
ENDING_CHINA = ".blob.core.chinacloudapi.cn"


class Account:
    """One account, which one application may read."""

    def __init__(self, server: FakeServer, reader: Tenant, *, ending: str = ENDING) -> None:
        self.name = f"acme{secrets.token_hex(6)}"
        self._server, self._host = server, self.name + ending
        self.change(tenant=reader.id, client_id=reader.client_id)

    def change(self, **settings: str) -> None:
        """Change what tokens it takes: `tenant`, `client_id`, `resource`."""
        self._server.order(self._host, "change", **settings)

    def requests(self) -> int:
        """Return how many requests there were since the last call."""
        return len(self._server.order(self._host, "log"))


def start_blob(certificates: Certificates) -> FakeServer:
    """Start the server of all accounts."""
    return FakeServer("tests.services.blob_server", certificates)
