"""Binary COPY -> Arrow record batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from datastores.drivers.azure_postgresql.codec import layout as bounds
from datastores.drivers.azure_postgresql.codec.layout import Bools, Column, Integers, Layout
from datastores.drivers.azure_postgresql.codec.messages import windows_of
from datastores.drivers.azure_postgresql.codec.numeric import decode_numeric
from datastores.drivers.azure_postgresql.codec.window import Window, malformed, sizes_at
from datastores.errors import DataError


class Decoder:
    """Turns the messages of one `COPY ... TO STDOUT (FORMAT binary)` into record batches.

    Args:
        columns: What the SELECT yields, in order.
        batch_rows: Upper bound of rows in a batch.
    """

    def __init__(self, columns: Sequence[Column], batch_rows: int) -> None:
        self._columns = tuple(columns)
        self._names = [name for name, _ in columns]
        self._batch_rows = batch_rows

    def batches(self, messages: Iterable[Any]) -> Iterator[pa.RecordBatch]:
        """Yield batches, none of them empty.

        Args:
            messages: Bytes of CopyData, each one row: so says the protocol, and it is checked.

        Raises:
            DataError: A value has no equal in Arrow; column and value are named.
            DriverError: The bytes are not well-formed, or end too early.
        """
        for window in self.windows(messages):
            yield pa.RecordBatch.from_arrays(self.arrays(window), names=self._names)

    def windows(self, messages: Iterable[Any]) -> Iterator[Window]:
        """Yield the rows of each batch; each window is done with before the next."""
        return windows_of(messages, self._batch_rows)

    def arrays(self, window: Window) -> list[pa.Array]:
        """Return the columns of a batch."""
        starts = window.starts
        if (window.ends - starts < 2).any() or (  # noqa: PLR2004  # the count of fields
            window.gather("i2", starts) != len(self._columns)
        ).any():
            raise malformed(self._names[0], "another number of columns")
        at = starts + 2
        arrays = []
        for name, layout in self._columns:
            sizes = sizes_at(window, at, window.ends, name)
            at = at + 4
            arrays.append(decode_values(layout, window, at, sizes, name))
            at = at + np.maximum(sizes, 0)
        if (at != window.ends).any():
            raise malformed(self._names[-1], "bytes after the last column")
        return arrays


def decode_values(
    layout: Layout, window: Window, starts: Integers, sizes: Integers, column: str
) -> pa.Array:
    """Return the values at `starts`; a size of -1 is NULL."""
    valid: Bools = sizes >= 0
    return _KINDS[layout.kind](layout, window, starts, sizes, valid, column)


def _validity(valid: Bools) -> pa.Buffer | None:
    if valid.all():
        return None
    return pa.py_buffer(np.packbits(valid, bitorder="little"))


def _of(type_: pa.DataType, values: npt.NDArray[Any], valid: Bools) -> pa.Array:
    data = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(type_, len(valid), [_validity(valid), data])


def _mask(valid: Bools) -> pa.Array | None:
    return None if valid.all() else pa.array(~valid)


def _check_width(width: int, sizes: Integers, valid: Bools, column: str) -> None:
    if (sizes[valid] != width).any():
        raise malformed(column, f"a value that has not {width} bytes")


def _fixed(
    layout: Layout,
    window: Window,
    starts: Integers,
    sizes: Integers,
    valid: Bools,
    column: str,
    *,
    dtype: str,
) -> pa.Array:
    _check_width(np.dtype(dtype).itemsize, sizes, valid, column)
    return _of(layout.arrow, window.gather(dtype, starts), valid)


def _bool(
    layout: Layout, window: Window, starts: Integers, sizes: Integers, valid: Bools, column: str
) -> pa.Array:
    _check_width(1, sizes, valid, column)
    bits = np.packbits(window.gather("u1", starts) != 0, bitorder="little")
    return _of(layout.arrow, bits, valid)


def _uuid(
    layout: Layout, window: Window, starts: Integers, sizes: Integers, valid: Bools, column: str
) -> pa.Array:
    _check_width(16, sizes, valid, column)
    return dressed(_of(pa.binary(16), window.gather("V16", starts), valid), layout)


def _binary(
    layout: Layout, window: Window, starts: Integers, sizes: Integers, valid: Bools, _: str
) -> pa.Array:
    return window.take_bytes(starts, sizes, valid).cast(layout.arrow)


def _text(
    layout: Layout, window: Window, starts: Integers, sizes: Integers, valid: Bools, column: str
) -> pa.Array:
    return as_text(window.take_bytes(starts, sizes, valid), layout, column)


def as_text(taken: pa.Array, layout: Layout, column: str) -> pa.Array:
    """Return bytes as the text they are, in the layout's type."""
    try:
        text = taken.cast(pa.string())
    except pa.ArrowInvalid as error:
        raise DataError(
            f"column {column!r}: a text that is not UTF-8",
            driver="azure_postgresql",
            advice="The database's encoding is not what its text is in; read it as bytea",
        ) from error
    return dressed(text, layout)


