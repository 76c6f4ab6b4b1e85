"""The contract between a copy's run and what it copies: rows or files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from datastores.drivers.base import Receipt
from datastores.transfer.meter import Meter
from datastores.transfer.plan import CopyPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one task reads and stages."""

    name: str
    label: str
    items: tuple[Any, ...]
    """Splits of a read plan, or files."""
    rows: int | None = None
    bytes: int | None = None


class Job(ABC):
    """One copy, planned: its parts may run in any order, then one publish."""

    plan: CopyPlan
    parts: Sequence[Part]

    @abstractmethod
    def begin(self) -> None:
        """Prepare the staging."""

    @abstractmethod
    def run(self, part: Part, meter: Meter) -> Receipt:
        """Read and stage one part."""

    @abstractmethod
    def publish(self, receipts: Sequence[Receipt]) -> None:
        """Make the staged parts the target's, once."""

    @abstractmethod
    def verify(self, meters: Sequence[Meter]) -> str | None:
        """Compare both ends after publishing; return the digest, or raise `DataError`."""

    @abstractmethod
    def discard(self) -> None:
        """Remove the staging; published rows stay."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the source's snapshot."""
