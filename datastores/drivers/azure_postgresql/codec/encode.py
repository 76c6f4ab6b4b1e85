"""Arrow record batches -> binary COPY."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from datastores.drivers.azure_postgresql.codec import layout as bounds
from datastores.drivers.azure_postgresql.codec.layout import (
    HEADER,
    TRAILER,
    Column,
    Integers,
    Layout,
)
from datastores.drivers.azure_postgresql.codec.numeric import encode_numeric
from datastores.drivers.azure_postgresql.codec.values import (
    Arrays,
    Fixed,
    Output,
    Records,
    Runs,
    Values,
    put,
)
from datastores.drivers.sql.convert import misfit
from datastores.errors import DataError

PIECE_BYTES = 2**19
"""About how many bytes of Arrow are encoded at once: what is scattered needs eight times as much."""


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


def encode_values(layout: Layout, array: pa.Array, column: str) -> Values:
    """Return the values of an array whose type is the layout's."""
    if nested := _NESTED.get(layout.kind):
        return nested(layout, array, column)
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
    return Fixed(_stored(array, f"<{dtype}").astype(f">{dtype}"), _valid(array))


def _bool(array: pa.Array, _: str) -> Values:
    return Fixed(_stored(array.cast(pa.uint8()), np.uint8), _valid(array))


def _money(array: pa.Array, column: str) -> Values:
    words = _stored(array, np.dtype([("low", "<i8"), ("high", "<i8")]))
    valid = _valid(array)
    outside = valid & (words["high"] != words["low"] >> 63)
    if outside.any():
        raise misfit(array[int(outside.argmax())], "money", column)
    return Fixed(words["low"].astype(">i8"), valid)


def _numeric(array: pa.Array, column: str) -> Values:
    valid = _valid(array)
    if not len(array):
        return Fixed(np.empty((0, 8), np.uint8), valid)
    try:
        array.validate(full=True)
    except pa.ArrowInvalid as error:
        # More digits than the type says, which whoever made the array did not look for.
        for at in range(len(array)):
            try:
                array.slice(at, 1).validate(full=True)
            except pa.ArrowInvalid:
                raise misfit(array[at], array.type, column) from error
    return encode_numeric(array, valid)


def _uuid(array: pa.Array, _: str) -> Values:
    return Fixed(_stored(array, "V16"), _valid(array))


def _runs(array: pa.Array, prefix: bytes) -> Runs:
    if not len(array):
        return Runs(np.empty(0, np.uint8), np.empty(0, np.int64), np.empty(0, np.int64))
    _, offsets, data = array.buffers()
    ends = np.frombuffer(offsets, np.int32, count=array.offset + len(array) + 1)
    ends = ends[array.offset :]
    window = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
    sizes = np.where(_valid(array), np.diff(ends), -1).astype(np.int64)
    return Runs(window, ends[:-1].astype(np.int64), sizes, prefix)


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
    return Fixed(days.astype(">i4"), _valid(array))


def _timetz(array: pa.Array, column: str) -> Values:
    times, offsets = array.flatten()
    valid = _valid(array)
    partly = valid & ~(_valid(times) & _valid(offsets))
    if partly.any():
        raise misfit(array[int(partly.argmax())], "a time with its zone", column)
    microseconds, east = _stored(times, "<i8"), _stored(offsets, "<i4")
    outside = (microseconds < 0) | (microseconds >= bounds.DAY_MICROSECONDS)
    outside |= (east <= -bounds.END_OFFSET) | (east >= bounds.END_OFFSET)
    if (valid & outside).any():
        raise misfit(array[int((valid & outside).argmax())], "PostgreSQL", column)
    values = np.empty(len(array), np.dtype([("microseconds", ">i8"), ("west", ">i4")]))
    values["microseconds"], values["west"] = microseconds, -east
    return Fixed(values, valid)


def _timestamp(array: pa.Array, column: str) -> Values:
    stored = _stored(array, "<i8")
    # Before the year 4713 BC, and so far before that the subtraction would wrap around.
    reach = (bounds.FIRST_MICROSECOND + bounds.EPOCH_MICROSECONDS, 2**63 - 1)
    _check_range(array, stored, reach, column)
    values = np.where(_valid(array), stored, 0) - bounds.EPOCH_MICROSECONDS
    return Fixed(values.astype(">i8"), _valid(array))


def _time(array: pa.Array, column: str) -> Values:
    stored = _stored(array, "<i8")
    _check_range(array, stored, (0, bounds.DAY_MICROSECONDS - 1), column)
    return Fixed(stored.astype(">i8"), _valid(array))


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
    return Fixed(values, _valid(array))


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
        inner = elements(inner)
    return Arrays(layout, counts, valid, encode_values(layout.element, inner, column))


def _record(layout: Layout, array: pa.Array, column: str) -> Values:
    valid = _valid(array)
    # Without what lies under a NULL: it may be nothing that PostgreSQL has.
    inside = array if valid.all() else array.filter(pa.array(valid))
    fields = [
        encode_values(of, field, column)
        for (_, of), field in zip(layout.fields, inside.flatten(), strict=True)
    ]
    return Records([oid for oid, _ in layout.fields], fields, valid)


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


def elements(lists: pa.Array) -> pa.Array:
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


_NESTED: Mapping[str, Callable[[Layout, pa.Array, str], Values]] = {
    "array": _array,
    "record": _record,
}
_KINDS: Mapping[str, Callable[[pa.Array, str], Values]] = {
    "bool": _bool,
    "int2": partial(_numbers, dtype="i2"),
    "int4": partial(_numbers, dtype="i4"),
    "int8": partial(_numbers, dtype="i8"),
    "oid": partial(_numbers, dtype="u4"),
    "float4": partial(_numbers, dtype="f4"),
    "float8": partial(_numbers, dtype="f8"),
    "numeric": _numeric,
    "money": _money,
    "text": _text,
    "jsonb": partial(_text, prefix=bytes([bounds.JSONB_VERSION])),
    "bytea": _bytea,
    "uuid": _uuid,
    "date": _date,
    "time": _time,
    "timetz": _timetz,
    "timestamp": _timestamp,
    "interval": _interval,
}
