"""Key Vault for tests: a vault of each test's own, behind a genuine name."""

from __future__ import annotations

import secrets
import threading
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from azure.core.credentials import AccessToken

from tests.services import tokens
from tests.services.certificates import Certificates
from tests.services.fakes import FakeServer

ENDING = ".vault.azure.net"
TENANT = str(uuid.UUID(int=1))
"""The tenant of a new vault."""


@dataclass
class Tokens:
    """A credential as azure-identity makes them, without a service: any tenant, any resource."""

    claims: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[tuple[str, ...], dict[str, Any]]] = field(default_factory=list)
    """Scopes and options of each call."""
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """Return a token for the tenant and scope that were asked for."""
        with self.lock:
            self.asked.append((scopes, options))
        expires = int(time.time()) + 3600
        claims = {
            "aud": scopes[0].removesuffix("/.default"),
            "tid": options.get("tenant_id") or TENANT,
            "exp": expires,
            **self.claims,
        }
        return AccessToken(tokens.issue(claims), expires)


class Vault:
    """One vault: its contents, its faults, and what it was asked."""

    def __init__(self, server: FakeServer, ca_file: Path) -> None:
        self._server = server
        self.ca_file = ca_file
        self.name = f"kv-{secrets.token_hex(6)}"
        self.host = self.name + ENDING
        self.url = f"https://{self.host}"

    def put(self, name: str, value: str, **attributes: Any) -> str:
        """Set a secret and return its version, without a request in the log."""
        version: str = self._order("put", name=name, value=value, **attributes)
        return version

    def value(self, name: str) -> str:
        """Return the newest value of a secret."""
        value: str = self._order("value", name=name)
        return value

    def remove(self, name: str) -> None:
        """Delete a secret; it can be recovered."""
        self._order("remove", name=name)

    def change(self, **settings: Any) -> None:
        """Change the vault's settings: `tenant`, `resource`, `denied`, `window_is_strict`, `delete_seconds`."""
        self._order("change", **settings)

    def fail(self, **fault: Any) -> None:
        """Queue a fault: `status`, `code`, `inner`, `headers`, `delay_seconds`, `drop`, `times`."""
        self._order("fail", **fault)

    def heal(self) -> None:
        """Forget the faults that are left."""
        self._order("heal")

    def log(self) -> list[dict[str, Any]]:
        """Return the requests since the last call."""
        found: list[dict[str, Any]] = self._order("log")
        return found

    def _order(self, order: str, /, **arguments: Any) -> Any:
        return self._server.order(self.host, order, **arguments)


def start_key_vault(certificates: Certificates) -> FakeServer:
    """Start the server of all vaults."""
    return FakeServer("tests.services.key_vault_server", certificates)
