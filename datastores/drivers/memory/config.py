"""What a user may set for a store in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from datastores.drivers.config import DriverConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryConfig(DriverConfig):
    """Nothing but where staging is."""

    type_name: ClassVar[str] = "memory"

    staging_path: str = "_datastores"
    """Where transfers keep unfinished files and their journal."""
