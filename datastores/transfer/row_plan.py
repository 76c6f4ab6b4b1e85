"""How rows are copied, decided before one moves: what is read and written of them, and in which parts."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import pyarrow as pa

from datastores.drivers.base import TableDriver, require
from datastores.drivers.drift import altered, left_out
from datastores.drivers.reading import ReadPlan
from datastores.drivers.writing import Verdict, WritePlan, WriteRequest
from datastores.errors import located
from datastores.transfer.endpoints import place, row_source, table_at
from datastores.transfer.executors import is_local
from datastores.transfer.expectation import Expectation
from datastores.transfer.increment import CursorIncrement, has_table
from datastores.transfer.new_files import FileIncrement, SourceFiles
from datastores.transfer.options import DEFAULT_WORKERS, FILE_OPTIONS
from datastores.transfer.parts import Asked, Part, parts_of
from datastores.transfer.plan import CopyColumn, CopyPlan
from datastores.transfer.rejects import Rejects
from datastores.transfer.row_work import Context
from datastores.transfer.sides import Side
from datastores.types.convert import Conversion
from datastores.types.fields import source_of
from datastores.values import Drift, OnUnfit, Unfit, WriteMode


class RowPlan:
    """A copy of rows as it will be, under an open snapshot; close it when it is over.

    Args:
        asked: Of the call.
    """

    def __init__(self, asked: Asked) -> None:
        options, target = asked.options, asked.target
        self._asked = asked
        self.source = row_source(asked.source, options)
        self.target = target
        self.driver: TableDriver = target.store.tabular
        with self.at_target("copy"):
            self.increment = self._increment_of()
        self.rejects = Rejects.of(options)
        rejects_parts = self.rejects.check(self.source, target) if self.rejects else None
        policies = self._policies()
        executor = options.get("executor")
        self._by_others = executor is not None and not is_local(executor)
        self._workers = options.get("workers", DEFAULT_WORKERS)
        entry = asked.entry
        self.splits = self._workers if entry is None else asked.identity.splits(entry)
        """In about how many the source is divided."""
        self.read = self._plan_read()
        self.parts: list[Part] = []
        if self.increment is not None and not len(self.read.schema):
            self.copy = self._nothing_to_read(self.increment)
            return
        try:
            self._plan_rows(policies, rejects_parts)
        except BaseException:
            self.close()
            raise

    def _plan_rows(self, policies: OnUnfit, rejects_parts: int | None) -> None:
        options = self._asked.options
        self.side = Side(
            source=self.source,
            rename=options.get("rename") or {},
            types=options.get("types") or {},
        )
        self.conversion = self._planned_conversion(policies)
        self.request = self._write_request(policies)
        write_plan = self._plan_write()
        drifted = write_plan.drifted
        if out := left_out(self.request, drifted):
            self._leave_out(out)
            write_plan = self._plan_write()
        if not (write_plan.parallel or self._by_others) and options.get("workers", 1) == 1:
            self.request = replace(self.request, parts=1)
            write_plan = self._plan_write()
        self.expectation = (
            Expectation(self.driver, self.request, altered(self.request, drifted))
            if options.get("verify")
            else None
        )
        with self.at_source():
            unfit = self.read.unfit()
        if self.increment is None or not self.increment.is_empty:
            self.parts = parts_of(self.read, write_plan.max_parts or rejects_parts)
        if not self._by_others:
            self.request = replace(self.request, parts=len(self.parts))
        self.copy = self._copy_plan(replace(write_plan, drifted=drifted), unfit)

    def with_refused(self) -> CopyPlan:
        """Return the plan with what the source holds that the copy would refuse, which it counts."""
        if not self.parts:
            return self.copy
        with self.at_source():
            refused = self.read.refused()
        if refused is None:
            return self.copy
        new = {one.source.name: one.target.name for one in self.conversion.columns}
        counted = tuple((new[name], count) for name, count in refused.columns)
        notes = {name: f"{count:,} of its values" for name, count in counted}
        columns = tuple(
            replace(one, verdict=Verdict.REFUSED, note=notes[one.name])
            if one.name in notes
            else one
            for one in self.copy.columns
        )
        return replace(self.copy, columns=columns, refused=replace(refused, columns=counted))

    def close(self) -> None:
        """Let go of the source's snapshot."""
        self.read.close()

    def at_source(self) -> Any:
        """Return a block whose errors are of the source."""
        return located(**self.source_context)

    @property
    def source_context(self) -> Context:
        """What an error of the source says of where it comes from."""
        return {
            "store": self.source.store,
            "driver": self.source.driver.type_name,
            "operation": "copy",
            "target": self.source.label,
        }

    def at_target(self, operation: str) -> Any:
        """Return a block whose errors are of the target."""
        return located(**self.target_context(operation))

    def target_context(self, operation: str) -> Context:
        """Return what an error of the target says of where it comes from."""
        store = self.target.store
        return {
            "store": store.name,
            "driver": store.type,
            "operation": operation,
            "target": place(self.target),
        }

    def _plan_read(self) -> ReadPlan:
        """Plan to read all rows, or those that are new; the source's request then says which."""
        request, increment = replace(self.source.request, concurrent=True), self.increment
        if increment is None:
            with self.at_source():
                return self.source.driver.plan_read(request, self.splits)
        with self.at_source():
            plan = self.source.driver.plan_read(increment.ask(request), self.splits)
            self.increment = increment.found(plan)
        self.source = replace(self.source, request=self.increment.ask(request))
        return plan

    def _increment_of(self) -> FileIncrement | CursorIncrement | None:
        """Return what is asked for as new, of files or by a cursor."""
        options, entry = self._asked.options, self._asked.entry
        kept = None if entry is None else self._asked.identity.kept(entry)
        new: FileIncrement | None = None
        if FILE_OPTIONS & options.keys():
            new = FileIncrement.of(
                SourceFiles.of(self._asked.source, options),
                self.target,
                options,
                kept,
                exists=lambda: has_table(self.driver, self.target),
                replaces=False,
            )
        return new or CursorIncrement.of(self.source, self.target, options, kept)

    def _plan_write(self) -> WritePlan:
        with self.at_target("plan_write"):
            return self.driver.plan_write(self.request)

    def _leave_out(self, names: Collection[str]) -> None:
        """Neither read nor compare the columns that get these names."""
        self.read.close()
        old = {one.target.name: one.source.name for one in self.conversion.columns}
        kept = tuple(name for new, name in old.items() if new not in names)
        request = self.source.request
        request = replace(
            request,
            columns=kept,
            path_column=request.path_column if request.path_column in kept else None,
            on_unfit=request.on_unfit.without([old[new] for new in names]),
        )
        self.source = replace(self.source, request=request)
        self.read = self._plan_read()
        self.side = Side(
            source=self.source,
            rename={name: new for name, new in self.side.rename.items() if new not in names},
            types={name: one for name, one in self.side.types.items() if name not in names},
        )
        self.conversion = self._planned_conversion(self.conversion.on_unfit.without(names))
        self.request = self.request.without(names)

    def _planned_conversion(self, policies: OnUnfit) -> Conversion:
        side = self.side
        return Conversion.plan(
            self.read.schema, rename=side.rename, types=side.types, on_unfit=policies
        )

    def _policies(self) -> OnUnfit:
        """Return what becomes of values that do not fit; one end at least has to know how."""
        options = self._asked.options
        policies = OnUnfit.parse(options.get("on_unfit"))
        drivers = (self.source.driver, self.driver)
        if policies and not options.get("types"):
            declared = any(one.capabilities.on_unfit for one in drivers)
            what = f"copy with {'rejects' if self.rejects else 'on_unfit'}"
            require(self.driver, what, declared=declared)
        return policies

    def _write_request(self, policies: OnUnfit) -> WriteRequest:
        options = self._asked.options
        return WriteRequest(
            table=table_at(self.target),
            schema=self.conversion.schema,
            mode=WriteMode.parse(options.get("mode", WriteMode.CREATE)),
            keys=tuple(options.get("keys", ())),
            job=self._asked.identity.job,
            bookmark=self.increment.bookmark if self.increment else None,
            parts=None if self._by_others else max(1, len(self.read.splits)),
            partition_by=tuple(options.get("partition_by", ())),
            rows_per_file=options.get("rows_per_file"),
            format=options.get("format"),
            format_options=dict(options.get("format_options") or {}),
            on_unfit=policies if self.driver.capabilities.on_unfit else OnUnfit(),
            drift=Drift.parse(options.get("drift")),
        )

    def _nothing_to_read(self, increment: FileIncrement | CursorIncrement) -> CopyPlan:
        """Return the plan of a copy for which there is no file, and so no columns."""
        options = self._asked.options
        return CopyPlan(
            job=self._asked.identity.job,
            source=self.source.label,
            target=place(self.target),
            mode=WriteMode.parse(options.get("mode", WriteMode.CREATE)),
            rows=0,
            bytes=0,
            parts=(),
            split_by=self.read.split_by,
            workers=0,
            snapshot=None,
            columns=(),
            bulk_path="",
            publish="nothing is written",
            new_files=increment.words(),
        )

    def _copy_plan(self, write_plan: WritePlan, unfit: Unfit | None) -> CopyPlan:
        read_plan = self.read
        fields = {one.target.name: one.source for one in self.conversion.columns}
        words = self.increment.words() if self.increment else None
        return CopyPlan(
            job=self.request.job,
            source=self.source.label,
            target=place(self.target),
            mode=self.request.mode,
            rows=read_plan.rows,
            bytes=read_plan.bytes,
            parts=tuple(part.label for part in self.parts),
            split_by=read_plan.split_by,
            workers=min(self._workers, len(self.parts)),
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
            drift=self.request.drift,
            drifted=write_plan.drifted,
            verify=self.expectation is not None,
            cursor=words if isinstance(self.increment, CursorIncrement) else None,
            new_files=words if isinstance(self.increment, FileIncrement) else None,
            unfit=unfit,
            rejects=self.rejects.label if self.rejects else None,
        )


def _source_type(field: pa.Field) -> str:
    source = source_of(field)
    if source is None:
        return str(field.type)
    return f"{source.type}, key" if source.key else source.type
