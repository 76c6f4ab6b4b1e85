"""Watches a part's rows or bytes go by: counts, times, digests, tells the progress, stops when told to."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pyarrow as pa

from datastores.drivers.base import Receipt
from datastores.transfer.progress import Listener, PartProgress
from datastores.transfer.threads import StoppedError
from datastores.transfer.timings import PartReport, Stopwatch
from datastores.types.digest import Digest

# Often enough for a bar that moves, seldom enough to cost nothing.
MIN_INTERVAL_SECONDS = 0.05


class Meter:
    """One part's counters.

    Args:
        start: The part as it stands before its first row.
        watch: Says when the part begins and ends.
        listener: Told at most every `MIN_INTERVAL_SECONDS`, and when the part is done.
        stop: Set when the copy ends early; the part's next batch then raises `StoppedError`.
        digest: Whether to digest the rows, for verifying.
    """

    def __init__(
        self,
        start: PartProgress,
        watch: Stopwatch,
        listener: Listener,
        stop: threading.Event,
        *,
        digest: bool = False,
    ) -> None:
        self._digests = digest
        self._start = start
        self._watch = watch
        self._listener = listener
        self._stop = stop
        self._attempts = 0
        self.restart()

    def begin(self) -> None:
        """Note that a worker begins the part."""
        self._worker = threading.current_thread().name
        self._began = self._watch.seconds
        self._told = time.monotonic()

    def restart(self) -> None:
        """Forget what was counted: the part is read anew."""
        self._attempts += 1
        self.digest = Digest() if self._digests else None
        self.rows = 0
        self.bytes = 0

    def restore(self, rows: int, size: int, digest: Digest | None) -> None:
        """Take over what was counted by an earlier call, and tell that the part is done."""
        self.begin()
        self.rows, self.bytes, self.digest = rows, size, digest
        self._tell(done=True)

    def batches(self, reader: pa.RecordBatchReader) -> pa.RecordBatchReader:
        """Return the same stream, watched."""

        def watched() -> Iterator[pa.RecordBatch]:
            for batch in reader:
                if self.digest is not None:
                    self.digest.update(batch)
                self.count(len(batch), batch.nbytes)
                yield batch

        return pa.RecordBatchReader.from_batches(reader.schema, watched())

    def count(self, rows: int, size: int) -> None:
        """Add what was read, and raise `StoppedError` if the copy ends early."""
        if self._stop.is_set():
            raise StoppedError
        self.rows += rows
        self.bytes += size
        if time.monotonic() - self._told >= MIN_INTERVAL_SECONDS:
            self._tell(done=False)

    def finish(self, receipt: Receipt) -> PartReport:
        """Tell that the part is done, and return what it did."""
        report = PartReport(
            name=self._start.part,
            label=self._start.label,
            worker=self._worker,
            began_seconds=self._began,
            ended_seconds=self._watch.seconds,
            rows=receipt.rows,
            bytes_read=self.bytes,
            bytes_written=receipt.bytes,
            attempts=self._attempts,
        )
        self._tell(done=True)
        return report

    def _tell(self, *, done: bool) -> None:
        self._told = time.monotonic()
        start = self._start
        self._listener.tell(
            PartProgress(
                part=start.part,
                label=start.label,
                rows=self.rows,
                bytes=self.bytes,
                rows_total=start.rows_total,
                bytes_total=start.bytes_total,
                seconds=self._watch.seconds - self._began,
                done=done,
            )
        )
