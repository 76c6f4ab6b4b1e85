"""Batches read in a thread of their own, so that source and target work at the same time."""

from __future__ import annotations

import contextvars
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor

import pyarrow as pa


def read_ahead(
    batches: Generator[pa.RecordBatch, None, None], ahead: int
) -> Generator[pa.RecordBatch, None, None]:
    """Yield the batches, the next `ahead` being read meanwhile; closing it ends the reading too.

    What reading raises is raised in its turn, where the batch would have come. It goes on in the
    caller's context, so that what is traced there belongs to the caller's span.
    """
    return _ahead(batches, ahead, contextvars.copy_context())


def _ahead(
    batches: Generator[pa.RecordBatch, None, None], ahead: int, context: contextvars.Context
) -> Generator[pa.RecordBatch, None, None]:
    def read() -> pa.RecordBatch | None:
        return context.run(lambda: next(batches, None))

    pool = ThreadPoolExecutor(1, thread_name_prefix="datastores-read")
    try:
        coming: deque[Future[pa.RecordBatch | None]] = deque(
            pool.submit(read) for _ in range(ahead)
        )
        while (batch := coming.popleft().result()) is not None:
            coming.append(pool.submit(read))
            yield batch
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        batches.close()
