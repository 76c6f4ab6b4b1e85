"""Runs tasks in threads: the first failure, or Ctrl-C, stops the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar

T = TypeVar("T")

# A signal that comes just before Python's wait begins does not end it: workers that hold the
# interpreter's lock make that moment long. So the wait ends by itself now and then.
WAKE_SECONDS = 0.25


class StoppedError(Exception):
    """Another part failed, or the user pressed Ctrl-C; never seen by callers of `copy`."""


def run_all(
    tasks: Sequence[Callable[[], T]], threads: int, stop: threading.Event, *, name: str
) -> list[T]:
    """Return what the tasks return, in their order, and raise what the first to fail raises.

    Args:
        tasks: Begun in this order.
        threads: How many run at a time.
        stop: Set when the tasks are to end early; they look at it.
        name: Of the threads.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
    try:
        futures = [pool.submit(task) for task in tasks]
        pending = set(futures)
        while pending:
            done, pending = wait(pending, timeout=WAKE_SECONDS, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
    finally:
        # After a failure the other tasks stop at their next batch. Set twice, since a signal can
        # strike anywhere, and a second one here would leave workers that nobody stops.
        try:
            stop.set()
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
    return [future.result() for future in futures]
