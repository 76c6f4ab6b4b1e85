"""One part's work as one value: a thread runs it, and any other process in the same way."""

from __future__ import annotations

import os
import pickle
import socket
import sys
import threading
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from datastores.drivers.writing import Receipt
from datastores.errors import ConflictError, DatastoreError
from datastores.retry import retried
from datastores.transfer.journal import PartNote
from datastores.transfer.meter import Meter
from datastores.transfer.parts import Work
from datastores.transfer.progress import Listener, PartProgress
from datastores.transfer.threads import StoppedError
from datastores.transfer.tracing import carried, continued, span
from datastores.types.digest import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class PartResult:
    """What became of one part."""

    receipt: Receipt
    progress: PartProgress
    """As it was in the end."""
    digest: Digest | None
    attempts: int
    worker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A part's work, and what is to be noted of it."""

    start: PartProgress
    """The part as it stands before its first row."""
    work: Work
    digests: bool
    """Whether to digest the rows, for verifying."""
    parent: Mapping[str, str] = field(default_factory=carried)
    """The span it belongs to, for another process."""

    def run(
        self, listener: Listener, stop: threading.Event, worker: str | None = None
    ) -> PartResult | Exception:
        """Return what became of the part; what it raised as a value, so that the rest is the executor's.

        Args:
            listener: Told as the part advances, and when it is done.
            stop: Set when the copy ends early; the part's next batch is then its last.
            worker: Who runs it; this thread if None.
        """
        try:
            with span("copy.part") as describe:
                describe(part=self.start.part)
                meter = Meter(self.start, listener, stop, digest=self.digests)
                # A part whose rows were on their way when a connection broke is read and staged anew.
                receipt = retried(lambda: self._attempt(meter), on_retry=meter.restart, stop=stop)
                result = PartResult(
                    receipt=receipt,
                    progress=meter.progress(done=True),
                    digest=meter.digest,
                    attempts=meter.attempts,
                    worker=worker or threading.current_thread().name,
                )
                describe(
                    rows=receipt.rows,
                    bytes_read=result.progress.bytes,
                    bytes_written=receipt.bytes,
                    attempts=result.attempts,
                )
                # It is staged, whoever may not want to hear of it.
                with suppress(StoppedError):
                    listener.tell(result.progress)
        except Exception as error:  # noqa: BLE001  # raised anew by whoever waits for it
            return error
        return result

    def _attempt(self, meter: Meter) -> Receipt:
        receipt = self.work.run(meter)
        if PartNote.load(receipt.note, receipt.part).call != self.work.call:
            # Of a source as it was then: a worker that an earlier call gave up came to its end.
            self.work.forget()
            raise ConflictError(
                f"part {receipt.part} was staged meanwhile by a worker of an earlier call"
            )
        return receipt


def run_pickled(pickled: bytes) -> PartResult | Exception:
    """Return what became of a pickled task. What an executor of processes runs."""
    task: Task = pickle.loads(pickled)  # noqa: S301  # the copy's own
    stop = threading.Event()
    with continued(task.parent):
        outcome = task.run(Listener(None, stop), stop, _worker())
    if isinstance(outcome, Exception) and not isinstance(outcome, DatastoreError):
        # Nobody expects it, and its frames stay here.
        outcome.add_note("".join(traceback.format_exception(outcome)))
    return outcome


def _worker() -> str:
    """Return the name of this process: as Dask calls it, or host and number."""
    if distributed := sys.modules.get("distributed"):
        with suppress(ValueError):
            return f"dask {distributed.get_worker().name}"
    return f"{socket.gethostname()}:{os.getpid()}"
