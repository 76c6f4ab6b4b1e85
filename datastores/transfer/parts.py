"""The contract between a copy's run and what it copies: rows or files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datastores.datastore import StorePath
from datastores.drivers.base import Driver
from datastores.drivers.reading import ReadPlan, Split
from datastores.drivers.writing import JobEntry, Receipt, new_job_id
from datastores.scan import Scan
from datastores.transfer.journal import Identity, PartNote
from datastores.transfer.meter import Meter
from datastores.transfer.options import CopyOptions
from datastores.transfer.plan import CopyPlan
from datastores.types.digest import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one task reads and stages."""

    name: str
    label: str
    items: tuple[Any, ...]
    """Splits of a read plan, or files."""
    rows: int | None = None
    bytes: int | None = None


class Work(ABC):
    """How one part is read and staged. Pickles without a secret, if both ends let other processes in."""

    part: Part
    call: str
    """Whose it is: of a job that goes on each call has its own."""

    @abstractmethod
    def run(self, meter: Meter) -> Receipt:
        """Read and stage the part; its note names the call."""

    @abstractmethod
    def forget(self) -> None:
        """Take the part back, so that it can be staged anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What one call of `copy` is asked for, and what an earlier call of its job left."""

    source: StorePath | Scan
    target: StorePath
    options: CopyOptions
    identity: Identity
    entry: JobEntry | None = None


class Job(ABC):
    """One copy, planned: its parts may run in any order, then one publish."""

    plan: CopyPlan
    parts: Sequence[Part]
    is_half_published: bool = False
    """Whether the target has its rows, and those that were left out are still to be published."""

    def __init__(self, asked: Asked) -> None:
        self.call = new_job_id()
        """Tells this call from others of the same job."""
        self._asked = asked

    @abstractmethod
    def begin(self) -> JobEntry | None:
        """Prepare the staging; return what an earlier call left there that is of use."""

    def count_refused(self) -> None:  # noqa: B027  # files have no values
        """Let the plan say how many of the source's values the copy would refuse."""

    @abstractmethod
    def work(self, part: Part) -> Work:
        """Return how one part is read and staged, once the staging is there."""

    @abstractmethod
    def ends(self) -> Mapping[str, Driver]:
        """Return the drivers that parts are read and written with, by their stores' names."""

    @abstractmethod
    def is_unchanged(self, item: Any, mark: str, rows: int, rejected: int | None) -> bool:
        """Return whether the source holds what it did when an item had that mark and so many rows."""

    @abstractmethod
    def forget(self, part: str) -> None:
        """Take a part back, so that it can be staged anew."""

    @abstractmethod
    def publish(self, receipts: Sequence[Receipt]) -> None:
        """Make the staged parts the target's, once."""

    @abstractmethod
    def verify(self, digests: Sequence[Digest]) -> str | None:
        """Compare both ends after publishing; return the digest, or raise `DataError`."""

    @abstractmethod
    def leave(self) -> bool:
        """Let go of the staging, which stays for a later call; return whether finished parts do."""

    def leave_entry(self) -> None:
        """Let go of a job that is published, whose entry in the target's journal stays to say so."""
        self.leave()

    @abstractmethod
    def discard(self) -> None:
        """Remove the staging; published rows stay."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the source's snapshot."""

    def keep(self, entry: JobEntry | None) -> dict[str, tuple[Receipt, PartNote]]:
        """Return the parts that an earlier call finished and that are what they would be now.

        Others are taken back: their source has changed, or nothing proves that it has not.
        """
        kept: dict[str, tuple[Receipt, PartNote]] = {}
        parts = {one.name: one for one in self.parts}
        for receipt in entry.receipts if entry else ():
            note = PartNote.load(receipt.note, receipt.part)
            part = parts.get(receipt.part)
            if part is not None and self.is_proved(part, note):
                kept[part.name] = receipt, note
            else:
                self.forget(receipt.part)
        return kept

    def is_proved(self, part: Part, note: PartNote) -> bool:
        """Return whether what an earlier call staged of a part is what this one would."""
        if self.plan.verify and note.digest is None:
            return False
        if len(note.marks) != len(part.items):
            return False
        rejected = note.rows_rejected or [None] * len(part.items)
        pieces = zip(part.items, note.marks, note.rows_read, rejected, strict=True)
        return all(
            mark is not None and self.is_unchanged(item, mark, rows, left_out)
            for item, mark, rows, left_out in pieces
        )


def parts_of(plan: ReadPlan, max_parts: int | None) -> list[Part]:
    """Return one part for each split, or one for all of them where the target takes no more."""
    groups: list[tuple[Split, ...]] = [(split,) for split in plan.splits]
    if max_parts is not None and len(groups) > max_parts:
        groups = [plan.splits]
    # A source without a row still has a schema to write.
    groups = groups or [()]
    total = plan.rows or 0
    parts = []
    for number, group in enumerate(groups):
        known = [split.rows for split in group]
        rows = None if None in known else sum(filter(None, known))
        size = plan.bytes * rows // total if plan.bytes and rows is not None and total else None
        label = group[0].label if len(group) == 1 else f"{len(group)} {plan.split_by}"
        parts.append(Part(name=str(number), label=label, items=group, rows=rows, bytes=size))
    return parts
