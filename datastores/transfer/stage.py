"""Stages the parts of a job in threads, but for those that an earlier call has finished."""

from __future__ import annotations

import contextvars
import functools
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace

from datastores.drivers.base import Receipt
from datastores.errors import DatastoreError
from datastores.retry import retried
from datastores.transfer.journal import PartNote
from datastores.transfer.meter import Meter
from datastores.transfer.parts import Job, Part
from datastores.transfer.progress import Listener, PartProgress
from datastores.transfer.threads import run_all
from datastores.transfer.timings import PartReport, Stopwatch
from datastores.transfer.tracing import span


class Stage:
    """One job's parts, and what became of them.

    Args:
        job: Planned.
        watch: Runs since the copy began.
        progress: Told as parts advance.
    """

    def __init__(
        self, job: Job, watch: Stopwatch, progress: Callable[[PartProgress], None] | None
    ) -> None:
        self._job = job
        self._stop = threading.Event()
        self._listener = Listener(progress, self._stop)
        verify = job.plan.verify
        self._meters = {
            part.name: Meter(_start(part), watch, self._listener, self._stop, digest=verify)
            for part in job.parts
        }
        self._finished: dict[str, Receipt] = {}
        self._reports: dict[str, PartReport] = {}
        self._lock = threading.Lock()
        self.retries = 0
        """How often a part, or the publish, was tried again."""

    @property
    def receipts(self) -> list[Receipt]:
        """Those of all parts, once they are staged."""
        return [self._finished[part.name] for part in self._job.parts]

    @property
    def meters(self) -> list[Meter]:
        """What was counted of all parts."""
        return list(self._meters.values())

    @property
    def reports(self) -> tuple[PartReport, ...]:
        """What each part did that was not kept."""
        return tuple(
            self._reports[one.name] for one in self._job.parts if one.name in self._reports
        )

    def count_retry(self) -> None:
        """Add one, from any thread."""
        with self._lock:
            self.retries += 1

    def run(self, kept: Mapping[str, tuple[Receipt, PartNote]]) -> None:
        """Stage all parts but those that are kept.

        Raises:
            BaseException: What `progress` raised, as it is.
        """
        for name, (receipt, note) in kept.items():
            self._finished[name] = replace(receipt, unfit=note.unfit)
            self._meters[name].restore(receipt.rows, note.bytes_read, note.digest)
        tasks = [
            # The caller's context holds the span that the parts belong to.
            functools.partial(contextvars.copy_context().run, self._run_part, part)
            for part in self._job.parts
            if part.name not in kept
        ]
        if not tasks:
            return
        try:
            run_all(tasks, self._job.plan.workers, self._stop, name="datastores-copy")
        except Exception:
            if self._listener.error is not None:
                raise self._listener.error from None
            raise

    def may_go_on(self, error: BaseException) -> bool:
        """Leave the staging to a later call if that may get further than this one; say so."""
        # Whoever pressed Ctrl-C may think again; what `progress` raised ends it.
        stopped = not isinstance(error, Exception)
        passes = stopped or (isinstance(error, DatastoreError) and error.transient)
        if error is self._listener.error or not passes or not self._finished:
            return False
        self._job.leave()
        plan = self._job.plan
        error.add_note(
            f"{len(self._finished)} of {len(plan.parts)} parts are safe: the same call goes on from "
            f"here, and datastores jobs clean {plan.job} forgets it"
        )
        return True

    def _run_part(self, part: Part) -> None:
        meter = self._meters[part.name]

        def again() -> None:
            meter.restart()
            self.count_retry()

        with span("copy.part") as describe:
            describe(part=part.name)
            meter.begin()
            # A part whose rows were on their way when a connection broke is read and staged anew.
            receipt = retried(lambda: self._job.run(part, meter), on_retry=again, stop=self._stop)
            self._finished[part.name] = receipt
            report = self._reports[part.name] = meter.finish(receipt)
            describe(
                rows=report.rows,
                bytes_read=report.bytes_read,
                bytes_written=report.bytes_written,
                attempts=report.attempts,
            )


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
