"""Encoded values of a column, and how they find their places between those of other columns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from datastores.drivers.azure_postgresql.codec.layout import Integers, Layout

_LONG_BYTES = 64

Output = npt.NDArray[np.uint8]


def put(out: Output, dtype: str, starts: Integers, values: npt.NDArray[Any]) -> None:
    """Write values at any offsets; no two overlap."""
    kind = np.dtype(dtype)
    # One element for each byte: they overlap, and any offset is an index.
    view: npt.NDArray[Any] = np.ndarray(
        (max(0, len(out) - kind.itemsize + 1),), kind, out, strides=(1,)
    )
    view[starts] = values


class Values(ABC):
    """Encoded values of one column, not yet at their places."""

    sizes: Integers
    """In bytes; -1 for NULL."""

    @abstractmethod
    def put(self, out: Output, starts: Integers) -> None:
        """Write the values, without their length words."""

    def put_with_size(self, out: Output, starts: Integers) -> None:
        """Write each length word, and its value behind it."""
        put(out, ">i4", starts, self.sizes)
        self.put(out, starts + 4)


class Fixed(Values):
    """Values of one width, a row each."""

    def __init__(self, table: npt.NDArray[Any], valid: npt.NDArray[np.bool_]) -> None:
        flat = np.ascontiguousarray(table)
        width = flat.itemsize * (flat.shape[1] if flat.ndim > 1 else 1)
        self._rows = flat.view(np.uint8).reshape(len(valid), width)
        self._valid = valid
        self.sizes = np.where(valid, self._rows.shape[1], -1)

    @override
    def put(self, out: Output, starts: Integers) -> None:
        kind = f"V{self._rows.shape[1]}"
        put(out, kind, starts[self._valid], self._rows[self._valid].view(kind).ravel())


class Runs(Values):
    """Values of any length, one after the other; a NULL has none of the bytes."""

    def __init__(
        self,
        data: npt.NDArray[np.uint8],
        begins: Integers,
        sizes: Integers,
        prefix: bytes = b"",
    ) -> None:
        self._data, self._begins, self._prefix = data, begins, prefix
        self.sizes = np.where(sizes < 0, -1, sizes + len(prefix))

    @override
    def put(self, out: Output, starts: Integers) -> None:
        skip = len(self._prefix)
        lengths = np.maximum(self.sizes - skip, 0)
        if skip:
            filled = self.sizes >= 0
            put(out, "u1", starts[filled], np.full(int(filled.sum()), self._prefix[0]))
        starts = starts + skip
        for row in np.flatnonzero(lengths > _LONG_BYTES):
            begin, end = self._begins[row], self._begins[row] + lengths[row]
            out[starts[row] : starts[row] + lengths[row]] = self._data[begin:end]
        short = np.where(lengths > _LONG_BYTES, 0, lengths)
        first = np.cumsum(short) - short
        within = np.arange(int(short.sum())) - np.repeat(first, short)
        out[within + np.repeat(starts, short)] = self._data[within + np.repeat(self._begins, short)]


class Arrays(Values):
    """Arrays of one number of dimensions: a header each, and their elements in order."""

    def __init__(
        self,
        layout: Layout,
        counts: list[Integers],
        valid: npt.NDArray[np.bool_],
        items: Values,
    ) -> None:
        self._layout, self._counts, self._items = layout, counts, items
        each = np.prod(counts, axis=0)
        ends = np.cumsum(each)
        spans = 4 + np.maximum(items.sizes, 0)
        reach = np.concatenate(([0], np.cumsum(spans)))
        self._each, self._before = each, reach[:-1]
        self._first = reach[ends - each]
        self._filled = each > 0
        self._head = np.where(self._filled, 12 + 8 * len(counts), 12)
        holds_null = np.concatenate(([0], np.cumsum(items.sizes < 0)))
        self._holds_null = holds_null[ends] > holds_null[ends - each]
        self._valid = valid
        self.sizes = np.where(valid, self._head + reach[ends] - self._first, -1)

    @override
    def put(self, out: Output, starts: Integers) -> None:
        shown, filled = self._valid, self._filled
        put(out, ">i4", starts[shown], np.where(filled, len(self._counts), 0)[shown])
        put(out, ">i4", starts[shown] + 4, self._holds_null[shown].astype(np.int32))
        oids = np.full(int(shown.sum()), self._layout.element_oid, np.uint32)
        put(out, ">u4", starts[shown] + 8, oids)
        for level, counts in enumerate(self._counts):
            at = starts[filled] + 12 + 8 * level
            put(out, ">i4", at, counts[filled])
            put(out, ">i4", at + 4, np.ones(len(at)))
        base = np.repeat(starts + self._head - self._first, self._each)
        self._items.put_with_size(out, base + self._before)


class Records(Values):
    """Composites: how many fields, and for each one its type, its length and its value."""

    def __init__(
        self, oids: Sequence[int], fields: Sequence[Values], valid: npt.NDArray[np.bool_]
    ) -> None:
        # The fields' values are those of the rows that are not NULL.
        self._oids, self._fields, self._valid = oids, fields, valid
        self.sizes = np.full(len(valid), -1, np.int64)
        self.sizes[valid] = 4 + sum(8 + np.maximum(one.sizes, 0) for one in fields)

    @override
    def put(self, out: Output, starts: Integers) -> None:
        at = starts[self._valid]
        put(out, ">i4", at, np.full(len(at), len(self._fields)))
        at = at + 4
        for oid, field in zip(self._oids, self._fields, strict=True):
            put(out, ">u4", at, np.full(len(at), oid, np.uint32))
            field.put_with_size(out, at + 4)
            at = at + 8 + np.maximum(field.sizes, 0)
