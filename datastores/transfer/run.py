"""Runs a copy: parts in threads, then one publish; whatever fails, the target stays as it was."""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

from datastores.datastore import StorePath
from datastores.drivers.base import JobEntry, JobState
from datastores.errors import ConfigurationError, DatastoreWarning, located
from datastores.retry import discarded_after, retried
from datastores.scan import Scan
from datastores.transfer.endpoints import resolve
from datastores.transfer.files import FileJob, copies_bytes
from datastores.transfer.journal import Identity, PartNote
from datastores.transfer.options import CopyOptions
from datastores.transfer.parts import Job
from datastores.transfer.plan import CopyPlan
from datastores.transfer.report import CopyReport
from datastores.transfer.rows import RowJob
from datastores.transfer.stage import Stage
from datastores.transfer.timings import Stopwatch
from datastores.transfer.tracing import span
from datastores.values import Unfit, WriteMode

_log = logging.getLogger("datastores")


def plan_copy(source: Any, target: Any, **options: Unpack[CopyOptions]) -> CopyPlan:
    """Return what `copy` with the same arguments will do; nothing is written.

    Costs the catalogue queries and listings that planning needs, and reads no rows; only ranges
    of a key are found in a sample of its values, for which a view or query is run once, and under
    `on_unfit` the source counts what does not fit.
    Raises what `copy` would raise before its first part.
    """
    ends = _ends(source, target, options)
    with _planned(*ends, options, Identity.of(*ends, options), None) as job:
        return job.plan


def copy(source: Any, target: Any, **options: Unpack[CopyOptions]) -> CopyReport:
    """Copy a table, files or a query's rows to another place, whole or not at all.

    Args:
        source: A `datastore://` URL, `store / "path"`, a scan or a query.
        target: A URL or `store / "path"`: a file, a folder or a table.
        **options: See `CopyOptions`.

    Returns:
        What was copied, what it cost, and which guarantees were obtained.

    Memory is about one batch and one writer's buffer for each worker, whatever the table's size.
    A part that a broken connection or a busy service stops is tried again, three times in all.

    After an error the target holds what it held before, and the staging is gone. After Ctrl-C, a
    kill or an error that may pass, the parts that were finished stay staged, and the same call goes
    on from them: it reads again what the source does not prove to be unchanged. A call whose reply
    was lost is found to be published, and nothing is copied twice. Once `copy` has returned, the same
    call is a new job.

    Raises:
        AlreadyExistsError: The target exists, and the mode is `create`.
        ConfigurationError: `job` is another copy's, which is not finished.
        SchemaMismatchError: A column does not fit the target; the message names it.
        DataError: A value cannot be held exactly, or a file or the journal is damaged; or `verify`
            found the two ends to differ.
    """
    ends = _ends(source, target, options)
    identity = Identity.of(*ends, options)
    with span("copy") as describe, contextlib.ExitStack() as stack:
        watch = Stopwatch()
        describe(job=identity.job, source=identity.source, target=identity.target)
        with watch.phase("plan"), span("copy.plan"):
            entry = _find_job(ends[1], identity)
            if entry is not None and entry.state is JobState.PUBLISHED:
                return _acknowledged(ends, identity, entry, options, watch)
            job = stack.enter_context(_planned(*ends, options, identity, entry))
        if not job.parts:
            return _nothing_new(job, ends[1], entry, options, watch)
        stage = Stage(job, watch, options.get("progress"))
        with discarded_after(job.discard, identity.job, unless=stage.may_go_on):
            with watch.phase("stage"):
                kept = job.keep(job.begin())
                job.plan = replace(job.plan, parts_kept=len(kept))
                if on_plan := options.get("on_plan"):
                    on_plan(job.plan)
                stage.run(kept)
            with watch.phase("publish"), span("copy.publish"):
                retried(lambda: job.publish(stage.receipts), on_retry=stage.count_retry)
            digest = _verified(job, watch, stage)
        report = _report(job.plan, watch, stage, digest)
        describe(
            mode=report.mode,
            rows=report.rows,
            files=report.files,
            bytes_read=report.bytes_read,
            bytes_written=report.bytes_written,
            retries=report.retries,
        )
        return report


def _ends(source: Any, target: Any, options: CopyOptions) -> tuple[StorePath | Scan, StorePath]:
    _refuse_unknown(options)
    start, end = resolve(source, options), resolve(target, options)
    if isinstance(end, Scan):
        raise ConfigurationError("a scan is not a target", advice='Give a URL or store / "path"')
    return start, end


@contextlib.contextmanager
def _planned(
    start: StorePath | Scan,
    end: StorePath,
    options: CopyOptions,
    identity: Identity,
    entry: JobEntry | None,
) -> Iterator[Job]:
    kind = FileJob if copies_bytes(start, end, options) else RowJob
    with contextlib.closing(kind(start, end, options, identity, entry)) as job:
        yield job


