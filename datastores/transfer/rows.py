"""Copies of rows: splits of one snapshot, converted exactly, staged by the target's driver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pyarrow as pa
from typing_extensions import override

from datastores.drivers.base import Driver
from datastores.drivers.reading import Split
from datastores.drivers.writing import JobEntry, Receipt, WriteSession, new_job_id
from datastores.errors import ConflictError
from datastores.scan import Scan
from datastores.transfer.compare import compare
from datastores.transfer.comparison import Comparison
from datastores.transfer.endpoints import RowSource, place
from datastores.transfer.journal import PartNote, check_rows
from datastores.transfer.parts import Asked, Job, Part
from datastores.transfer.plan import CopyPlan
from datastores.transfer.rejects import RejectsWrite
from datastores.transfer.row_plan import RowPlan
from datastores.transfer.row_work import RowWork
from datastores.transfer.sides import Side
from datastores.types.digest import Digest
from datastores.types.text import describe_type

_SHARED_WITH_DIFF = frozenset({"columns", "filters", "rename", "types"})
_ONLY_IN_PYTHON = frozenset({"source_format", "source_format_options", "format", "format_options"})


class RowJob(Job):
    """A copy of rows, planned under an open snapshot; close it when it is over."""

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self._rows = RowPlan(asked)
        self._command = _command(asked)
        self._session: WriteSession | None = None
        self._rejects_write: RejectsWrite | None = None
        self.parts = self._rows.parts
        self.plan = self._rows.copy

    @override
    def count_refused(self) -> None:
        self.plan = self._rows.with_refused()

    @override
    def begin(self) -> JobEntry | None:
        entry, planned = self._asked.entry, self._rows
        increment = planned.increment
        columns = _columns(planned.request.schema, self.plan)
        rows = repr((columns, increment and increment.condition))
        with planned.at_target("copy"):
            if entry is not None and not self._asked.identity.is_of(entry, rows):
                planned.driver.forget_job(entry.job)
                entry = None
            if planned.expectation:
                planned.expectation.before()
            kept = None if increment is None else increment.kept
            journal = self._asked.identity.journal(rows, planned.splits, kept)
            request = replace(planned.request, journal=journal)
            try:
                self._session = planned.driver.begin(request)
            except ConflictError:
                if self._asked.identity.given:
                    raise
                # Another process copies the same: this call is a job of its own.
                request, entry = replace(request, job=new_job_id()), None
                self.plan = replace(self.plan, job=request.job)
                self._session = planned.driver.begin(request)
        if planned.rejects:
            self._rejects_write = planned.rejects.begin(self.plan, anew=entry is None)
        return entry

    @override
    def work(self, part: Part) -> RowWork:
        planned = self._rows
        return RowWork(
            part=part,
            call=self.call,
            driver=planned.source.driver,
            schema=planned.read.schema,
            conversion=planned.conversion,
            session=self._begun,
            source=planned.source_context,
            target=planned.target_context("copy"),
            rejects=self._rejects_write.writer if self._rejects_write else None,
        )

    @property
    def _begun(self) -> WriteSession:
        assert self._session is not None  # noqa: S101  # begin comes first
        return self._session

    @override
    def ends(self) -> Mapping[str, Driver]:
        source, rejects = self._rows.source, self._rows.rejects
        ends = {
            source.store or source.label: source.driver,
            self._rows.target.store.label: self._rows.driver,
        }
        return ends | ({rejects.end.store.label: rejects.driver} if rejects else {})

    @override
    def is_unchanged(self, item: Split, mark: str, rows: int, rejected: int | None) -> bool:
        with self._rows.at_source():
            return self._rows.source.driver.is_unchanged(item, mark, rows, rejected)

    @override
    def is_proved(self, part: Part, note: PartNote) -> bool:
        rejects = self._rejects_write
        return (rejects is None or rejects.has(note.rejects)) and super().is_proved(part, note)

    @override
    def forget(self, part: str) -> None:
        with self._rows.at_target("copy"):
            self._begun.forget(part)

    @override
    def publish(self, receipts: Sequence[Receipt]) -> None:
        notes = [PartNote.load(one.note, one.part) for one in receipts]
        check_rows(receipts, notes, self.plan.unfit)
        with self._rows.at_target("copy"):
            self._begun.publish(receipts)
        self._rows.target.store.refresh()
        if self._rejects_write:
            # After the target, whose journal says from then on which rejected rows count.
            self.is_half_published = True
            self._rejects_write.publish([one.rejects for one in notes])
            self.is_half_published = False

    @override
    def verify(self, digests: Sequence[Digest]) -> str | None:
        if self._rows.expectation is None:
            return None
        with self._rows.at_target("verify"):
            return self._rows.expectation.check(
                digests,
                # What a policy has nulled or left out would be shown as a difference.
                compare=None if self._rows.conversion.on_unfit else self._compare,
                command=self._command,
            )

    def _compare(self) -> Comparison:
        assert self._rows.expectation is not None  # noqa: S101  # it asks
        target = RowSource(
            driver=self._rows.driver,
            request=self._rows.expectation.scan,
            label=place(self._rows.target),
            store=self._rows.target.store.name,
        )
        return compare(
            self._rows.side,
            Side(source=target),
            keys=self._rows.request.keys,
            workers=self.plan.workers,
        )

    @override
    def leave(self) -> bool:
        if self._rejects_write is not None:
            self._rejects_write.leave()
        return self._session is not None and self._session.leave()

    @override
    def leave_entry(self) -> None:
        if self._rejects_write is not None:
            self._rejects_write.discard()
        if self._session is not None:
            self._session.leave()

    @override
    def discard(self) -> None:
        if self._rejects_write is not None:
            self._rejects_write.discard()
        if self._session is not None:
            self._session.discard()

    @override
    def close(self) -> None:
        self._rows.close()


def _command(asked: Asked) -> str:
    """Return what a user says to see more of what differs."""
    given = asked.options.keys()
    if isinstance(asked.source, Scan) or _ONLY_IN_PYTHON & given:
        return "datastores.verify with the same source, target, columns, filters, rename and types"
    narrowed = " with the copy's options" if _SHARED_WITH_DIFF & given else ""
    return f"datastores diff {asked.source} {asked.target}{narrowed}"


def _columns(schema: pa.Schema, plan: CopyPlan) -> str:
    """Return a text that tells columns, and what becomes of them at the target, from others."""
    fields = [(one.name, describe_type(one.type), one.nullable) for one in schema]
    # Rows that were staged for one type of the target are not moved into another one.
    return repr([fields, [one.target_type for one in plan.columns], plan.statements])
