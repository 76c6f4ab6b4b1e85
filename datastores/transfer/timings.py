"""When the parts and the phases of a copy ran. Plain values: a part may have run elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One step of a copy as a whole. Its times are seconds since the copy began."""

    name: str
    """`plan`, `stage` (all parts), `publish`, or `verify` and `archive` where they were asked for."""
    began_seconds: float
    ended_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PartReport:
    """What one part did. Its times are seconds since the copy began."""

    name: str
    label: str
    worker: str
    """Who ran it: a thread, or another process as `HOST:PID` or as Dask calls it."""
    began_seconds: float
    ended_seconds: float
    rows: int
    """Staged; 0 for a part of files."""
    bytes_read: int
    bytes_written: int
    attempts: int
    """More than one where an error passed; what is counted is the last one's."""

    @property
    def number(self) -> int:
        """Among the plan's parts, counted from 1 as on a terminal."""
        return int(self.name) + 1


class Stopwatch:
    """The seconds since a copy began, and the phases that they went into."""

    def __init__(self) -> None:
        self.began = datetime.now(UTC)
        self.phases: list[Phase] = []
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the copy began."""
        return time.monotonic() - self._began

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Note how long the block takes, if it ends well."""
        began = self.seconds
        yield
        self.phases.append(Phase(name=name, began_seconds=began, ended_seconds=self.seconds))
