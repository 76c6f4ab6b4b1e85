"""Runs a copy: parts in threads, then one publish; whatever fails, the target stays as it was."""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

from datastores.datastore import StorePath
from datastores.drivers.writing import JobEntry, JobState
from datastores.errors import ConfigurationError, DatastoreError, DatastoreWarning, located
from datastores.retry import discarded_after, retried
from datastores.scan import Scan
from datastores.transfer.archive import Archive
from datastores.transfer.endpoints import resolve
from datastores.transfer.executors import check_executor
from datastores.transfer.files import FileJob, copies_bytes
from datastores.transfer.journal import Identity, PartNote
from datastores.transfer.options import CopyOptions, refuse_unknown
from datastores.transfer.parts import Asked, Job
from datastores.transfer.plan import CopyPlan
from datastores.transfer.rejects import Rejects, rejecting
from datastores.transfer.report import CopyReport
from datastores.transfer.rows import RowJob
from datastores.transfer.stage import Stage
from datastores.transfer.timings import Stopwatch
from datastores.transfer.tracing import Describe, span
from datastores.values import Unfit, WriteMode

_log = logging.getLogger("datastores")


def plan_copy(source: Any, target: Any, **options: Unpack[CopyOptions]) -> CopyPlan:
    """Return what `copy` with the same arguments will do; nothing is written.

    Costs the catalogue queries and listings that planning needs, and reads no rows; only ranges
    of a key are found in a sample of its values, for which a view or query is run once, and the
    source counts what does not fit, if its types may have such values.
    Raises what `copy` would raise before its first part.
    """
    start, end = _ends(source, target, options)
    with contextlib.closing(Call(start, end, options, Identity.of(start, end, options))) as call:
        return call.plan(counts_refused=True)


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
    start, end = _ends(source, target, options)
    identity = Identity.of(start, end, options)
    watch = Stopwatch()
    with (
        span("copy") as describe,
        contextlib.closing(Call(start, end, options, identity)) as call,
    ):
        with watch.phase("plan"), span("copy.plan"):
            call.look()
            call.plan()
        return call.run(watch, describe)


