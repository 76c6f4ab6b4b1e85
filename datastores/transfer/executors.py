"""Runs calls on an executor, a bounded number at a time: the first failure, or Ctrl-C, ends the rest."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from datastores.drivers.base import Driver
from datastores.errors import ConfigurationError, ConnectionFailedError, located

T = TypeVar("T")

PATIENCE_SECONDS = 10.0
"""How long a copy that ends early waits for tasks in other processes, which nobody can stop."""

# A signal that comes just before Python's wait begins does not end it: workers that hold the
# interpreter's lock make that moment long. So the wait ends by itself now and then.
_WAKE_SECONDS = 0.25


def is_local(executor: Executor) -> bool:
    """Return whether its tasks are threads of this process."""
    return isinstance(executor, ThreadPoolExecutor)


def check_executor(executor: Any, ends: Mapping[str, Driver]) -> None:
    """Refuse what cannot run a copy's parts.

    Args:
        executor: What a user gave.
        ends: The drivers that parts are read and written with, by what they are of.

    Raises:
        ConfigurationError: It is no executor, or a store was given a secret itself, which goes to no
            other process.
        UnsupportedOperationError: A store is one process's only.
    """
    if not isinstance(executor, Executor):
        raise ConfigurationError(
            f"a {type(executor).__name__} is not an executor",
            advice="Give one of concurrent.futures, or a Dask client.get_executor()",
        )
    if is_local(executor):
        return
    for name, driver in ends.items():
        with located(store=name, operation="copy"):
            try:
                pickle.dumps(driver)
            except (AttributeError, TypeError, pickle.PicklingError) as error:
                raise ConfigurationError(
                    f"the settings of {name} do not go to another process: {error}",
                    driver=driver.type_name,
                    advice="Give no object in them, such as a credential; or use threads",
                ) from error


def run_on(
    executor: Executor,
    calls: Iterable[Callable[[], T]],
    at_once: int,
    stop: threading.Event,
    *,
    keep: Callable[[T], None],
    take: Callable[[T], None],
) -> None:
    """Run all calls; the executor stays the caller's.

    Args:
        executor: Runs them.
        calls: Begun in this order, each made when its turn comes.
        at_once: How many are handed over at a time.
        stop: Set when the rest is to end early; calls in threads look at it.
        keep: Told what each returns, in any thread, whatever became of the others. Must not fail.
        take: Told it too, in this thread, while all goes well. What it raises ends the rest.

    Raises:
        ConnectionFailedError: A worker was lost, or the executor does not work any more.
        Exception: What the first call to fail raised, if it ran in a thread.
    """
    coming = iter(calls)
    running: set[Future[T]] = set()
    done: SimpleQueue[Future[T]] = SimpleQueue()

    def ended(future: Future[T]) -> None:
        if not future.cancelled() and future.exception() is None:
            keep(future.result())
        done.put(future)

    try:
        while True:
            for call in islice(coming, at_once - len(running)):
                future = _submitted(executor, call)
                running.add(future)
                future.add_done_callback(ended)
            if not running:
                return
            with suppress(Empty):
                future = done.get(timeout=_WAKE_SECONDS)
                running.remove(future)
                take(_result(executor, future))
    finally:
        # After a failure the others stop at their next batch. Set twice, since a signal can strike
        # anywhere, and a second one here would leave workers that nobody stops.
        try:
            stop.set()
        finally:
            stop.set()
            for future in running:
                future.cancel()
            wait(running, timeout=None if is_local(executor) else PATIENCE_SECONDS)


def _submitted(executor: Executor, call: Callable[[], T]) -> Future[T]:
    try:
        return executor.submit(call)
    except RuntimeError as error:
        raise _lost(executor, error) from error


def _result(executor: Executor, future: Future[T]) -> T:
    try:
        return future.result()
    except Exception as error:
        if is_local(executor):
            raise
        # What a part raises comes as a value.
        raise _lost(executor, error) from error


def _lost(executor: Executor, error: Exception) -> ConnectionFailedError:
    return ConnectionFailedError(
        f"the {type(executor).__name__} lost a worker, or does not run any more: "
        f"{type(error).__name__}: {error}",
        operation="copy",
        advice="Its own log says why, such as memory; give one that runs, and make the same call again",
    )