def dressed(stored: pa.Array, layout: Layout) -> pa.Array:
    """Return an array in the layout's type, of which it has the storage."""
    if pa.types.is_dictionary(layout.arrow):
        return _as_dictionary(stored, layout)
    if isinstance(layout.arrow, pa.BaseExtensionType):
        return layout.arrow.wrap_array(stored)
    return stored


def _as_dictionary(stored: pa.Array, layout: Layout) -> pa.Array:
    labels = pa.array(layout.labels, layout.arrow.value_type)
    indices = pc.index_in(stored, value_set=labels)
    if indices.null_count > stored.null_count:
        # A label that the enum got since it was looked up.
        return stored.dictionary_encode().cast(layout.arrow)
    return pa.DictionaryArray.from_arrays(indices, labels)


def _jsonb(
    layout: Layout, window: Window, starts: Integers, sizes: Integers, valid: Bools, column: str
) -> pa.Array:
    if (sizes[valid] < 1).any() or (
        window.gather("u1", starts[valid]) != bounds.JSONB_VERSION
    ).any():
        raise malformed(column, "a jsonb of an unknown version")
    return _text(layout, window, starts + 1, sizes - 1, valid, column)


def _date(
    layout: Layout, window: Window, starts: Integers, sizes: Integers, valid: Bools, column: str
) -> pa.Array:
    _check_width(4, sizes, valid, column)
    days = window.gather("i4", starts).astype(np.int64)
    _refuse_infinite(days, bounds.INFINITE_DAYS, valid, column, "date")
    if (valid & (days > bounds.INFINITE_DAYS[1] - bounds.EPOCH_DAYS)).any():
        raise malformed(column, "a date after the last one there is")
    return _of(layout.arrow, (days + bounds.EPOCH_DAYS).astype(np.int32), valid)


def _timestamp(
    layout: Layout, window: Window, starts: Integers, sizes: Integers, valid: Bools, column: str
) -> pa.Array:
    _check_width(8, sizes, valid, column)
    values = window.gather("i8", starts)
    _refuse_infinite(values, bounds.INFINITE_MICROSECONDS, valid, column, "timestamp")
    far = valid & (values > bounds.INFINITE_MICROSECONDS[1] - bounds.EPOCH_MICROSECONDS)
    if far.any():
        raise _unfit(column, "a timestamp after the year 294246", layout.arrow)
    return _of(layout.arrow, values + bounds.EPOCH_MICROSECONDS, valid)


def _refuse_infinite(
    values: npt.NDArray[Any], ends: tuple[int, int], valid: Bools, column: str, what: str
) -> None:
    for sign, end in zip(("-", ""), ends, strict=True):
        if (valid & (values == end)).any():
            raise _unfit(column, f"the {what} {sign}infinity", "Arrow")


