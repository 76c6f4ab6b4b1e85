"""What a running copy tells about its parts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PartProgress:
    """How far one part is."""

    part: str
    label: str
    rows: int
    """Read so far; 0 for a part of files."""
    bytes: int
    """Read so far, of Arrow data or of files."""
    rows_total: int | None
    bytes_total: int | None
    """Estimates, or None."""
    seconds: float
    """Since the part began."""
    done: bool = False
