"""Runs a copy: parts in threads, then one publish; whatever fails, the target stays as it was."""

from __future__ import annotations

import contextlib
import contextvars
import functools
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Unpack

from datastores.datastore import StorePath
from datastores.drivers.base import Receipt
from datastores.errors import ConfigurationError
from datastores.retry import discarded_after, retried
from datastores.scan import Scan
from datastores.transfer.endpoints import resolve
from datastores.transfer.files import FileJob, copies_bytes
from datastores.transfer.meter import Meter
from datastores.transfer.options import CopyOptions
from datastores.transfer.parts import Job, Part
from datastores.transfer.plan import CopyPlan
from datastores.transfer.progress import Listener, PartProgress
from datastores.transfer.report import CopyReport
from datastores.transfer.rows import RowJob
from datastores.transfer.threads import run_all
from datastores.transfer.timings import PartReport, Stopwatch
from datastores.transfer.tracing import span

_log = logging.getLogger("datastores")


def plan_copy(source: Any, target: Any, **options: Unpack[CopyOptions]) -> CopyPlan:
    """Return what `copy` with the same arguments will do; nothing is written.

    Costs the catalogue queries and listings that planning needs, and reads no rows; only ranges
    of a key are found in a sample of its values, for which a view or query is run once, and under
    `on_unfit` the source counts what does not fit.
    Raises what `copy` would raise before its first part.
    """
    with _planned(source, target, options) as job:
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
    After an error or Ctrl-C the target holds what it held before, and the staging is gone.

    Raises:
        AlreadyExistsError: The target exists, and the mode is `create`.
        SchemaMismatchError: A column does not fit the target; the message names it.
        DataError: A value cannot be held exactly, or a file is damaged; or `verify` found the
            two ends to differ.
    """
    with span("copy") as describe, contextlib.ExitStack() as stack:
        watch = Stopwatch()
        with watch.phase("plan"), span("copy.plan"):
            job = stack.enter_context(_planned(source, target, options))
        plan = job.plan
        describe(job=plan.job, source=plan.source, target=plan.target, mode=plan.mode)
        if on_plan := options.get("on_plan"):
            on_plan(plan)
        retries = _Retries()
        with discarded_after(job.discard, plan.job):
            with watch.phase("stage"):
                job.begin()
                done = _run_parts(job, watch, options.get("progress"), retries)
            with watch.phase("publish"), span("copy.publish"):
                retried(lambda: job.publish(done.receipts), on_retry=retries.add)
            digest = _verified(job, watch, done.meters)
        report = _report(plan, watch, done, digest, retries.count)
        describe(
            rows=report.rows,
            files=report.files,
            bytes_read=report.bytes_read,
            bytes_written=report.bytes_written,
            retries=report.retries,
        )
        return report


@contextlib.contextmanager
def _planned(source: Any, target: Any, options: CopyOptions) -> Iterator[Job]:
    _refuse_unknown(options)
    start, end = resolve(source, options), resolve(target, options)
    if isinstance(end, Scan):
        raise ConfigurationError("a scan is not a target", advice='Give a URL or store / "path"')
    job: Job = (
        FileJob(start, end, options)
        if isinstance(start, StorePath) and copies_bytes(start, end, options)
        else RowJob(start, end, options)
    )
    with contextlib.closing(job):
        yield job


class _Retries:
    """How often something was tried again, counted by several threads."""

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()

    def add(self) -> None:
        with self._lock:
            self.count += 1


class _Done(NamedTuple):
    """What all parts left, each in their order."""

    receipts: list[Receipt]
    meters: list[Meter]
    reports: list[PartReport]


def _run_parts(
    job: Job,
    watch: Stopwatch,
    progress: Callable[[PartProgress], None] | None,
    retries: _Retries,
) -> _Done:
    stop = threading.Event()
    listener = Listener(progress, stop)
    verify = job.plan.verify
    meters = [Meter(_start(part), watch, listener, stop, digest=verify) for part in job.parts]

    tasks = [
        # The caller's context holds the span that the parts belong to.
        functools.partial(
            contextvars.copy_context().run, _run_part, job, part, meter, retries, stop
        )
        for part, meter in zip(job.parts, meters, strict=True)
    ]
    try:
        results = run_all(tasks, job.plan.workers, stop, name="datastores-copy")
    except Exception:
        if listener.error is not None:
            raise listener.error from None
        raise
    return _Done([receipt for receipt, _ in results], meters, [report for _, report in results])


def _run_part(
    job: Job, part: Part, meter: Meter, retries: _Retries, stop: threading.Event
) -> tuple[Receipt, PartReport]:
    def again() -> None:
        meter.restart()
        retries.add()

    with span("copy.part") as describe:
        describe(part=part.name)
        meter.begin()
        # A part whose rows were on their way when a connection broke is read and staged anew.
        receipt = retried(lambda: job.run(part, meter), on_retry=again, stop=stop)
        report = meter.finish(receipt)
        describe(
            rows=report.rows,
            bytes_read=report.bytes_read,
            bytes_written=report.bytes_written,
            attempts=report.attempts,
        )
    return receipt, report


def _start(part: Part) -> PartProgress:
    return PartProgress(
        part=part.name,
        label=part.label,
        rows=0,
        bytes=0,
        rows_total=part.rows,
        bytes_total=part.bytes,
        seconds=0.0,
    )


def _verified(job: Job, watch: Stopwatch, meters: list[Meter]) -> str | None:
    if not job.plan.verify:
        return None
    with watch.phase("verify"), span("copy.verify"):
        return job.verify(meters)


def _report(
    plan: CopyPlan, watch: Stopwatch, done: _Done, digest: str | None, retries: int
) -> CopyReport:
    by_rows = bool(plan.columns)
    receipts = done.receipts
    report = CopyReport(
        plan=plan,
        began=watch.began,
        rows=sum(receipt.rows for receipt in receipts) if by_rows else None,
        files=None if by_rows else sum(len(receipt.outputs) for receipt in receipts),
        bytes_read=sum(meter.bytes for meter in done.meters),
        bytes_written=sum(receipt.bytes for receipt in receipts),
        seconds=watch.seconds,
        retries=retries,
        digest=digest,
        peak_memory_bytes=_peak_memory_bytes(),
        unfit=None
        if plan.unfit is None
        else sum((receipt.unfit for receipt in receipts), start=plan.unfit),
        phases=tuple(watch.phases),
        part_reports=tuple(done.reports),
    )
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
