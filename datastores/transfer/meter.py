"""Watches a part's rows or bytes go by: counts, digests, tells the progress, stops when told to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pyarrow as pa

from datastores.transfer.progress import PartProgress
from datastores.types.digest import Digest

# Often enough for a bar that moves, seldom enough to cost nothing.
MIN_INTERVAL_SECONDS = 0.05


class StoppedError(Exception):
    """Another part failed, or the user pressed Ctrl-C; never seen by callers of `copy`."""


class Meter:
    """One part's counters.

    Args:
        start: The part as it stands before its first row.
        progress: Told at most every `MIN_INTERVAL_SECONDS`, and when the part is done.
        stop: Set when the copy ends early; the part's next batch then raises `StoppedError`.
        digest: Whether to digest the rows, for verifying.
    """

    def __init__(
        self,
        start: PartProgress,
        progress: Callable[[PartProgress], None] | None,
        stop: threading.Event,
        *,
        digest: bool = False,
    ) -> None:
        self._digests = digest
        self.restart()
        self._start = start
        self._progress = progress
        self._stop = stop
        self._began = self._told = time.monotonic()

    def restart(self) -> None:
        """Forget what was counted: the part is read anew."""
        self.digest = Digest() if self._digests else None
        self.rows = 0
        self.bytes = 0

    def restore(self, rows: int, size: int, digest: Digest | None) -> None:
        """Take over what was counted by an earlier call, and tell that the part is done."""
        self.rows, self.bytes, self.digest = rows, size, digest
        self.finish()

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

    def finish(self) -> None:
        """Tell that the part is done."""
        self._tell(done=True)

    def _tell(self, *, done: bool) -> None:
        self._told = time.monotonic()
        if self._progress is None:
            return
        start = self._start
        self._progress(
            PartProgress(
                part=start.part,
                label=start.label,
                rows=self.rows,
                bytes=self.bytes,
                rows_total=start.rows_total,
                bytes_total=start.bytes_total,
                seconds=self._told - self._began,
                done=done,
            )
        )
