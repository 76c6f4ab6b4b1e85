"""Stages the parts of a job, but for those that an earlier call has finished."""

from __future__ import annotations

import contextvars
import functools
import pickle
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace

from datastores.drivers.writing import Receipt
from datastores.errors import AuthenticationError, DatastoreError, PermissionDeniedError
from datastores.transfer.executors import is_local, run_on
from datastores.transfer.journal import PartNote
from datastores.transfer.parts import Job, Part
from datastores.transfer.progress import Listener, PartProgress
from datastores.transfer.task import PartResult, Task, run_pickled
from datastores.transfer.timings import PartReport, Stopwatch
from datastores.types.digest import Digest

_WITHDRAWN = (AuthenticationError, PermissionDeniedError)


class Stage:
    """One job's parts, and what became of them.

    Args:
        job: Planned.
        watch: Runs since the copy began.
        progress: Told as parts advance.
        executor: Runs the parts; threads of the stage's own if None.
    """

    def __init__(
        self,
        job: Job,
        watch: Stopwatch,
        progress: Callable[[PartProgress], None] | None,
        executor: Executor | None,
    ) -> None:
        self._job = job
        self._watch = watch
        self._stop = threading.Event()
        self._listener = Listener(progress, self._stop)
        self._executor = executor
        self._kept: dict[str, tuple[Receipt, PartNote]] = {}
        self._results: dict[str, PartResult] = {}
        self._reports: dict[str, PartReport] = {}
        self._publish_retries = 0

    @property
    def retries(self) -> int:
        """How often a part, or the publish, was tried again."""
        return self._publish_retries + sum(one.attempts - 1 for one in self._results.values())

    @property
    def receipts(self) -> list[Receipt]:
        """Those of all parts, once they are staged."""
        return [
            self._kept[one.name][0] if one.name in self._kept else self._results[one.name].receipt
            for one in self._job.parts
        ]

    @property
    def digests(self) -> list[Digest]:
        """Of all parts, if the copy is to be verified."""
        kept = [note.digest for _, note in self._kept.values()]
        found = [*kept, *(one.digest for one in self._results.values())]
        return [one for one in found if one is not None]

    @property
    def bytes_read(self) -> int:
        """Of all parts, by whichever call."""
        kept = sum(note.bytes_read for _, note in self._kept.values())
        return kept + sum(one.progress.bytes for one in self._results.values())

    @property
    def reports(self) -> tuple[PartReport, ...]:
        """What each part did that was not kept."""
        return tuple(
            self._reports[one.name] for one in self._job.parts if one.name in self._reports
        )

    def count_retry(self) -> None:
        """Add one, for the publish."""
        self._publish_retries += 1

    def run(self, kept: Mapping[str, tuple[Receipt, PartNote]]) -> None:
        """Stage all parts but those that are kept.

        Raises:
            BaseException: What `progress` raised, as it is.
        """
        workers = self._job.plan.workers
        self._kept = {
            name: (replace(receipt, unfit=note.unfit), note)
            for name, (receipt, note) in kept.items()
        }
        try:
            for part in self._job.parts:
                if part.name in kept:
                    self._tell_kept(part)
            if self._executor is not None:
                self._run_on(self._executor, workers)
            else:
                with ThreadPoolExecutor(workers, thread_name_prefix="datastores-copy") as pool:
                    self._run_on(pool, workers)
        except Exception:
            if self._listener.error is None:
                raise
        if self._listener.error is not None:
            raise self._listener.error from None

    def may_go_on(self, error: BaseException) -> bool:
        """Leave the staging to a later call if that may get further than this one; say so."""
        if self._job.is_half_published:
            # The rejected rows are staged, and nowhere else.
            self._job.leave()
            error.add_note(
                f"all other rows are at {self._job.plan.target}; the same call publishes the rejected ones"
            )
            return True
        # Whoever pressed Ctrl-C may think again, and a secret or a right that was withdrawn may be
        # given anew; what `progress` raised ends it.
        passes = (
            not isinstance(error, Exception)
            or isinstance(error, _WITHDRAWN)
            or (isinstance(error, DatastoreError) and error.transient)
        )
        finished = len(self._kept) + len(self._results)
        if error is self._listener.error or not passes or not finished:
            return False
        plan = self._job.plan
        if self._job.leave():
            error.add_note(
                f"{finished} of {len(plan.parts)} parts are safe: the same call goes on from "
                f"here, and datastores jobs clean {plan.job} forgets it"
            )
        return True

    def _run_on(self, executor: Executor, workers: int) -> None:
        here = is_local(executor)
        calls = self._calls_here() if here else self._calls_elsewhere()
        take = functools.partial(self._take, told=here)
        run_on(executor, calls, workers, self._stop, keep=self._keep, take=take)

    def _calls_here(self) -> Iterator[Callable[[], PartResult | Exception]]:
        for task in self._tasks():
            # The caller's context holds the span that the parts belong to.
            run = contextvars.copy_context().run
            yield functools.partial(run, task.run, self._listener, self._stop)

    def _calls_elsewhere(self) -> Iterator[Callable[[], PartResult | Exception]]:
        for task in self._tasks():
            yield functools.partial(run_pickled, pickle.dumps(task))

    def _tasks(self) -> Iterator[Task]:
        for part in self._job.parts:
            if part.name not in self._kept:
                yield Task(
                    start=_start(part), work=self._job.work(part), digests=self._job.plan.verify
                )

    def _keep(self, outcome: PartResult | Exception) -> None:
        if isinstance(outcome, Exception):
            return
        self._results[outcome.progress.part] = outcome
        # By this machine's clock: another one may be wrong.
        ended = self._watch.seconds
        self._reports[outcome.progress.part] = PartReport(
            name=outcome.progress.part,
            label=outcome.progress.label,
            worker=outcome.worker,
            began_seconds=ended - outcome.progress.seconds,
            ended_seconds=ended,
            rows=outcome.receipt.rows,
            bytes_read=outcome.progress.bytes,
            bytes_written=outcome.receipt.bytes,
            attempts=outcome.attempts,
        )

    def _take(self, outcome: PartResult | Exception, *, told: bool) -> None:
        if isinstance(outcome, Exception):
            raise outcome
        if not told:
            self._listener.tell(outcome.progress)

    def _tell_kept(self, part: Part) -> None:
        receipt, note = self._kept[part.name]
        self._listener.tell(
            replace(_start(part), rows=receipt.rows, bytes=note.bytes_read, done=True)
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
