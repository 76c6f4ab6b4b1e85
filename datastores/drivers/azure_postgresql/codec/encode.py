"""Arrow record batches -> binary COPY."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import override

from datastores.drivers.azure_postgresql.codec import layout as bounds
from datastores.drivers.azure_postgresql.codec.layout import (
    HEADER,
    TRAILER,
    Column,
    Integers,
    Layout,
)
from datastores.drivers.azure_postgresql.codec.numeric import encode_numeric
from datastores.drivers.sql.convert import misfit
from datastores.errors import DataError

PIECE_BYTES = 2 * 2**20
"""About how many bytes of Arrow are encoded at once: what is scattered needs eight times as much."""
_LONG_BYTES = 64

Output = npt.NDArray[np.uint8]


class Encoder:
    """Turns record batches into what `COPY ... FROM STDIN (FORMAT binary)` reads.

    Args:
        columns: The table's columns; the batches have exactly the layouts' Arrow types.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = tuple(columns)

    def messages(self, batches: Iterable[pa.RecordBatch]) -> Iterator[bytes | memoryview]:
        """Yield the bytes, header and trailer included.

        Raises:
            DataError: A value has no equal in PostgreSQL; column and value are named.
        """
        yield HEADER
        for batch in batches:
            for piece in _pieces(batch):
                yield self.rows(piece)
        yield TRAILER

    def rows(self, batch: pa.RecordBatch) -> bytes | memoryview:
        """Return the bytes of a batch's rows."""
        values = [
            encode_values(layout, array, name)
            for (name, layout), array in zip(self._columns, batch.columns, strict=True)
        ]
        lengths = np.full(batch.num_rows, 2, np.int64)
        for one in values:
            lengths += 4 + np.maximum(one.sizes, 0)
        ends = np.cumsum(lengths)
        out: Output = np.empty(int(ends[-1]), np.uint8)
        at = ends - lengths
        put(out, ">i2", at, np.full(batch.num_rows, len(values)))
        at = at + 2
        for one in values:
            one.put_with_size(out, at)
            at = at + 4 + np.maximum(one.sizes, 0)
        return out.tobytes()


