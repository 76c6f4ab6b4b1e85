"""The rows that one part of a write leaves out, kept as text until they are staged at their own place."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc

from datastores.errors import DataError
from datastores.formats import text_values
from datastores.types.unfit import Refusal

REJECTED = pa.schema(
    {
        "column_name": pa.string(),
        "reason": pa.string(),
        "value": pa.string(),
        "row_key": pa.string(),
        "row_values": pa.string(),
    }
)
"""Of each row: the first column that was refused, why, its value, what names the row, and all of its
values as one JSON object, each as its exact text or null."""

# Of one part; more of them wait on the disk.
_HELD_BYTES = 8 << 20
# Python's objects take many times the room of Arrow's.
_PRINTED_ROWS = 1_024
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
# Not every store takes U+0000, and what is no UTF-8 comes as half a pair. Both are written as in JSON.
_NOT_PLAIN = re.compile("[\0\ud800-\udfff]")

Printed = str | None | list["Printed"] | dict[str, "Printed"]
"""A value as its exact text; lists and structs as those of JSON."""


class RejectedRows:
    """Rows as `REJECTED`, in the order they came: in memory while they are few. Use in a `with` block."""

    def __init__(self) -> None:
        self.rows = 0
        self._file = tempfile.SpooledTemporaryFile(max_size=_HELD_BYTES)  # noqa: SIM115  # closed with us
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        self._writer = pa.ipc.new_stream(pa.PythonFile(self._file, "w"), REJECTED, options=options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def take(self, rows: pa.RecordBatch, refusals: Sequence[Refusal]) -> None:
        """Keep some rows, each with the reason why it is left out."""
        for at in range(0, rows.num_rows, _PRINTED_ROWS):
            some = rows.slice(at, _PRINTED_ROWS)
            self._writer.write_batch(_rejected(some, refusals[at : at + _PRINTED_ROWS]))
        self.rows += rows.num_rows

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield what was kept; nothing more is added then."""
        self._writer.close()
        self._file.seek(0)
        with pa.ipc.open_stream(pa.PythonFile(self._file, "r")) as reader:
            yield from reader


def _rejected(rows: pa.RecordBatch, refusals: Sequence[Refusal]) -> pa.RecordBatch:
    """Return rows as `REJECTED`."""
    names = rows.schema.names
    printed = [_printed(column, name) for name, column in zip(names, rows.columns, strict=True)]
    columns: list[list[str | None]] = [[] for _ in REJECTED]
    for values, refusal in zip(zip(*printed, strict=True), refusals, strict=True):
        row = dict(zip(names, values, strict=True))
        texts = (refusal.column, refusal.reason, row[refusal.column], refusal.key, row)
        for column, text in zip(columns, texts, strict=True):
            column.append(_plain(text))
    arrays = [pa.array(one, pa.string()) for one in columns]
    return pa.RecordBatch.from_arrays(arrays, schema=REJECTED)


def _printed(array: pa.Array, column: str) -> list[Printed]:
    """Return the exact text of each value, also where a file of text would refuse it."""
    type_ = array.type
    if isinstance(type_, pa.BaseExtensionType) and not isinstance(type_, pa.UuidType):
        return _printed(array.storage, column)
    if pa.types.is_dictionary(type_):
        return _printed(array.dictionary_decode(), column)
    if pa.types.is_run_end_encoded(type_):
        return _printed(pc.run_end_decode(array), column)
    if text_values.is_text(type_):
        return _texts(array)
    if pa.types.is_struct(type_):
        return _structs(array, column)
    if pa.types.is_nested(type_):
        return [_printed(one.values, column) if one.is_valid else None for one in array]
    try:
        return list(text_values.to_text(array, column).to_pylist())
    except DataError:
        if len(array) > 1:
            return [_printed(array.slice(at, 1), column)[0] for at in range(len(array))]
        return [_far(array)]


def _far(array: pa.Array) -> str:
    """Return one date or time beyond the years that have a text; Arrow would print another year."""
    is_days = pa.types.is_date32(array.type)
    [count] = array.cast(pa.int32() if is_days else pa.int64()).to_pylist()
    return f"1970-01-01 plus {count} {'days' if is_days else getattr(array.type, 'unit', 'ms')}"


def _structs(array: pa.Array, column: str) -> list[Printed]:
    names = [one.name for one in array.type]
    children = [_printed(one, column) for one in array.flatten()]
    valid = array.is_valid().to_pylist()
    return [
        dict(zip(names, (one[at] for one in children), strict=True)) if valid[at] else None
        for at in range(len(array))
    ]


def _texts(array: pa.Array) -> list[Printed]:
    try:
        return list(array.to_pylist())
    except UnicodeDecodeError:
        # What is no UTF-8 stays what it is, byte by byte.
        texts = (one.as_buffer().to_pybytes() if one.is_valid else None for one in array)
        return [None if one is None else one.decode(errors="surrogateescape") for one in texts]


def _plain(value: Printed) -> str | None:
    """Return what every store takes as text; a value that is nested as JSON."""
    if value is None:
        return None
    text = value
    if not isinstance(text, str):
        # It escapes U+0000 itself.
        text = _JSON.encode(value)
    return _NOT_PLAIN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
