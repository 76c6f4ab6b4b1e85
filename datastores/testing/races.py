"""Threads that try the same thing at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from datastores.errors import AlreadyExistsError

RACERS = 8


def race(attempt: Callable[[int, threading.Barrier], None]) -> list[int]:
    """Run an attempt in `RACERS` threads at once; return the numbers of those that succeeded.

    An attempt waits at the barrier where it should meet the others. Losing is an
    `AlreadyExistsError`; any other error is raised here.
    """
    ready = threading.Barrier(RACERS)
    with ThreadPoolExecutor(RACERS) as pool:
        attempts = [pool.submit(attempt, number, ready) for number in range(RACERS)]
    winners = []
    for number, one in enumerate(attempts):
        error = one.exception()
        if error is None:
            winners.append(number)
        elif not isinstance(error, AlreadyExistsError):
            raise error
    return winners
