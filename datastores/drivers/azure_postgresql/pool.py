"""Connections that wait: idle ones for their next use, and those that hold something open.

Not psycopg's pool: it connects in threads of its own, where the reason of a failure is logged and
the caller only sees that time ran out. Here the caller connects, and hears why not.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg

from datastores.drivers.azure_postgresql.connection import Connection

MAX_IDLE = 4
IDLE_SECONDS = 30.0


@dataclass(slots=True)
class _Own:
    """What one process has open."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    idle: list[tuple[float, Connection]] = field(default_factory=list)
    """Each with the moment at which it is too old, the oldest first."""
    held: dict[str, Connection] = field(default_factory=dict)
    closing: threading.Timer | None = None
    """Closes what nobody asked for in time."""

    def expired(self, now: float) -> list[Connection]:
        """Take out those that are too old, and look again when the next one is."""
        with self.lock:
            taken = [one for expires, one in self.idle if expires <= now]
            self.idle = self.idle[len(taken) :]
            self.closing = None
            self.watch()
        return taken

    def watch(self) -> None:
        """Close in time what nobody asks for; called with the lock held."""
        if self.closing is None and self.idle:
            seconds = max(self.idle[0][0] - time.monotonic(), 0.0)
            self.closing = threading.Timer(seconds, _close_expired, (self,))
            self.closing.daemon = True
            self.closing.start()


class Pool:
    """The connections of one client, in whichever process it is.

    Args:
        connect: Opens one, or raises one of our errors.
    """

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        # By process: what a parent opened stays its own, and is not even closed by a child.
        self._by_process: dict[int, _Own] = {}
        weakref.finalize(self, _close, self._by_process)

    def take(self) -> Connection:
        """Return an idle connection that still answers, or a new one; give it back, or close it."""
        own = self._own
        while True:
            with own.lock:
                if not own.idle:
                    break
                _, connection = own.idle.pop()
            try:
                # Nothing was asked of it yet, so that nothing is asked twice.
                connection.forget()
            except psycopg.Error:
                connection.close()
            else:
                return connection
        return self._connect()

    def give_back(self, connection: Connection) -> None:
        """Keep a connection for its next use, if it is idle and there is room; one held is left."""
        own = self._own
        is_idle = connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        with own.lock:
            if any(connection is one for one in own.held.values()):
                return
            if is_idle and len(own.idle) < MAX_IDLE:
                own.idle.append((time.monotonic() + IDLE_SECONDS, connection))
                own.watch()
                return
        connection.close()

    def hold(self, name: str, connection: Connection) -> None:
        """Keep a connection in its open transaction until `release(name)`."""
        with self._own.lock:
            self._own.held[name] = connection

    def holds(self, name: str) -> bool:
        """Return whether this process holds a connection of that name."""
        return name in self._own.held

    def release(self, name: str) -> None:
        """End the transaction that is held under a name, if there is one."""
        with self._own.lock:
            connection = self._own.held.pop(name, None)
        if connection is None:
            return
        try:
            connection.rollback()
        except psycopg.Error:
            connection.close()
        else:
            self.give_back(connection)

    def close(self) -> None:
        """Close all that this process has open."""
        _close(self._by_process)

    @property
    def _own(self) -> _Own:
        return self._by_process.setdefault(os.getpid(), _Own())


def _close_expired(own: _Own) -> None:
    for connection in own.expired(time.monotonic()):
        connection.close()


def _close(by_process: dict[int, _Own]) -> None:
    own = by_process.pop(os.getpid(), None)
    if own is None:
        return
    with own.lock:
        connections = [*(one for _, one in own.idle), *own.held.values()]
        own.idle, own.held = [], {}
        if own.closing is not None:
            own.closing.cancel()
    for connection in connections:
        connection.close()
