"""Runs tasks in threads: the first failure, or Ctrl-C, stops the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from datastores.transfer.executors import run_on

T = TypeVar("T")


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
    results: dict[int, T] = {}

    def numbered(number: int, task: Callable[[], T]) -> tuple[int, T]:
        return number, task()

    def keep(result: tuple[int, T]) -> None:
        results[result[0]] = result[1]

    with ThreadPoolExecutor(threads, thread_name_prefix=name) as pool:
        calls = (partial(numbered, *one) for one in enumerate(tasks))
        run_on(pool, calls, threads, stop, keep=keep, take=lambda _: None)
    return [results[number] for number in range(len(tasks))]
