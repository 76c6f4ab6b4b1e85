"""What tests put before a part that runs in another process. Alone here, to be imported there quickly."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datastores.errors import DataError
from datastores.transfer.meter import Meter


class Call:
    """A call with something before it; pickles."""

    def __init__(self, before: Callable[..., Any], *arguments: Any) -> None:
        self._before, self._arguments = before, arguments

    def __call__(self) -> Any:
        return self._before(*self._arguments)


def dying(call: Callable[[], Any], mark: Path) -> Any:
    """Run a part, and be killed in its middle, the first time."""
    if not mark.exists():
        mark.touch()

        def count(meter: Meter, rows: int, size: int) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        Meter.count = count  # type: ignore[assignment, method-assign]
    return call()


def failing() -> Any:
    """Fail as a part does."""
    return DataError("no", store="files", advice="Look")


def held(call: Callable[[], Any], began: Path, over: Path) -> Any:
    """Begin a part, and go on with it when the test is over."""
    count = Meter.count

    def waiting(meter: Meter, rows: int, size: int) -> None:
        began.touch()
        await_file(over)
        count(meter, rows, size)

    Meter.count = waiting  # type: ignore[assignment, method-assign]
    try:
        return call()
    finally:
        Meter.count = count  # type: ignore[method-assign]


def failing_once(began: Path) -> Any:
    """Fail as soon as the other part has begun."""
    await_file(began)
    return failing()


def await_file(path: Path) -> None:
    until = time.monotonic() + 60
    while not path.exists() and time.monotonic() < until:
        time.sleep(0.01)
