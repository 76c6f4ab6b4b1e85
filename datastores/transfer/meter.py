"""Watches a part's rows or bytes go by: counts, times, digests, tells the progress, stops when told to."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Iterator

import pyarrow as pa

from datastores.transfer.progress import Listener, PartProgress
from datastores.transfer.threads import StoppedError
from datastores.types.digest import Digest

# Often enough for a bar that moves, seldom enough to cost nothing.
MIN_INTERVAL_SECONDS = 0.05


class Meter:
    """One part's counters; the part begins when they are made.

    Args:
        start: The part as it stands before its first row.
        listener: Told at most every `MIN_INTERVAL_SECONDS`.
        stop: Set when the copy ends early; the part's next batch then raises `StoppedError`.
        digest: Whether to digest the rows, for verifying.
    """

    def __init__(
        self, start: PartProgress, listener: Listener, stop: threading.Event, *, digest: bool
    ) -> None:
        self._digests = digest
        self._start = start
        self._listener = listener
        self._stop = stop
        self.attempts = 0
        self._began = self._told = time.monotonic()
        self.restart()

    def restart(self) -> None:
        """Forget what was counted: the part is read anew."""
        self.attempts += 1
        self.digest = Digest() if self._digests else None
        self.rows = 0
        self.bytes = 0

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
            self._told = time.monotonic()
            self._listener.tell(self.progress(done=False))

    def progress(self, *, done: bool) -> PartProgress:
        """Return how far the part is."""
        seconds = time.monotonic() - self._began
        return dataclasses.replace(
            self._start, rows=self.rows, bytes=self.bytes, seconds=seconds, done=done
        )
