from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from datastores.drivers.config import DriverConfig, credential
from datastores.errors import ConfigurationError
from datastores.secrets import Secret, SecretRef

TLS_MODES = ("verify", "disable")


@dataclass(frozen=True, slots=True, kw_only=True)
class AzurePostgreSQLConfig(DriverConfig):
    """One database of a PostgreSQL server, on Azure or anywhere else."""

    type_name: ClassVar[str] = "azure_postgresql"

    server_name: str | None = None
    """The host's full name; the connection string's if None."""
    database_name: str | None = None
    """The connection string's if None."""
    port: int | None = None
    """The connection string's if None, else 5432."""
    tls: str = "verify"
    """`verify` checks the server's certificate and name; `disable` sends all in clear, and warns."""
    ca_bundle: str | None = None
    """File of trusted certificates, in PEM; None for this machine's."""
    connect_timeout_seconds: float = 10.0
    """For each address of the host."""
    statement_timeout_seconds: float | None = None
    """How long one statement of ours may take, a whole COPY included; the server's own limit if None."""
    staging_schema: str = "_datastores"
    """Holds what is written in several parts until it is published; created when needed, dropped when empty."""
    username: str | None = credential("password")  # it declares a field
    password: Secret | SecretRef | None = credential("password", secret=True)
    connection_string: Secret | SecretRef | None = credential("connection_string", secret=True)
    """As libpq or SQLAlchemy write it: `postgresql://...` or `host=... dbname=...`."""

    def __post_init__(self) -> None:
        """Refuse what could not connect.

        Raises:
            ConfigurationError: Nothing says where the server is, or who signs in.
        """
        if self.tls not in TLS_MODES:
            raise ConfigurationError(
                f"tls: {self.tls!r} is not known", advice=f"Known are {', '.join(TLS_MODES)}"
            )
        if self.statement_timeout_seconds is not None and self.statement_timeout_seconds <= 0:
            raise ConfigurationError(
                f"statement_timeout_seconds: {self.statement_timeout_seconds:g} is no time",
                advice="Give seconds, or leave it out for the server's own limit",
            )
        if self.connection_string is not None:
            return
        needed = ("server_name", "database_name", "username", "password")
        missing = [name for name in needed if getattr(self, name) is None]
        if missing:
            raise ConfigurationError(
                f"{self.type_name}: {', '.join(missing)} must be given",
                advice="Or give credentials: connection_string",
            )

    @property
    @override
    def where(self) -> str:
        host = self.server_name or "(host of the connection string)"
        return f"{host}/{self.database_name}" if self.database_name else host
