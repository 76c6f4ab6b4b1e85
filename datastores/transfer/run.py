"""Runs a copy: parts in threads, then one publish; whatever fails, the target stays as it was."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

from datastores.datastore import StorePath
from datastores.drivers.base import JobEntry, JobState, Receipt
from datastores.errors import ConfigurationError, DatastoreError, DatastoreWarning, located
from datastores.retry import discarded_after, retried
from datastores.scan import Scan
from datastores.transfer.endpoints import resolve
from datastores.transfer.files import FileJob, copies_bytes
from datastores.transfer.journal import Identity, PartNote
from datastores.transfer.meter import Meter
from datastores.transfer.options import CopyOptions
from datastores.transfer.parts import Job, Part
from datastores.transfer.plan import CopyPlan
from datastores.transfer.progress import PartProgress
from datastores.transfer.report import CopyReport
from datastores.transfer.rows import RowJob
from datastores.values import Unfit, WriteMode

# A signal that comes just before Python's wait begins does not end it: workers that hold the
# interpreter's lock make that moment long. So the wait ends by itself now and then.
WAKE_SECONDS = 0.25

_log = logging.getLogger("datastores")


def plan_copy(source: Any, target: Any, **options: Unpack[CopyOptions]) -> CopyPlan:
    """Return what `copy` with the same arguments will do; nothing is written.

    Costs the catalogue queries and listings that planning needs, and reads no rows; only ranges
    of a key are found in a sample of its values, for which a view or query is run once, and under
    `on_unfit` the source counts what does not fit.
    Raises what `copy` would raise before its first part.
    """
    ends = _ends(source, target, options)
    with _planned(*ends, options, Identity.of(*ends, options)) as job:
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
    began = time.monotonic()
    ends = _ends(source, target, options)
    identity = Identity.of(*ends, options)
    entry = _find_job(ends[1], identity)
    if entry is not None and entry.state is JobState.PUBLISHED:
        return _acknowledged(ends, identity, entry, options, began)
    with _planned(*ends, options, identity) as job:
        run = _Run(job, options.get("progress"))
        with discarded_after(job.discard, identity.job, unless=run.may_go_on):
            kept = job.keep(job.begin(entry))
            job.plan = replace(job.plan, parts_kept=len(kept))
            if on_plan := options.get("on_plan"):
                on_plan(job.plan)
            receipts, meters = run.parts(kept)
            retried(lambda: job.publish(receipts), on_retry=run.count_retry)
            digest = job.verify(meters)
        return _report(job, receipts, meters, digest, run.retries, time.monotonic() - began)


def _ends(source: Any, target: Any, options: CopyOptions) -> tuple[StorePath | Scan, StorePath]:
    _refuse_unknown(options)
    start, end = resolve(source, options), resolve(target, options)
    if isinstance(end, Scan):
        raise ConfigurationError("a scan is not a target", advice='Give a URL or store / "path"')
    return start, end


@contextlib.contextmanager
def _planned(
    start: StorePath | Scan, end: StorePath, options: CopyOptions, identity: Identity
) -> Iterator[Job]:
    kind = FileJob if copies_bytes(start, end, options) else RowJob
    with contextlib.closing(kind(start, end, options, identity)) as job:
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
    began: float,
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
    return _told(
        CopyReport(
            job=entry.job,
            source=identity.source,
            target=identity.target,
            mode=WriteMode.parse(options.get("mode", WriteMode.CREATE)),
            rows=sum(one.rows for one in entry.receipts) if by_rows else None,
            files=None if by_rows else sum(len(one.outputs) for one in entry.receipts),
            bytes_read=sum(one.bytes_read for one in notes),
            bytes_written=sum(one.bytes for one in entry.receipts),
            seconds=time.monotonic() - began,
            parts=len(entry.receipts),
            parts_kept=len(entry.receipts),
            workers=0,
            retries=0,
            snapshot=None,
            publish="published by an earlier call of the job",
            digest=None,
            peak_memory_bytes=_peak_memory_bytes(),
            unfit=sum((one.unfit for one in notes), start=Unfit()),
        )
    )


class _Run:
    """The parts of one job, in threads."""

    def __init__(self, job: Job, progress: Callable[[PartProgress], None] | None) -> None:
        self._job = job
        self._progress = progress
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._finished: dict[str, Receipt] = {}
        self.retries = 0
        """How often a part, or the publish, was tried again."""

    def count_retry(self) -> None:
        """Add one, from any thread."""
        with self._lock:
            self.retries += 1

    def parts(
        self, kept: Mapping[str, tuple[Receipt, PartNote]]
    ) -> tuple[list[Receipt], list[Meter]]:
        """Stage all parts but those that are kept; return the receipts and meters of all."""
        job = self._job
        meters = {
            part.name: _meter(part, self._progress, self._stop, verify=job.plan.verify)
            for part in job.parts
        }
        for name, (receipt, note) in kept.items():
            self._finished[name] = replace(receipt, unfit=note.unfit)
            meters[name].restore(receipt.rows, note.bytes_read, note.digest)
        pool = ThreadPoolExecutor(job.plan.workers, thread_name_prefix="datastores-copy")
        try:
            pending = {
                pool.submit(self._stage, part, meters[part.name])
                for part in job.parts
                if part.name not in kept
            }
            while pending:
                done, pending = wait(pending, timeout=WAKE_SECONDS, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
        finally:
            # After a failure the other parts stop at their next batch. Set twice, since a signal can
            # strike anywhere, and a second one here would leave workers that nobody stops.
            try:
                self._stop.set()
            finally:
                self._stop.set()
                pool.shutdown(wait=True, cancel_futures=True)
        return [self._finished[part.name] for part in job.parts], list(meters.values())

    def _stage(self, part: Part, meter: Meter) -> None:
        def again() -> None:
            meter.restart()
            self.count_retry()

        # A part whose rows were on their way when a connection broke is read and staged anew.
        self._finished[part.name] = retried(
            lambda: self._job.run(part, meter), on_retry=again, stop=self._stop
        )
        meter.finish()

    def may_go_on(self, error: BaseException) -> bool:
        """Leave the staging to a later call if that may get further than this one; say so."""
        passes = (
            error.transient
            if isinstance(error, DatastoreError)
            else not isinstance(error, Exception)
        )
        if not passes or not self._finished:
            return False
        self._job.leave()
        plan = self._job.plan
        error.add_note(
            f"{len(self._finished)} of {len(plan.parts)} parts are safe: the same call goes on from "
            f"here, and datastores jobs clean {plan.job} forgets it"
        )
        return True


def _meter(
    part: Part,
    progress: Callable[[PartProgress], None] | None,
    stop: threading.Event,
    *,
    verify: bool,
) -> Meter:
    start = PartProgress(
        part=part.name,
        label=part.label,
        rows=0,
        bytes=0,
        rows_total=part.rows,
        bytes_total=part.bytes,
        seconds=0.0,
    )
    return Meter(start, progress, stop, digest=verify)


def _report(  # a value with as many fields
    job: Job,
    receipts: list[Receipt],
    meters: list[Meter],
    digest: str | None,
    retries: int,
    seconds: float,
) -> CopyReport:
    plan = job.plan
    by_rows = bool(plan.columns)
    return _told(
        CopyReport(
            job=plan.job,
            source=plan.source,
            target=plan.target,
            mode=plan.mode,
            rows=sum(receipt.rows for receipt in receipts) if by_rows else None,
            files=None if by_rows else sum(len(receipt.outputs) for receipt in receipts),
            bytes_read=sum(meter.bytes for meter in meters),
            bytes_written=sum(receipt.bytes for receipt in receipts),
            seconds=seconds,
            parts=len(plan.parts),
            parts_kept=plan.parts_kept,
            workers=plan.workers,
            retries=retries,
            snapshot=plan.snapshot,
            publish=plan.publish,
            digest=digest,
            peak_memory_bytes=_peak_memory_bytes(),
            unfit=None
            if plan.unfit is None
            else sum((receipt.unfit for receipt in receipts), start=plan.unfit),
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
