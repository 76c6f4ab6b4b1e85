from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from datastores.drivers.azure_config import AzureConfig
from datastores.drivers.config import credential
from datastores.errors import ConfigurationError
from datastores.secrets import Secret, SecretRef

PORTS = range(1, 1 << 16)


@dataclass(frozen=True, slots=True, kw_only=True)
class AzurePostgreSQLConfig(AzureConfig):
    """One database of a PostgreSQL server, on Azure or anywhere else."""

    type_name: ClassVar[str] = "azure_postgresql"
    cloud_resource: ClassVar[str] = "database_resource"

    server_name: str | None = None
    """The host's full name; the connection string's if None."""
    database_name: str | None = None
    """The connection string's if None."""
    port: int | None = None
    """The connection string's if None, else 5432."""
    connect_timeout_seconds: float = 10.0
    """For each address of the host."""
    statement_timeout_seconds: float | None = None
    """How long one statement of ours may take, a whole COPY included; the server's own limit if None."""
    staging_schema: str = "_datastores"
    """Holds what is written in several parts until it is published; created when needed, dropped when empty."""
    username: str | None = credential("password", "identity")
    """With an identity the name of its role, in exact case."""
    password: Secret | SecretRef | None = credential("password", secret=True)
    connection_string: Secret | SecretRef | None = credential("connection_string", secret=True)
    """As libpq or SQLAlchemy write it: `postgresql://...` or `host=... dbname=...`. Its `sslrootcert` is
    `ca_bundle`, where that is None; its `sslmode` is not asked, since `tls` says it."""

    @override
    def __post_init__(self) -> None:
        AzureConfig.__post_init__(self)
        if inspect.iscoroutinefunction(getattr(self.identity, "get_token", None)):
            raise ConfigurationError(
                "identity: the credential is asynchronous",
                advice="Give the one of azure.identity, not of azure.identity.aio",
            )
        if self.statement_timeout_seconds is not None and self.statement_timeout_seconds <= 0:
            raise ConfigurationError(
                f"statement_timeout_seconds: {self.statement_timeout_seconds:g} is no time",
                advice="Give seconds, or leave it out for the server's own limit",
            )
        if self.port is not None and self.port not in PORTS:
            raise ConfigurationError(
                f"port: {self.port} is no port", advice=f"Give one from {PORTS[0]} to {PORTS[-1]}"
            )
        if self.connection_string is not None:
            return
        needed = ["server_name", "database_name", "username"]
        if self.signs_in() is None:
            needed.append("password")
        missing = [name for name in needed if getattr(self, name) in (None, "")]
        if missing:
            raise ConfigurationError(
                f"{self.type_name}: {', '.join(missing)} must be given",
                advice="Or give identity in the place of password, or credentials: connection_string",
            )

    @property
    @override
    def where(self) -> str:
        host = self.server_name or "(host of the connection string)"
        return f"{host}/{self.database_name}" if self.database_name else host
