"""What follows a failure: another attempt where one may succeed, and the end of what was staged."""

from __future__ import annotations

import logging
import random
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from datastores.errors import DatastoreError, DatastoreWarning

T = TypeVar("T")

# Between one attempt and the next; there is one attempt more than there are pauses.
PAUSES_SECONDS = (0.5, 2.0)
# Workers that failed together do not come back together.
_JITTER = (0.5, 1.5)

_log = logging.getLogger("datastores")


def retried(
    attempt: Callable[[], T],
    *,
    on_retry: Callable[[], None] | None = None,
    stop: threading.Event | None = None,
) -> T:
    """Return what `attempt` returns; it is made again after an error that is `transient`.

    Args:
        attempt: May run more than once, whatever became of the run before.
        on_retry: Called before each further attempt.
        stop: Ends a pause, and with it the attempts.

    Raises:
        DatastoreError: The last attempt's; a note says how many there were.
    """
    stop = stop or threading.Event()
    number = 1
    while True:
        try:
            return attempt()
        except DatastoreError as error:
            may_pass = error.transient and number <= len(PAUSES_SECONDS)
            if not may_pass or stop.wait(_pause_seconds(number)):
                if number > 1:
                    error.add_note(f"after {number} attempts")
                raise
            _log.info("attempt %d failed, and is made again: %s", number, error)
        number += 1
        if on_retry is not None:
            on_retry()


def _pause_seconds(number: int) -> float:
    return PAUSES_SECONDS[number - 1] * random.uniform(*_JITTER)  # noqa: S311  # no secret


@contextmanager
def discarded_after(
    discard: Callable[[], object],
    job: str,
    *,
    unless: Callable[[BaseException], bool] = lambda _: False,
) -> Iterator[None]:
    """Remove a job's staging however the block ends.

    That it could not be removed is a note on the block's own error, and a warning where the block
    ended well: what it published stays.

    Args:
        discard: Removes it.
        job: Whose it is.
        unless: Told of the block's error; returns whether the staging stays for a later call.
    """
    try:
        yield
    except BaseException as error:
        if unless(error):
            raise
        try:
            # Whoever pressed Ctrl-C does not wait for a server that may come back.
            _discard(discard, again=isinstance(error, DatastoreError))
        except DatastoreError as leftover:
            error.add_note(f"staging of job {job} was not removed: {leftover}")
        raise
    try:
        _discard(discard, again=True)
    except DatastoreError as leftover:
        warnings.warn(
            f"all was written, but the staging of job {job} was not removed: {leftover}",
            DatastoreWarning,
            stacklevel=3,
        )


def _discard(discard: Callable[[], object], *, again: bool) -> None:
    if again:
        retried(discard)
    else:
        discard()