def _find_job(end: StorePath, identity: Identity) -> JobEntry | None:
    """Return what an earlier call of the same job left at the target."""
    store = end.store
    with located(store=store.name, driver=store.type, operation="copy", target=identity.target):
        entry = store.tabular.find_job(identity.job)
        if entry is not None:
            identity.check(entry)
    return entry


def _acknowledged(
    ends: tuple[StorePath | Scan, StorePath],
    identity: Identity,
    entry: JobEntry,
    options: CopyOptions,
    watch: Stopwatch,
) -> CopyReport:
    """Return the report of a job that was published before its call could say so."""
    start, end = ends
    notes = [PartNote.load(one.note, one.part) for one in entry.receipts]
    by_rows = not copies_bytes(start, end, options)
    if options.get("verify"):
        warnings.warn(
            f"job {entry.job} was published by an earlier call, and is not verified now: compare "
            "the two ends with datastores.verify",
            DatastoreWarning,
            stacklevel=3,
        )
    retried(lambda: end.store.tabular.forget_job(entry.job))
    end.store.refresh()
    plan = CopyPlan(
        job=entry.job,
        source=identity.source,
        target=identity.target,
        mode=WriteMode.parse(options.get("mode", WriteMode.CREATE)),
        rows=None,
        bytes=None,
        parts=tuple(one.part for one in entry.receipts),
        split_by="an earlier call",
        workers=0,
        snapshot=None,
        columns=(),
        bulk_path="",
        publish="published by an earlier call of the job",
        parts_kept=len(entry.receipts),
    )
    return _told(
        CopyReport(
            plan=plan,
            began=watch.began,
            rows=sum(one.rows for one in entry.receipts) if by_rows else None,
            files=None if by_rows else sum(len(one.outputs) for one in entry.receipts),
            bytes_read=sum(one.bytes_read for one in notes),
            bytes_written=sum(one.bytes for one in entry.receipts),
            seconds=watch.seconds,
            retries=0,
            digest=None,
            peak_memory_bytes=_peak_memory_bytes(),
            unfit=sum((one.unfit for one in notes), start=Unfit()),
        )
    )


def _nothing_new(
    job: Job, end: StorePath, entry: JobEntry | None, options: CopyOptions, watch: Stopwatch
) -> CopyReport:
    """Return the report of a copy that nothing is left to do for."""
    if entry is not None:
        retried(lambda: end.store.tabular.forget_job(entry.job))
    if on_plan := options.get("on_plan"):
        on_plan(job.plan)
    return _report(job.plan, watch, Stage(job, watch, None), None)


def _verified(job: Job, watch: Stopwatch, stage: Stage) -> str | None:
    if not job.plan.verify:
        return None
    with watch.phase("verify"), span("copy.verify"):
        return job.verify(stage.meters)


def _report(plan: CopyPlan, watch: Stopwatch, stage: Stage, digest: str | None) -> CopyReport:
    by_rows = bool(plan.columns)
    receipts = stage.receipts
    return _told(
        CopyReport(
            plan=plan,
            began=watch.began,
            rows=sum(receipt.rows for receipt in receipts) if by_rows else None,
            files=None if by_rows else sum(len(receipt.outputs) for receipt in receipts),
            bytes_read=sum(meter.bytes for meter in stage.meters),
            bytes_written=sum(receipt.bytes for receipt in receipts),
            seconds=watch.seconds,
            retries=stage.retries,
            digest=digest,
            peak_memory_bytes=_peak_memory_bytes(),
            unfit=None
            if plan.unfit is None
            else sum((receipt.unfit for receipt in receipts), start=plan.unfit),
            phases=tuple(watch.phases),
            part_reports=stage.reports,
        )
    )


def _told(report: CopyReport) -> CopyReport:
    """Log one line about a copy."""
    by_rows = report.rows is not None
    _log.info(
        "job %s copied %s to %s: %s %s in %.1f s",
        report.job,
        report.source,
        report.target,
        report.rows if by_rows else report.files,
        "rows" if by_rows else "files",
        report.seconds,
    )
    return report


def _peak_memory_bytes() -> int | None:
    status = Path("/proc/self/status")
    if status.exists():
        # getrusage also counts what the parent held when it started this process.
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].removesuffix("kB")) * 1024
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS counts in bytes, the other systems in KiB.
    return peak if sys.platform == "darwin" else peak * 1024


def _refuse_unknown(options: CopyOptions) -> None:
    for name in options:
        if name not in CopyOptions.__annotations__:
            known = ", ".join(CopyOptions.__annotations__)
            raise ConfigurationError(
                f"copy has no option {name!r}", advice=f"Its options are {known}"
            )
