"""What a running copy tells about its parts, and to whom."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from datastores.transfer.threads import StoppedError


@dataclass(frozen=True, slots=True, kw_only=True)
class PartProgress:
    """How far one part is."""

    part: str
    label: str
    rows: int
    """Read so far; 0 for a part of files."""
    bytes: int
    """Read so far, of Arrow data or of files."""
    rows_total: int | None
    bytes_total: int | None
    """Estimates, or None."""
    seconds: float
    """Since the part began."""
    done: bool = False


class Listener:
    """The caller's `progress`, told by several workers, of which none interrupts another.

    What it raises ends the copy: it is kept in `error`, since on its way through a driver it could
    become another error, or one that is tried again.
    """

    def __init__(
        self, callback: Callable[[PartProgress], None] | None, stop: threading.Event
    ) -> None:
        self.error: BaseException | None = None
        self._callback = callback
        self._stop = stop
        self._lock = threading.Lock()

    def tell(self, progress: PartProgress) -> None:
        """Call the caller, unless the copy ends; raise `StoppedError` if that raises."""
        if self._callback is None:
            return
        with self._lock:
            if self._stop.is_set():
                raise StoppedError
            try:
                self._callback(progress)
            except BaseException as error:
                self.error = error
                self._stop.set()
                raise StoppedError from error