class Call:
    """One call of `copy`, whose ends are known: planned, then run. Close it when it is over."""

    def __init__(
        self,
        source: StorePath | Scan,
        target: StorePath,
        options: CopyOptions,
        identity: Identity,
    ) -> None:
        self._source, self._target = source, target
        self._options = rejecting(source, options)
        self.identity = identity
        self.entry: JobEntry | None = None
        """What an earlier call of the same job left at the target, once that was looked up."""
        self._job: Job | None = None
        self._archive: Archive | None = None

    @property
    def is_published(self) -> bool:
        """Whether an earlier call of the job has published it."""
        return self.entry is not None and self.entry.state is JobState.PUBLISHED

    @property
    def _by_rows(self) -> bool:
        return not copies_bytes(self._source, self._target, self._options)

    def look(self) -> None:
        """Look up what an earlier call of the same job left."""
        store = self._target.store
        with located(
            store=store.name, driver=store.type, operation="copy", target=self.identity.target
        ):
            self.entry = store.tabular.find_job(self.identity.job)
            if self.entry is not None:
                self.identity.check(self.entry)

    def plan(self, *, counts_refused: bool = False) -> CopyPlan:
        """Return what `run` will do, or what an earlier call of the job has done.

        Args:
            counts_refused: Whether the source counts the values that the copy would refuse.
        """
        self._archive = Archive.of(self._source, self._target, self._options)
        if self.entry is not None and self.is_published:
            return _earlier_plan(self.identity, self.entry, self._options)
        kind = RowJob if self._by_rows else FileJob
        self._job = kind(
            Asked(
                source=self._source,
                target=self._target,
                options=self._options,
                identity=self.identity,
                entry=self.entry,
            )
        )
        if counts_refused:
            self._job.count_refused()
        if self._archive is not None:
            self._job.plan = replace(self._job.plan, archive=self._archive.folder)
        if (executor := self._options.get("executor")) is not None:
            check_executor(executor, self._job.ends())
        return self._job.plan

    def run(self, watch: Stopwatch, describe: Describe, *, keeps_entry: bool = False) -> CopyReport:
        """Carry out what was planned, and report it.

        Args:
            watch: Runs since the copy began.
            describe: Of its span.
            keeps_entry: Whether the journal is to say that the job is published, until `forget`.
        """
        options = self._options
        describe(job=self.identity.job, source=self.identity.source, target=self.identity.target)
        if self.entry is not None and self.is_published:
            return self._acknowledged(self.entry, watch, keeps_entry=keeps_entry)
        job = self._job
        assert job is not None  # noqa: S101  # plan comes first
        if not job.parts:
            return self._nothing_new(job, watch)
        stage = Stage(job, watch, options.get("progress"), options.get("executor"))
        report: CopyReport | None = None

        def end() -> None:
            if report is not None and keeps_entry:
                job.leave_entry()
            else:
                job.discard()

        with discarded_after(end, self.identity.job, unless=stage.may_go_on):
            with watch.phase("stage"):
                kept = job.keep(job.begin())
                job.plan = replace(job.plan, parts_kept=len(kept))
                if on_plan := options.get("on_plan"):
                    on_plan(job.plan)
                stage.run(kept)
            with watch.phase("publish"), span("copy.publish"):
                retried(lambda: job.publish(stage.receipts), on_retry=stage.count_retry)
            digest = _verified(job, watch, stage)
            archived = self._archived(watch)
            report = _report(job.plan, watch, stage, digest, by_rows=self._by_rows)
            report = _told(replace(report, archived=archived))
        describe(
            mode=report.mode,
            rows=report.rows,
            files=report.files,
            bytes_read=report.bytes_read,
            bytes_written=report.bytes_written,
            retries=report.retries,
        )
        return report

    def _nothing_new(self, job: Job, watch: Stopwatch) -> CopyReport:
        """Return the report of a copy of what is new, when nothing is."""
        if self.entry is not None:
            self.forget(self.entry.job)
        if on_plan := self._options.get("on_plan"):
            on_plan(job.plan)
        archived = self._archived(watch)
        stage = Stage(job, watch, None, None)
        report = _report(job.plan, watch, stage, None, by_rows=self._by_rows)
        return _told(replace(report, archived=archived))

    def _archived(self, watch: Stopwatch) -> int | None:
        """Move what is published to the archive; return how many files, None if there is none."""
        if self._archive is None:
            return None
        with watch.phase("archive"), span("copy.archive"):
            try:
                return self._archive.move()
            except DatastoreError as error:
                error.add_note("all is copied; the same call moves the files that are left")
                raise

    def forget(self, job: str) -> None:
        """Take the entry of a job that was published out of the journal."""
        retried(lambda: self._target.store.tabular.forget_job(job))

    def close(self) -> None:
        """Let go of what the plan holds."""
        if self._job is not None:
            self._job.close()

    def _acknowledged(self, entry: JobEntry, watch: Stopwatch, *, keeps_entry: bool) -> CopyReport:
        """Return the report of a job that was published before its call could say so."""
        if self._options.get("verify"):
            warnings.warn(
                f"job {entry.job} was published by an earlier call, and is not verified now: "
                "compare the two ends with datastores.verify",
                DatastoreWarning,
                stacklevel=4,
            )
        notes = [PartNote.load(one.note, one.part) for one in entry.receipts]
        if rejects := Rejects.of(self._options):
            retried(lambda: rejects.finish(entry.job, [one.rejects for one in notes]))
        archived = self._archived(watch)
        if not keeps_entry:
            self.forget(entry.job)
        self._target.store.refresh()
        plan = _earlier_plan(self.identity, entry, self._options)
        if self._archive is not None:
            plan = replace(plan, archive=self._archive.folder)
        report = _earlier_report(plan, entry, notes, watch, by_rows=self._by_rows)
        return _told(replace(report, archived=archived))


def _ends(source: Any, target: Any, options: CopyOptions) -> tuple[StorePath | Scan, StorePath]:
    refuse_unknown(options, CopyOptions, "copy")
    start, end = resolve(source, options), resolve(target, options)
    if isinstance(end, Scan):
        raise ConfigurationError("a scan is not a target", advice='Give a URL or store / "path"')
    return start, end


def _earlier_plan(identity: Identity, entry: JobEntry, options: CopyOptions) -> CopyPlan:
    """Return as a plan what an earlier call of a job has published."""
    rejects = Rejects.of(options)
    return CopyPlan(
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
        rejects=rejects.label if rejects else None,
    )


def _earlier_report(
    plan: CopyPlan,
    entry: JobEntry,
    notes: Sequence[PartNote],
    watch: Stopwatch,
    *,
    by_rows: bool,
) -> CopyReport:
    at_source = sum(sum(one.rows_rejected or ()) for one in notes)
    return CopyReport(
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
        unfit=sum((one.unfit for one in notes), start=Unfit(rows_rejected=at_source)),
    )


def _verified(job: Job, watch: Stopwatch, stage: Stage) -> str | None:
    if not job.plan.verify:
        return None
    with watch.phase("verify"), span("copy.verify"):
        return job.verify(stage.digests)


def _report(
    plan: CopyPlan, watch: Stopwatch, stage: Stage, digest: str | None, *, by_rows: bool
) -> CopyReport:
    receipts = stage.receipts
    return CopyReport(
        plan=plan,
        began=watch.began,
        rows=sum(receipt.rows for receipt in receipts) if by_rows else None,
        files=None if by_rows else sum(len(receipt.outputs) for receipt in receipts),
        bytes_read=stage.bytes_read,
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