def _time(
    layout: Layout, window: Window, starts: Integers, sizes: Integers, valid: Bools, column: str
) -> pa.Array:
    _check_width(8, sizes, valid, column)
    return _of(layout.arrow, _times(window, starts, valid, column), valid)


def _times(window: Window, starts: Integers, valid: Bools, column: str) -> Integers:
    values: Integers = window.gather("i8", starts)
    if (valid & (values == bounds.DAY_MICROSECONDS)).any():
        raise _unfit(column, "the time 24:00:00", pa.time64("us"))
    if (valid & ((values < 0) | (values > bounds.DAY_MICROSECONDS))).any():
        raise malformed(column, "a time outside a day")
    return values


def _timetz(
    _: Layout, window: Window, starts: Integers, sizes: Integers, valid: Bools, column: str
) -> pa.Array:
    _check_width(12, sizes, valid, column)
    # The zone is in seconds west of UTC; people write it as those east.
    offsets = -np.where(valid, window.gather("i4", starts + 8), 0)
    if (np.abs(offsets.astype(np.int64)) >= bounds.END_OFFSET).any():
        raise malformed(column, "a zone further than 16 hours from UTC")
    time, offset = bounds.TIMETZ
    children = [
        _of(time.type, _times(window, starts, valid, column), valid),
        _of(offset.type, offsets, valid),
    ]
    return pa.StructArray.from_arrays(children, fields=[time, offset], mask=_mask(valid))


def _money(
    layout: Layout, window: Window, starts: Integers, sizes: Integers, valid: Bools, column: str
) -> pa.Array:
    _check_width(8, sizes, valid, column)
    words = np.empty((len(starts), 2), np.int64)
    words[:, 0] = window.gather("i8", starts)
    words[:, 1] = words[:, 0] >> 63
    return _of(layout.arrow, words, valid)


def _interval(
    layout: Layout, window: Window, starts: Integers, sizes: Integers, valid: Bools, column: str
) -> pa.Array:
    _check_width(16, sizes, valid, column)
    microseconds = window.gather("i8", starts)
    _refuse_infinite(microseconds, bounds.INFINITE_MICROSECONDS, valid, column, "interval")
    limit = (2**63 - 1) // 1000
    if (valid & ((microseconds > limit) | (microseconds < -limit))).any():
        raise _unfit(column, "an interval of more than 292 years in hours", layout.arrow)
    values = np.empty(len(starts), bounds.INTERVAL)
    values["nanoseconds"] = np.where(valid, microseconds, 0) * 1000
    values["days"] = window.gather("i4", starts + 8)
    values["months"] = window.gather("i4", starts + 12)
    return _of(layout.arrow, values, valid)


def _unfit(column: str, what: str, target: object) -> DataError:
    return DataError(
        f"column {column!r}: {what} has no equal in {target}",
        driver="azure_postgresql",
        operation="read",
        advice="Leave those rows out with filters, or cast the column to text in a query",
    )


def _array(
    layout: Layout, window: Window, starts: Integers, sizes: Integers, valid: Bools, column: str
) -> pa.Array:
    assert layout.element is not None  # noqa: S101  # every array has one
    ends = starts + np.maximum(sizes, 0)
    if (sizes[valid] < 12).any():  # noqa: PLR2004  # dimensions, flags and element type
        raise malformed(column, "an array without its header")
    dimensions = np.where(valid, window.gather("i4", starts), 0)
    filled: Bools = dimensions > 0
    if (filled & (dimensions != layout.dimensions)).any():
        other = int(dimensions[filled & (dimensions != layout.dimensions)][0])
        raise _unfit(column, f"an array of {other} dimensions", layout.arrow)
    head = 12 + 8 * layout.dimensions
    if (sizes[filled] < head).any():
        raise malformed(column, "an array without its bounds")
    lengths = []
    for level in range(layout.dimensions):
        at = np.where(filled, starts + 12 + 8 * level, 0)
        counts = np.where(filled, window.gather("i4", at), 0).astype(np.int64)
        lower = np.where(filled, window.gather("i4", at + 4), 1)
        if (counts < 0).any():
            raise malformed(column, "an array of negative length")
        if (lower != 1).any():
            first = int(lower[lower != 1][0])
            raise _unfit(column, f"an array that begins at {first} and not at 1", layout.arrow)
        lengths.append(counts)
    # How many lists there are at each level, row by row.
    totals = [np.ones(len(starts), np.int64)]
    for counts in lengths:
        totals.append(totals[-1] * counts)
    item_starts, item_sizes = _items(window, starts + head, totals[-1], ends, column)
    nested = decode_values(layout.element, window, item_starts, item_sizes, column)
    for level in reversed(range(layout.dimensions)):
        each = np.repeat(lengths[level], totals[level])
        offsets = np.concatenate(([0], np.cumsum(each))).astype(np.int32)
        mask = _mask(valid) if level == 0 else None
        nested = pa.ListArray.from_arrays(pa.array(offsets), nested, mask=mask)
    return nested


