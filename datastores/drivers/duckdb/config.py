from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from datastores.drivers.config import DriverConfig, local_path


@dataclass(frozen=True, slots=True, kw_only=True)
class DuckDBConfig(DriverConfig):
    """One DuckDB database file. It is created by the first write to it."""

    type_name: ClassVar[str] = "duckdb"

    path: str = local_path()
    """Of the database file; `~` is the user's home."""
    staging_path: str | None = None
    """Folder for parts that are not published yet; None for `<path>.datastores`."""
    read_only: bool = False
    """Other processes that also open it read-only may then read at the same time."""
    memory_limit: str = "256MB"
    """What DuckDB itself may hold, pages of the file above all; sorts and joins beyond it go to disk.

    https://duckdb.org/docs/stable/operations_manual/limits
    """

    @property
    def file(self) -> Path:
        """The database file."""
        return Path(self.path).expanduser()

    @property
    def staging(self) -> Path:
        """The folder that holds one folder for each write under way."""
        if self.staging_path is not None:
            return Path(self.staging_path).expanduser()
        return self.file.with_name(f"{self.file.name}.datastores")
