"""What a user may set for a toy store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from datastores.drivers.config import DriverConfig, credential, local_path
from datastores.secrets import Secret, SecretRef


@dataclass(frozen=True, slots=True, kw_only=True)
class ToyConfig(DriverConfig):
    """One SQLite database that holds files. The first to open it sets its password, if any."""

    type_name: ClassVar[str] = "toy"

    path: str = local_path()
    staging_path: str = "_datastores"
    password: Secret | SecretRef | None = credential("password", secret=True)
    token: Secret | SecretRef | None = credential("token", secret=True)
    """Serves as the password does; a second kind shows that two at once are refused."""