def _pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    if batch.num_rows:
        rows = max(1, PIECE_BYTES * batch.num_rows // max(1, batch.nbytes))
        for start in range(0, batch.num_rows, rows):
            yield batch.slice(start, rows)


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


class _Fixed(Values):
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


class _Runs(Values):
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


class _Arrays(Values):
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


def encode_values(layout: Layout, array: pa.Array, column: str) -> Values:
    """Return the values of an array whose type is the layout's."""
    if layout.kind == "array":
        return _array(layout, array, column)
    return _KINDS[layout.kind](as_stored(array), column)


def as_stored(array: pa.Array) -> pa.Array:
    """Return an array of a plain type with the same values."""
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _valid(array: pa.Array) -> npt.NDArray[np.bool_]:
    if not array.null_count:
        return np.ones(len(array), np.bool_)
    valid: npt.NDArray[np.bool_] = array.is_valid().to_numpy(zero_copy_only=False)
    return valid


def _stored(array: pa.Array, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """View an array's values, and whatever lies under its NULLs."""
    if not len(array):
        return np.empty(0, dtype)
    values = np.frombuffer(array.buffers()[1], dtype, count=array.offset + len(array))
    return values[array.offset :]


def _numbers(array: pa.Array, _: str, *, dtype: str) -> Values:
    return _Fixed(_stored(array, f"<{dtype}").astype(f">{dtype}"), _valid(array))


def _bool(array: pa.Array, _: str) -> Values:
    return _Fixed(_stored(array.cast(pa.uint8()), np.uint8), _valid(array))


def _numeric(array: pa.Array, column: str) -> Values:
    valid = _valid(array)
    if not len(array):
        return _Fixed(np.empty((0, 8), np.uint8), valid)
    try:
        array.validate(full=True)
    except pa.ArrowInvalid as error:
        # More digits than the type says, which whoever made the array did not look for.
        for at in range(len(array)):
            try:
                array.slice(at, 1).validate(full=True)
            except pa.ArrowInvalid:
                raise misfit(array[at], array.type, column) from error
    return _Fixed(encode_numeric(array), valid)


def _uuid(array: pa.Array, _: str) -> Values:
    return _Fixed(_stored(array, "V16"), _valid(array))


def _runs(array: pa.Array, prefix: bytes) -> _Runs:
    if not len(array):
        return _Runs(np.empty(0, np.uint8), np.empty(0, np.int64), np.empty(0, np.int64))
    _, offsets, data = array.buffers()
    ends = np.frombuffer(offsets, np.int32, count=array.offset + len(array) + 1)
    ends = ends[array.offset :]
    window = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
    sizes = np.where(_valid(array), np.diff(ends), -1).astype(np.int64)
    return _Runs(window, ends[:-1].astype(np.int64), sizes, prefix)


def _text(array: pa.Array, column: str, *, prefix: bytes = b"") -> Values:
    nul = pc.fill_null(pc.match_substring(array, "\0"), fill_value=False)
    if pc.any(nul).as_py():
        value = array[pc.index(nul, value=True).as_py()].as_py()
        raise DataError(
            f"column {column!r}: {value!r} holds U+0000, which PostgreSQL's text cannot",
            driver="azure_postgresql",
            advice="Replace the character, or write the column as binary",
        )
    return _runs(array, prefix)


def _bytea(array: pa.Array, _: str) -> Values:
    return _runs(array, b"")


def _date(array: pa.Array, column: str) -> Values:
    days = _stored(array, "<i4").astype(np.int64) - bounds.EPOCH_DAYS
    _check_range(array, days, (bounds.FIRST_DAY, bounds.LAST_DAY), column)
    return _Fixed(days.astype(">i4"), _valid(array))


def _timestamp(array: pa.Array, column: str) -> Values:
    stored = _stored(array, "<i8")
    # Before the year 4713 BC, and so far before that the subtraction would wrap around.
    reach = (bounds.FIRST_MICROSECOND + bounds.EPOCH_MICROSECONDS, 2**63 - 1)
    _check_range(array, stored, reach, column)
    values = np.where(_valid(array), stored, 0) - bounds.EPOCH_MICROSECONDS
    return _Fixed(values.astype(">i8"), _valid(array))


def _time(array: pa.Array, column: str) -> Values:
    stored = _stored(array, "<i8")
    _check_range(array, stored, (0, bounds.DAY_MICROSECONDS - 1), column)
    return _Fixed(stored.astype(">i8"), _valid(array))


def _check_range(
    array: pa.Array, values: npt.NDArray[Any], reach: tuple[int, int], column: str
) -> None:
    outside = _valid(array) & ((values < reach[0]) | (values > reach[1]))
    if outside.any():
        raise misfit(array[int(outside.argmax())], "PostgreSQL", column)


def _interval(array: pa.Array, column: str) -> Values:
    stored = _stored(array, bounds.INTERVAL)
    uneven = _valid(array) & (stored["nanoseconds"] % 1000 != 0)
    if uneven.any():
        raise misfit(array[int(uneven.argmax())], "microseconds", column)
    values = np.empty(
        len(array), np.dtype([("microseconds", ">i8"), ("days", ">i4"), ("months", ">i4")])
    )
    values["microseconds"] = stored["nanoseconds"] // 1000
    values["days"], values["months"] = stored["days"], stored["months"]
    return _Fixed(values, _valid(array))


def _array(layout: Layout, array: pa.Array, column: str) -> Values:
    assert layout.element is not None  # noqa: S101  # every array has one
    valid = _valid(array)
    counts: list[Integers] = []
    # How many lists of the level each row has.
    lists = np.ones(len(array), np.int64)
    inner = array
    for level in range(layout.dimensions):
        lengths = _lengths(inner, level, column)
        ends = np.cumsum(lists)
        begins = ends - lists
        filled = lists > 0
        of_first = np.zeros(len(array), np.int64)
        of_first[filled] = lengths[begins[filled]]
        _refuse_jagged(array, lengths != np.repeat(of_first, lists), lists, column)
        if level:
            _refuse_jagged(array, (lengths == 0), lists, column)
        counts.append(of_first)
        lists = lists * of_first
        inner = _flat(inner)
    return _Arrays(layout, counts, valid, encode_values(layout.element, inner, column))


def _lengths(lists: pa.Array, level: int, column: str) -> Integers:
    if level and lists.null_count:
        raise DataError(
            f"column {column!r}: a NULL in place of an inner list has no equal in PostgreSQL",
            driver="azure_postgresql",
            advice="Its arrays have the same number of elements in every row of a dimension",
        )
    lengths = pc.fill_null(pc.list_value_length(lists), 0)
    result: Integers = lengths.to_numpy(zero_copy_only=False).astype(np.int64)
    return result


def _refuse_jagged(
    array: pa.Array, wrong: npt.NDArray[np.bool_], lists: Integers, column: str
) -> None:
    if wrong.any():
        row = int(np.repeat(np.arange(len(array)), lists)[wrong][0])
        raise misfit(array[row], "an array of PostgreSQL, whose rows are equally long", column)


def _flat(lists: pa.Array) -> pa.Array:
    """Return the elements of all lists, without what lies under a NULL or outside a slice."""
    first, end = lists.offsets[0].as_py(), lists.offsets[-1].as_py()
    inside = pc.sum(pc.list_value_length(lists)).as_py() or 0
    if inside == end - first:
        return lists.values.slice(first, end - first)
    # Not by flatten(), which knows no extension types.
    starts = lists.offsets.to_numpy()[:-1].astype(np.int64)
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy().astype(np.int64)
    before = np.cumsum(lengths) - lengths
    within = np.arange(int(lengths.sum())) - np.repeat(before, lengths)
    return lists.values.take(pa.array(within + np.repeat(starts, lengths)))


_KINDS: Mapping[str, Callable[[pa.Array, str], Values]] = {
    "bool": _bool,
    "int2": partial(_numbers, dtype="i2"),
    "int4": partial(_numbers, dtype="i4"),
    "int8": partial(_numbers, dtype="i8"),
    "oid": partial(_numbers, dtype="u4"),
    "float4": partial(_numbers, dtype="f4"),
    "float8": partial(_numbers, dtype="f8"),
    "numeric": _numeric,
    "text": _text,
    "jsonb": partial(_text, prefix=bytes([bounds.JSONB_VERSION])),
    "bytea": _bytea,
    "uuid": _uuid,
    "date": _date,
    "time": _time,
    "timestamp": _timestamp,
    "interval": _interval,
}
