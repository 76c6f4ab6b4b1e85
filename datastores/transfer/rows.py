"""Copies of rows: splits of one snapshot, converted exactly, staged by the target's driver."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
from typing_extensions import override

from datastores.datastore import StorePath
from datastores.drivers.base import Driver, TableDriver, require
from datastores.drivers.drift import altered, left_out
from datastores.drivers.reading import ReadPlan, Split
from datastores.drivers.writing import (
    JobEntry,
    Receipt,
    WritePlan,
    WriteRequest,
    WriteSession,
    new_job_id,
)
from datastores.errors import ConflictError, located
from datastores.scan import Scan
from datastores.transfer.compare import compare
from datastores.transfer.comparison import Comparison
from datastores.transfer.endpoints import RowSource, place, row_source, table_at
from datastores.transfer.executors import is_local
from datastores.transfer.expectation import Expectation
from datastores.transfer.increment import CursorIncrement, has_table
from datastores.transfer.journal import Identity, PartNote, check_rows
from datastores.transfer.new_files import FileIncrement, SourceFiles
from datastores.transfer.options import DEFAULT_WORKERS, FILE_OPTIONS, CopyOptions
from datastores.transfer.parts import Job, Part, parts_of
from datastores.transfer.plan import CopyColumn, CopyPlan
from datastores.transfer.rejects import Rejects, RejectsWrite
from datastores.transfer.row_work import Context, RowWork
from datastores.transfer.sides import Side
from datastores.types.convert import Conversion
from datastores.types.digest import Digest
from datastores.types.fields import source_of
from datastores.types.text import describe_type
from datastores.values import Drift, OnUnfit, Unfit, WriteMode

_SHARED_WITH_DIFF = frozenset({"columns", "filters", "rename", "types"})
_ONLY_IN_PYTHON = frozenset({"source_format", "source_format_options", "format", "format_options"})


class RowJob(Job):
    """A copy of rows, planned under an open snapshot; close it when it is over."""

    def __init__(
        self,
        source: StorePath | Scan,
        target: StorePath,
        options: CopyOptions,
        identity: Identity,
        entry: JobEntry | None,
    ) -> None:
        super().__init__(identity, entry)
        self._source = row_source(source, options)
        self._target = target
        self._command = _command(source, target, options)
        self._driver: TableDriver = target.store.tabular
        with self._at_target("copy"):
            self._increment = self._increment_of(source, options)
        self._session: WriteSession | None = None
        self._rejects = Rejects.of(options)
        self._rejects_write: RejectsWrite | None = None
        rejects_parts = self._rejects.check(self._source, target) if self._rejects else None
        policies = self._policies(options)
        workers = options.get("workers", DEFAULT_WORKERS)
        executor = options.get("executor")
        by_others = executor is not None and not is_local(executor)
        self._splits = workers if entry is None else identity.splits(entry)
        self._read_plan = self._plan_read()
        self.parts = []
        if not len(self._read_plan.schema):
            self.plan = self._nothing_to_read(options)
            return
        self._side = Side(
            source=self._source,
            rename=options.get("rename") or {},
            types=options.get("types") or {},
        )
        try:
            self._conversion = self._planned_conversion(policies)
            self._request = self._write_request(options, policies)
            if by_others:
                self._request = replace(self._request, parts=None)
            write_plan = self._plan_write()
            drifted = write_plan.drifted
            if out := left_out(self._request, drifted):
                self._leave_out(out)
                write_plan = self._plan_write()
            if not (write_plan.parallel or by_others) and options.get("workers", 1) == 1:
                self._request = replace(self._request, parts=1)
                write_plan = self._plan_write()
            self._expectation = (
                Expectation(self._driver, self._request, altered(self._request, drifted))
                if options.get("verify")
                else None
            )
            with self._at_source():
                unfit = self._read_plan.unfit()
        except BaseException:
            self.close()
            raise
        nothing_new = self._increment is not None and self._increment.is_empty
        self.parts = (
            [] if nothing_new else parts_of(self._read_plan, write_plan.max_parts or rejects_parts)
        )
        if not by_others:
            self._request = replace(self._request, parts=len(self.parts))
        self.plan = self._copy_plan(replace(write_plan, drifted=drifted), workers, unfit)

    @override
    def begin(self) -> JobEntry | None:
        entry = self._entry
        increment = self._increment
        columns = _columns(self._request.schema, self.plan)
        rows = repr((columns, increment and increment.condition))
        with self._at_target("copy"):
            if entry is not None and not self._identity.is_of(entry, rows):
                self._driver.forget_job(entry.job)
                entry = None
            if self._expectation:
                self._expectation.before()
            kept = None if increment is None else increment.kept
            self._request = replace(
                self._request, journal=self._identity.journal(rows, self._splits, kept)
            )
            try:
                self._session = self._driver.begin(self._request)
            except ConflictError:
                if self._identity.given:
                    raise
                # Another process copies the same: this call is a job of its own.
                self._request, entry = replace(self._request, job=new_job_id()), None
                self.plan = replace(self.plan, job=self._request.job)
                self._session = self._driver.begin(self._request)
        if self._rejects:
            self._rejects_write = self._rejects.begin(self.plan, anew=entry is None)
        return entry

    @override
    def work(self, part: Part) -> RowWork:
        assert self._session is not None  # noqa: S101  # begin comes first
        return RowWork(
            part=part,
            call=self.call,
            driver=self._source.driver,
            schema=self._read_plan.schema,
            conversion=self._conversion,
            session=self._session,
            source=self._source_context,
            target=self._target_context("copy"),
            rejects=self._rejects_write.writer if self._rejects_write else None,
        )

    @override
    def ends(self) -> Mapping[str, Driver]:
        source, target = self._source, self._target.store
        rejects = {self._rejects.end.store.label: self._rejects.driver} if self._rejects else {}
        return {source.store or source.label: source.driver, target.label: self._driver, **rejects}

    @override
    def is_unchanged(self, item: Split, mark: str, rows: int, rejected: int | None) -> bool:
        with self._at_source():
            return self._source.driver.is_unchanged(item, mark, rows, rejected)

    @override
    def is_proved(self, part: Part, note: PartNote) -> bool:
        rejects = self._rejects_write
        return (rejects is None or rejects.has(note.rejects)) and super().is_proved(part, note)

    @override
    def forget(self, part: str) -> None:
        assert self._session is not None  # noqa: S101  # begin comes first
        with self._at_target("copy"):
            self._session.forget(part)

    @override
    def publish(self, receipts: Sequence[Receipt]) -> None:
        assert self._session is not None  # noqa: S101  # begin comes first
        notes = [PartNote.load(one.note, one.part) for one in receipts]
        check_rows(receipts, notes, self.plan.unfit)
        with self._at_target("copy"):
            self._session.publish(receipts)
        self._target.store.refresh()
        if self._rejects_write:
            # After the target, whose journal says from then on which rejected rows count.
            self.is_half_published = True
            self._rejects_write.publish([one.rejects for one in notes])
            self.is_half_published = False

    @override
    def verify(self, digests: Sequence[Digest]) -> str | None:
        if self._expectation is None:
            return None
        with self._at_target("verify"):
            return self._expectation.check(
                digests,
                # What a policy has nulled or left out would be shown as a difference.
                compare=None if self._conversion.on_unfit else self._compare,
                command=self._command,
            )

    def _compare(self) -> Comparison:
        assert self._expectation is not None  # noqa: S101  # it asks
        target = RowSource(
            driver=self._driver,
            request=self._expectation.scan,
            label=place(self._target),
            store=self._target.store.name,
        )
        return compare(
            self._side, Side(source=target), keys=self._request.keys, workers=self.plan.workers
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
        self._read_plan.close()

    def _plan_read(self) -> ReadPlan:
        """Plan to read all rows, or those that are new; the source's request then says which."""
        request, increment = self._source.request, self._increment
        if increment is None:
            with self._at_source():
                return self._source.driver.plan_read(request, self._splits)
        with self._at_source():
            plan = self._source.driver.plan_read(increment.ask(request), self._splits)
            self._increment = increment.found(plan)
        self._source = replace(self._source, request=self._increment.ask(request))
        return plan

    def _increment_of(
        self, source: StorePath | Scan, options: CopyOptions
    ) -> FileIncrement | CursorIncrement | None:
        """Return what is asked for as new, of files or by a cursor."""
        kept = None if self._entry is None else self._identity.kept(self._entry)
        new: FileIncrement | None = None
        if FILE_OPTIONS & options.keys():
            new = FileIncrement.of(
                SourceFiles.of(source, options),
                self._target,
                options,
                kept,
                exists=lambda: has_table(self._driver, self._target),
                replaces=False,
            )
        return new or CursorIncrement.of(self._source, self._target, options, kept)

    def _plan_write(self) -> WritePlan:
        with self._at_target("plan_write"):
            return self._driver.plan_write(self._request)

    def _leave_out(self, names: Collection[str]) -> None:
        """Neither read nor compare the columns that get these names."""
        self._read_plan.close()
        old = {one.target.name: one.source.name for one in self._conversion.columns}
        kept = tuple(name for new, name in old.items() if new not in names)
        request = self._source.request
        request = replace(
            request,
            columns=kept,
            path_column=request.path_column if request.path_column in kept else None,
            on_unfit=request.on_unfit.without([old[new] for new in names]),
        )
        self._source = replace(self._source, request=request)
        self._read_plan = self._plan_read()
        self._side = Side(
            source=self._source,
            rename={name: new for name, new in self._side.rename.items() if new not in names},
            types={name: one for name, one in self._side.types.items() if name not in names},
        )
        self._conversion = self._planned_conversion(self._conversion.on_unfit.without(names))
        self._request = self._request.without(names)

    def _planned_conversion(self, policies: OnUnfit) -> Conversion:
        side = self._side
        return Conversion.plan(
            self._read_plan.schema, rename=side.rename, types=side.types, on_unfit=policies
        )

    def _policies(self, options: CopyOptions) -> OnUnfit:
        """Return what becomes of values that do not fit; one end at least has to know how."""
        policies = OnUnfit.parse(options.get("on_unfit"))
        drivers = (self._source.driver, self._driver)
        if policies and not options.get("types"):
            declared = any(one.capabilities.on_unfit for one in drivers)
            what = f"copy with {'rejects' if self._rejects else 'on_unfit'}"
            require(self._driver, what, declared=declared)
        return policies

    def _write_request(self, options: CopyOptions, policies: OnUnfit) -> WriteRequest:
        return WriteRequest(
            table=table_at(self._target),
            schema=self._conversion.schema,
            mode=WriteMode.parse(options.get("mode", WriteMode.CREATE)),
            keys=tuple(options.get("keys", ())),
            job=self._identity.job,
            bookmark=self._increment.bookmark if self._increment else None,
            parts=max(1, len(self._read_plan.splits)),
            partition_by=tuple(options.get("partition_by", ())),
            rows_per_file=options.get("rows_per_file"),
            format=options.get("format"),
            format_options=dict(options.get("format_options") or {}),
            on_unfit=policies if self._driver.capabilities.on_unfit else OnUnfit(),
            drift=Drift.parse(options.get("drift")),
        )

    def _nothing_to_read(self, options: CopyOptions) -> CopyPlan:
        """Return the plan of a copy for which there is no file, and so no columns."""
        assert self._increment is not None  # noqa: S101  # else there are files
        return CopyPlan(
            job=self._identity.job,
            source=self._source.label,
            target=place(self._target),
            mode=WriteMode.parse(options.get("mode", WriteMode.CREATE)),
            rows=0,
            bytes=0,
            parts=(),
            split_by=self._read_plan.split_by,
            workers=0,
            snapshot=None,
            columns=(),
            bulk_path="",
            publish="nothing is written",
            new_files=self._increment.words(),
        )

    def _copy_plan(self, write_plan: WritePlan, workers: int, unfit: Unfit | None) -> CopyPlan:
        read_plan = self._read_plan
        fields = {one.target.name: one.source for one in self._conversion.columns}
        words = self._increment.words() if self._increment else None
        return CopyPlan(
            job=self._request.job,
            source=self._source.label,
            target=place(self._target),
            mode=self._request.mode,
            rows=read_plan.rows,
            bytes=read_plan.bytes,
            parts=tuple(part.label for part in self.parts),
            split_by=read_plan.split_by,
            workers=min(workers, len(self.parts)),
            snapshot=read_plan.snapshot,
            columns=tuple(
                CopyColumn(
                    name=column.name,
                    source_type=_source_type(fields[column.name]),
                    arrow_type=column.arrow_type,
                    target_type=column.target_type,
                    verdict=column.verdict,
                    note=column.note,
                )
                for column in write_plan.columns
            ),
            bulk_path=write_plan.bulk_path,
            publish=write_plan.publish,
            statements=write_plan.statements,
            drift=self._request.drift,
            drifted=write_plan.drifted,
            verify=self._expectation is not None,
            cursor=words if isinstance(self._increment, CursorIncrement) else None,
            new_files=words if isinstance(self._increment, FileIncrement) else None,
            unfit=unfit,
            rejects=self._rejects.label if self._rejects else None,
        )

    def _at_source(self) -> Any:
        return located(**self._source_context)

    @property
    def _source_context(self) -> Context:
        return {
            "store": self._source.store,
            "driver": self._source.driver.type_name,
            "operation": "copy",
            "target": self._source.label,
        }

    def _at_target(self, operation: str) -> Any:
        return located(**self._target_context(operation))

    def _target_context(self, operation: str) -> Context:
        store = self._target.store
        return {
            "store": store.name,
            "driver": store.type,
            "operation": operation,
            "target": place(self._target),
        }


def _command(source: StorePath | Scan, target: StorePath, options: CopyOptions) -> str:
    """Return what a user says to see more of what differs."""
    if isinstance(source, Scan) or _ONLY_IN_PYTHON & options.keys():
        return "datastores.verify with the same source, target, columns, filters, rename and types"
    narrowed = " with the copy's options" if _SHARED_WITH_DIFF & options.keys() else ""
    return f"datastores diff {source} {target}{narrowed}"


def _source_type(field: pa.Field) -> str:
    source = source_of(field)
    if source is None:
        return str(field.type)
    return f"{source.type}, key" if source.key else source.type


def _columns(schema: pa.Schema, plan: CopyPlan) -> str:
    """Return a text that tells columns, and what becomes of them at the target, from others."""
    fields = [(one.name, describe_type(one.type), one.nullable) for one in schema]
    # Rows that were staged for one type of the target are not moved into another one.
    return repr([fields, [one.target_type for one in plan.columns], plan.statements])
