"""What came from another process as its config: opened here once, and kept for whatever comes next."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

# Of a process, since what arrives in it has nothing else in common: each task brings its drivers, and
# to connect anew for each would cost more than a small part. They close what is idle, and at exit.
_kept: list[Any] = []
_lock = threading.Lock()


def reopened(kind: Callable[[Any], T], config: Any) -> T:
    """Return this process's own driver or client of a config; the same one for the same config.

    A class whose objects hold connections names it in `__reduce__`.
    """
    with _lock:
        for one in _kept:
            if type(one) is kind and one.config == config:
                found: T = one
                return found
        made = kind(config)
        _kept.append(made)
        return made