def _items(
    window: Window, starts: Integers, counts: Integers, ends: Integers, column: str
) -> tuple[Integers, Integers]:
    """Return where the elements of all arrays are, row by row, and their sizes."""
    if (counts * 4 > np.maximum(ends - starts, 0)).any():
        raise malformed(column, "an array that is shorter than its bounds say")
    first = np.cumsum(counts) - counts
    item_starts = np.empty(int(counts.sum()), np.int64)
    item_sizes = np.empty_like(item_starts)
    rows = np.flatnonzero(counts)
    at, turn = starts[rows], 0
    # An element's length says where the next one is: the n-th ones of all rows at a time.
    while len(rows):
        sizes = sizes_at(window, at, ends[rows], column)
        item_starts[first[rows] + turn], item_sizes[first[rows] + turn] = at + 4, sizes
        turn += 1
        more = counts[rows] > turn
        at, rows = (at + 4 + np.maximum(sizes, 0))[more], rows[more]
    return item_starts, item_sizes


def _record(
    layout: Layout, window: Window, starts: Integers, sizes: Integers, valid: Bools, column: str
) -> pa.Array:
    if (sizes[valid] < 4).any():  # noqa: PLR2004  # the count of fields
        raise malformed(column, "a composite without its header")
    rows = np.flatnonzero(valid)
    at, ends = starts[rows], starts[rows] + sizes[rows]
    if (window.gather("i4", at) != len(layout.fields)).any():
        raise malformed(column, "a composite with another number of fields")
    at = at + 4
    children = []
    for oid, field in layout.fields:
        # The length's place is checked, and the type's before it with it.
        field_starts, field_sizes = np.zeros(len(valid), np.int64), np.full(len(valid), -1)
        lengths = sizes_at(window, at + 4, ends, column)
        if (window.gather("u4", at) != oid).any():
            raise malformed(column, "a composite with a field of another type")
        field_starts[rows], field_sizes[rows] = at + 8, lengths
        children.append(decode_values(field, window, field_starts, field_sizes, column))
        at = at + 8 + np.maximum(lengths, 0)
    if (at != ends).any():
        raise malformed(column, "a composite with bytes after its last field")
    return pa.StructArray.from_arrays(children, fields=list(layout.arrow), mask=_mask(valid))


_KINDS: Mapping[str, Callable[..., pa.Array]] = {
    "bool": _bool,
    "int2": partial(_fixed, dtype="i2"),
    "int4": partial(_fixed, dtype="i4"),
    "int8": partial(_fixed, dtype="i8"),
    "oid": partial(_fixed, dtype="u4"),
    "float4": partial(_fixed, dtype="f4"),
    "float8": partial(_fixed, dtype="f8"),
    "numeric": decode_numeric,
    "money": _money,
    "text": _text,
    "jsonb": _jsonb,
    "bytea": _binary,
    "uuid": _uuid,
    "date": _date,
    "time": _time,
    "timetz": _timetz,
    "timestamp": _timestamp,
    "interval": _interval,
    "array": _array,
    "record": _record,
}
