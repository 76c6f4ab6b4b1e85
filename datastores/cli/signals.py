"""Ctrl-C and SIGTERM: both end a command in good order, so that a copy takes back its staging."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequested(BaseException):  # no error, as KeyboardInterrupt is none
    """The user pressed Ctrl-C, or the system asks to stop."""


class StopSignals:
    """Raises `StopRequested` in the main thread for either signal, within its `with` block.

    Later ones are ignored: they would end the tidying up that the first one began.
    """

    def __init__(self) -> None:
        self.stopped_by: int | None = None
        """The signal that came first."""
        self._before: dict[int, Any] = {}

    @property
    def exit_code(self) -> int:
        """128 and the signal's number, as shells count: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + (self.stopped_by or 0)

    def __enter__(self) -> Self:
        # Python lets only the main thread set handlers.
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._stop) for number in _SIGNALS}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _stop(self, number: int, _: FrameType | None) -> None:
        if self.stopped_by is None:
            self.stopped_by = number
            raise StopRequested
