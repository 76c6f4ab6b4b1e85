"""What a user may set for a local folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from datastores.drivers.config import DriverConfig, local_path


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalConfig(DriverConfig):
    """Which folder is the store."""

    type_name: ClassVar[str] = "local"

    path: str = local_path()
    """A folder; `~` is the home folder. It is made on the first write, not before."""
    staging_path: str = "_datastores"
    """Where unfinished files wait, relative to `path`; on the same filesystem as the rest."""
