"""A clock that moves."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest


@pytest.fixture
def forward(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Move this process's clock forward, by seconds."""
    genuine, moved = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: genuine() + sum(moved))
    return moved.append
