"""Something that happens in the middle of a copy out of PostgreSQL: after a part, before others sign in."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from datastores.drivers.azure_postgresql.client import Client
from datastores.errors import DatastoreError
from datastores.transfer import PartProgress

# The snapshot's connection, and that of the first reader.
_OWN = 2


class BetweenParts:
    """Holds every connection but the first two until a part is finished, and calls `change` once.

    Give `progress` to the copy. `show` prints what happened and when, for `pytest -s`.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, change: Callable[[], None]) -> None:
        self._change, self._genuine = change, Client._try_to_connect
        self._lock, self._finished = threading.Lock(), threading.Event()
        self._began, self._connections, self._changed = time.time(), 0, False
        self._lines: list[tuple[float, str]] = []
        monkeypatch.setattr(Client, "_try_to_connect", lambda client: self._connect(client))  # noqa: PLW0108  # a method would not be given it

    def progress(self, one: PartProgress) -> None:
        """Note what is finished."""
        if one.done:
            self.note(f"part {one.part} is finished, {one.rows} rows")
            self._finished.set()

    def note(self, text: str, at: float | None = None) -> None:
        """Remember what happened, now or at a time."""
        self._lines.append(((at or time.time()) - self._began, text))

    def show(self) -> None:
        """Print it, in the order of time."""
        lines = [f"{seconds:8.3f} s  {text}\n" for seconds, text in sorted(self._lines)]
        sys.stdout.write("\n" + "".join(lines))

    def _connect(self, client: Client) -> Any:
        with self._lock:
            self._connections += 1
            number = self._connections
        if number > _OWN:
            assert self._finished.wait(30), "no part is finished"
            with self._lock:
                if not self._changed:
                    self._change()
                self._changed = True
        found = self._genuine(client)
        taken = "refuses" if isinstance(found, DatastoreError) else "takes"
        self.note(f"PostgreSQL {taken} connection {number}")
        return found
