"""What came from another process as its config: opened here once, and kept for whatever comes next."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

# Of a process, since what arrives in it has nothing else in common: each task brings its drivers, and
# to connect anew for each would cost more than a small part. They close what is idle, and at exit.
_kept: dict[tuple[Any, bytes], Any] = {}
_lock = threading.Lock()


def elsewhere(kind: Callable[[Any], T], config: Any) -> tuple[Any, ...]:
    """Return what `__reduce__` of something that holds connections returns: its config is enough."""
    return (_reopened, (kind, pickle.dumps(config)))


def _reopened(kind: Callable[[Any], T], config: bytes) -> T:
    """Return this process's own; the same one for the same config."""
    with _lock:
        if (kind, config) not in _kept:
            _kept[kind, config] = kind(pickle.loads(config))  # noqa: S301  # of the same task
        found: T = _kept[kind, config]
        return found
