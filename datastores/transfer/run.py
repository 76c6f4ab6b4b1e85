"""Runs a copy: parts in threads, then one publish; whatever fails, the target stays as it was."""

from __future__ import annotations

import contextlib
import functools
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Unpack

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
from datastores.transfer.progress import PartProgress
from datastores.transfer.report import CopyReport
from datastores.transfer.rows import RowJob
from datastores.transfer.threads import run_all

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
    began = time.monotonic()
    with _planned(source, target, options) as job:
        if on_plan := options.get("on_plan"):
            on_plan(job.plan)
        retries = _Retries()
        with discarded_after(job.discard, job.plan.job):
            job.begin()
            receipts, meters = _run_parts(job, options.get("progress"), retries)
            retried(lambda: job.publish(receipts), on_retry=retries.add)
            digest = job.verify(meters)
        return _report(job, receipts, meters, digest, retries.count, time.monotonic() - began)


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


def _run_parts(
    job: Job, progress: Callable[[PartProgress], None] | None, retries: _Retries
) -> tuple[list[Receipt], list[Meter]]:
    stop = threading.Event()
    meters = [_meter(part, progress, stop, verify=job.plan.verify) for part in job.parts]

    def run(part: Part, meter: Meter) -> Receipt:
        def again() -> None:
            meter.restart()
            retries.add()

        # A part whose rows were on their way when a connection broke is read and staged anew.
        receipt = retried(lambda: job.run(part, meter), on_retry=again, stop=stop)
        meter.finish()
        return receipt

    tasks = [
        functools.partial(run, part, meter) for part, meter in zip(job.parts, meters, strict=True)
    ]
    return run_all(tasks, job.plan.workers, stop, name="datastores-copy"), meters


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
    report = CopyReport(
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
