"""Copies many tables: one after the other in the order of their foreign keys, under one snapshot."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Unpack, cast

from datastores.datastore import Datastore, StorePath
from datastores.drivers.base import FileDriver
from datastores.drivers.reading import ScanRequest
from datastores.errors import ConfigurationError, located
from datastores.retry import discarded_after
from datastores.scan import Scan
from datastores.transfer.endpoints import place, resolve
from datastores.transfer.journal import Identity
from datastores.transfer.many_report import CopyAllPlan, CopyAllReport
from datastores.transfer.options import CopyAllOptions, CopyOptions, refuse_unknown
from datastores.transfer.rejects import Rejects
from datastores.transfer.report import CopyReport
from datastores.transfer.run import Call
from datastores.transfer.selection import Globs, TableCopy, select
from datastores.transfer.timings import Stopwatch
from datastores.transfer.tracing import span
from datastores.values import WriteMode

_log = logging.getLogger("datastores")

# To make such a copy twice is an error, or doubles the rows; the others may be made again.
_ONCE = frozenset({WriteMode.CREATE, WriteMode.APPEND, WriteMode.CREATE_APPEND})
# Of the whole call, and not of each table's copy.
_OF_THE_WHOLE = frozenset({"workspace", "on_plan", "on_table", "job"})


def plan_copy_all(
    source: Any,
    target: Any,
    *,
    include: Globs = None,
    exclude: Globs = None,
    **options: Unpack[CopyAllOptions],
) -> CopyAllPlan:
    """Return what `copy_all` with the same arguments will do: which tables, in which order.

    Nothing is written, unless a publish of an earlier call was interrupted: that is finished. Costs
    what `plan_copy` does for each table, and raises what that raises.
    """
    with _planned(source, target, include, exclude, options) as whole:
        return whole.plan


def copy_all(
    source: Any,
    target: Any,
    *,
    include: Globs = None,
    exclude: Globs = None,
    **options: Unpack[CopyAllOptions],
) -> CopyAllReport:
    """Copy the tables of a store, schema or folder, each whole or not at all, in a fitting order.

    Args:
        source: A store, `store / "schema"` or `store / "folder/"`, or its URL.
        target: Likewise. A table keeps its schema and name: at a file store it becomes the folder
            `schema/table/`, and such a folder a table again.
        include: Patterns over `schema.table`, as `fnmatch` has them, case-sensitive; all tables if
            None. A view is copied if it is named as a whole.
        exclude: Patterns of what is left out, whatever `include` says.
        **options: See `CopyAllOptions`.

    Returns:
        A `CopyReport` for each table, and what was left out.

    What other tables refer to comes first. Where the source's snapshot is transferable, all tables
    are read under one. All are planned before the first is copied, so that most mistakes show then.

    The first error stops the call; the tables that are copied stay, and a note of the error counts
    them. After an error or a kill the same call goes on: under `create`, `append` and
    `create_append` it does not copy again what was copied, whose rows are of the earlier call's
    snapshot; under other modes it begins again. Once `copy_all` has returned, the same call is new.

    Raises:
        NotFoundError: No table is meant, or a pattern of `include` means none.
        ConfigurationError: Two tables would become one, or a name has no place at the target.
    """
    with span("copy_all") as describe:
        watch = Stopwatch()
        with _planned(source, target, include, exclude, options) as whole:
            plan = whole.plan
            describe(job=plan.job, source=plan.source, target=plan.target, mode=plan.mode)
            if on_plan := options.get("on_plan"):
                on_plan(plan)
            reports = whole.run(options)
        report = CopyAllReport(
            plan=plan, began=watch.began, tables=tuple(reports), seconds=watch.seconds
        )
        describe(rows=report.rows, files=report.files, bytes_written=report.bytes_written)
        _log.info(
            *("job %s copied %d tables from %s to %s in %.1f s", report.job, len(reports)),
            *(plan.source, plan.target, report.seconds),
        )
        return report


@dataclass(frozen=True, slots=True)
class _Whole:
    """One call, planned."""

    plan: CopyAllPlan
    calls: list[Call]

    def run(self, options: CopyAllOptions) -> list[CopyReport]:
        """Copy all tables; those that may be copied once only are noted until all are there."""
        keeps_entry = self.plan.mode in _ONCE
        on_table = options.get("on_table")
        reports: list[CopyReport] = []
        try:
            for call in self.calls:
                with span("copy") as describe:
                    reports.append(call.run(Stopwatch(), describe, keeps_entry=keeps_entry))
                if on_table:
                    on_table(reports[-1])
        except BaseException as error:
            next_time = "goes on from there" if keeps_entry else "begins again"
            error.add_note(
                f"{len(reports)} of {len(self.calls)} tables are copied, and stay; the same call "
                f"{next_time}"
            )
            raise

        def forget() -> None:
            # In this order: a call that finds a later table's entry knows of the earlier ones.
            for call, report in zip(self.calls, reports, strict=True):
                call.forget(report.job)

        if keeps_entry:
            with discarded_after(forget, self.plan.job):
                pass
        return reports


@contextlib.contextmanager
def _planned(
    source: Any, target: Any, include: Globs, exclude: Globs, options: CopyAllOptions
) -> Iterator[_Whole]:
    refuse_unknown(options, CopyAllOptions, "copy_all")
    start, end = _whole(source, options), _whole(target, options)
    rejects = Rejects.of(cast("CopyOptions", options))
    if rejects is not None:
        # Each table's copy looks up no names of its own.
        options = {**options, "rejects": rejects.end}
    mode = WriteMode.parse(options.get("mode", WriteMode.CREATE))
    patterns = {"include": include, "exclude": exclude}
    identity = Identity.of_all(start, end, {**options, **patterns})
    chosen = select(start, end, include=include, exclude=exclude, mode=mode)
    with contextlib.ExitStack() as stack:
        with located(store=start.store.name, driver=start.store.type, operation="copy"):
            snapshot = stack.enter_context(
                start.store.tabular.snapshot([one.table for one in chosen.tables])
            )
        calls = [
            stack.enter_context(contextlib.closing(_call(one, snapshot, options, identity)))
            for one in chosen.tables
        ]
        for call in calls:
            call.look()
        done = _acknowledged(calls) if mode in _ONCE else 0
        why = f"copied by an earlier call of job {identity.job}"
        left_out = [(one.name, why) for one in chosen.tables[:done]]
        plans = [call.plan() for call in calls[done:]]
        plan = CopyAllPlan(
            job=identity.job,
            source=identity.source,
            target=identity.target,
            mode=mode,
            snapshot=snapshot,
            tables=tuple(plans),
            notes=tuple("; ".join(one.notes) for one in chosen.tables[done:]),
            left_out=(*left_out, *chosen.left_out),
            rejects=rejects.label if rejects else None,
        )
        yield _Whole(plan, calls[done:])


def _whole(end: Any, options: CopyAllOptions) -> StorePath:
    """Return the store, schema or folder that an end names."""
    if isinstance(end, Datastore):
        return StorePath(end, "")
    found = resolve(end, cast("CopyOptions", options))
    if isinstance(found, Scan):
        raise ConfigurationError(
            f"{found.label} is a scan, and no store", advice="Copy its rows with copy"
        )
    return found


def _call(
    one: TableCopy, snapshot: str | None, options: CopyAllOptions, identity: Identity
) -> Call:
    """Return one table's copy."""
    of_copy: dict[str, Any] = {
        name: value for name, value in options.items() if name not in _OF_THE_WHOLE
    }
    if one.columns is not None:
        of_copy["columns"] = one.columns
    source: StorePath | Scan = one.source
    store = one.source.store
    if not isinstance(store.driver, FileDriver):
        source = Scan(
            store.tabular,
            ScanRequest(table=one.table, snapshot=snapshot),
            store=store.name,
            label=place(one.source),
        )
    table = identity.of_table(one.source, one.target)
    return Call(source, one.target, cast("CopyOptions", of_copy), table)


def _acknowledged(calls: Sequence[Call]) -> int:
    """Return how many tables an earlier call had copied and was done with, when it was killed.

    It takes the entries out, the first one first, once all are copied.
    """
    done = next((at for at, call in enumerate(calls) if call.is_published), 0)
    return done if all(call.is_published for call in calls[done:]) else 0
