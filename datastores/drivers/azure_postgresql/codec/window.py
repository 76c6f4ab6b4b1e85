"""Bytes of many rows, read at many places at once; every place is checked to lie inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from datastores.drivers.azure_postgresql.codec.layout import Bools, Integers
from datastores.errors import DriverError

# The widest fixed value is a UUID; a NULL at the very end is gathered too, and then ignored.
PADDING = 16


class Window:
    """The rows of a batch, one after the other.

    Args:
        data: Their bytes, and `PADDING` more.
        ends: Where each row ends; the first one begins at 0.
    """

    def __init__(self, data: Any, ends: Integers) -> None:
        self.data = data
        self.ends = ends

    @property
    def starts(self) -> Integers:
        """Where each row begins."""
        return np.concatenate(([0], self.ends[:-1])).astype(np.int64, copy=False)

    @classmethod
    def of(cls, rows: Sequence[Any]) -> Window:
        """Return rows put together."""
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        return cls(b"".join([*rows, bytes(PADDING)]), np.cumsum(lengths))

    def gather(self, dtype: str, starts: Integers) -> npt.NDArray[Any]:
        """Return the big-endian values that begin at `starts`, in this machine's byte order."""
        wanted = np.dtype(dtype)
        stored = wanted.newbyteorder(">")
        count = len(self.data) - wanted.itemsize + 1
        # One element for each byte: they overlap, and any offset is an index.
        view: npt.NDArray[Any] = np.ndarray((count,), stored, self.data, strides=(1,))
        return view[starts].astype(wanted)

    def take_bytes(self, starts: Integers, sizes: Integers, valid: Bools) -> pa.Array:
        """Return the runs of bytes as large_binary, NULL where not valid."""
        # The runs and the gaps between them are one array over the data; Arrow picks the runs.
        bounds = np.empty(2 * len(starts) + 1, np.int64)
        bounds[0:-1:2] = starts
        bounds[1::2] = starts + np.maximum(sizes, 0)
        bounds[-1] = len(self.data)
        runs = pa.Array.from_buffers(
            pa.large_binary(),
            2 * len(starts),
            [None, pa.py_buffer(bounds), pa.py_buffer(self.data)],
        )
        picked = pa.array(np.arange(0, 2 * len(starts), 2), mask=None if valid.all() else ~valid)
        return runs.take(picked)


def sizes_at(window: Window, starts: Integers, ends: Integers, column: str) -> Integers:
    """Return the length words at `starts`, -1 for NULL, checked to end before `ends`."""
    if (starts + 4 > ends).any():
        raise malformed(column, "a value's length is missing")
    sizes: Integers = window.gather("i4", starts).astype(np.int64)
    if (sizes < -1).any() or (starts + 4 + sizes > ends).any():
        raise malformed(column, "a value's length is wrong")
    return sizes


def malformed(column: str, what: str) -> DriverError:
    """Return the error for bytes that are not what PostgreSQL's documentation says."""
    return DriverError(
        f"column {column!r}: {what} in what the server sent",
        driver="azure_postgresql",
        operation="read",
        advice="Something between here and the server damages the data; use tls: verify",
    )
