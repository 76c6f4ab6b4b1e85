"""Rows taken straight from the libpq that psycopg has loaded; sign-in and TLS stay psycopg's."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
from collections.abc import Iterator
from functools import cache
from typing import Any, cast

import numpy as np
import psycopg
from psycopg import pq

from datastores.drivers.azure_postgresql.codec import _compiled
from datastores.drivers.azure_postgresql.codec.layout import TRAILER
from datastores.drivers.azure_postgresql.codec.messages import (
    BATCH_BYTES,
    after_header,
    wrong_end,
)
from datastores.drivers.azure_postgresql.codec.window import PADDING, Window

_NAMES = ("PQgetCopyData", "PQconsumeInput", "PQsocket", "PQfreemem")
# The module that links libpq, by what psycopg calls its implementations.
_LINKED = {"binary": "psycopg_binary.pq", "c": "psycopg_c.pq"}
# What `fetch` says, as libpq.c numbers it.
_FULL, _TRAILER, _END = 0, 1, 2

Functions = tuple[int, int, int, int]


@cache
def functions() -> Functions | None:
    """Return the addresses of the functions we call, or None where they cannot be had."""
    if not hasattr(_compiled, "fetch"):
        return None
    with contextlib.suppress(ImportError, OSError, AttributeError, KeyError):
        library = _loaded()
        first, second, third, fourth = (
            ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0 for name in _NAMES
        )
        return first, second, third, fourth
    return None


def _loaded() -> ctypes.CDLL:
    if pq.__impl__ == "python":
        python = importlib.import_module("psycopg.pq._pq_ctypes")
        library: ctypes.CDLL = python.pq
        return library
    path = importlib.import_module(_LINKED[pq.__impl__]).__file__
    # A handle to what is loaded already finds the symbols of what it is linked to.
    return ctypes.CDLL(path, mode=os.RTLD_NOLOAD | os.RTLD_NOW)


def windows_of(copy: psycopg.Copy, called: Functions, batch_rows: int) -> Iterator[Window]:
    """Yield the rows of one batch after the other; the next one overwrites it.

    Raises:
        DriverError: This is no COPY, or it ends too early.
        psycopg.Error: What the server or the connection has to say.
    """
    connection = copy.connection.pgconn
    pointer: int = cast("Any", connection).pgconn_ptr
    # Pages of it that rows never reach are never touched.
    data = np.empty(BATCH_BYTES + PADDING, np.uint8)
    ends = np.empty(batch_rows, np.int64)
    left: bytes | None = after_header(copy.read()) or None
    state = _FULL if left != TRAILER else _TRAILER
    while state == _FULL:
        used = row = 0
        if left is not None:
            used, row = len(left), 1
            if used + PADDING > len(data):
                data = np.empty(used + PADDING, np.uint8)
            data[:used], ends[0] = np.frombuffer(left, np.uint8), used
        state, used, row, left = _compiled.fetch(called, pointer, data[:-PADDING], used, ends, row)
        if row:
            yield Window(data[: used + PADDING], ends[:row])
    if state != _TRAILER:
        raise _failure(connection, ended=state == _END)
    # Asked for once more, since the server says only then how the statement went.
    if copy.read():
        raise wrong_end(early=False)


def _failure(connection: pq.abc.PGconn, *, ended: bool) -> Exception:
    if not ended:
        return psycopg.OperationalError(connection.get_error_message())
    results = []
    while (result := connection.get_result()) is not None:
        results.append(result)
    failed = [one for one in results if one.status != pq.ExecStatus.COMMAND_OK]
    return psycopg.errors.error_from_result(failed[0]) if failed else wrong_end(early=True)
