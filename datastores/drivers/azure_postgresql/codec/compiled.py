"""The codec in C, where it was built: the same batches and bytes, and the same errors.

What is not one of `_compiled.KINDS` goes by the Python codec, a column at a time. A batch in which
the C code meets anything wrong is done again by the Python codec, which says what.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
from typing_extensions import override

from datastores.drivers.azure_postgresql.codec import _compiled, decode, encode, libpq
from datastores.drivers.azure_postgresql.codec.layout import (
    NUMERIC_BASE_DIGITS,
    Column,
    Layout,
    NumericGroups,
)
from datastores.drivers.azure_postgresql.codec.values import Values
from datastores.drivers.azure_postgresql.codec.window import Window
from datastores.errors import DataError

_TEXTS = ("text", "jsonb")


class Decoder(decode.Decoder):
    """`decode.Decoder` in C; takes the rows of psycopg's COPY out of libpq itself."""

    def __init__(self, columns: Sequence[Column], batch_rows: int) -> None:
        super().__init__(columns, batch_rows)
        self._shapes = tuple(_shape(layout) for _, layout in columns)

    @override
    def windows(self, messages: Iterable[Any]) -> Iterator[Window]:
        if isinstance(messages, psycopg.Copy) and (called := libpq.functions()):
            return libpq.windows_of(messages, called, self._batch_rows)
        return super().windows(messages)

    @override
    def arrays(self, window: Window) -> list[pa.Array]:
        found = _compiled.decode(window.data, window.ends, self._shapes)
        if found is None:
            return super().arrays(window)
        arrays = []
        for (name, layout), (nulls, validity, values, offsets, is_ascii) in zip(
            self._columns, found, strict=True
        ):
            if layout.kind not in _compiled.KINDS:
                starts, sizes = (np.frombuffer(one or b"", np.int64) for one in (validity, values))
                arrays.append(decode.decode_values(layout, window, starts, sizes, name))
                continue
            buffers = [
                None if one is None else pa.py_buffer(one) for one in (validity, offsets, values)
            ]
            if offsets is None:
                del buffers[1]
            array = pa.Array.from_buffers(
                _storage(layout, is_ascii=is_ascii), len(window.ends), buffers, null_count=nulls
            )
            # Only text is looked at again, and only if it is not ASCII.
            checked = is_ascii or layout.kind not in _TEXTS
            arrays.append(
                decode.dressed(array, layout) if checked else decode.as_text(array, layout, name)
            )
        return arrays


class Encoder(encode.Encoder):
    """`encode.Encoder` in C."""

    def __init__(self, columns: Sequence[Column]) -> None:
        super().__init__(columns)
        self._shapes = tuple(_shape(layout) for _, layout in columns)

    @override
    def rows(self, batch: pa.RecordBatch) -> bytes | memoryview:
        entries: list[tuple[int, Any, Any, Any]] = []
        others: list[tuple[Values, Any]] = []
        for (name, layout), array in zip(self._columns, batch.columns, strict=True):
            if layout.kind in _compiled.KINDS:
                plain = encode.as_stored(array)
                validity, *rest = plain.buffers()
                values, offsets = rest[::-1] if len(rest) > 1 else (rest[0], None)
                entries.append((plain.offset, validity, values, offsets))
                continue
            try:
                encoded = encode.encode_values(layout, array, name)
            except DataError:
                # A column before it may be wrong too, and would be named first.
                return super().rows(batch)
            starts = np.empty(batch.num_rows, np.int64)
            others.append((encoded, starts))
            entries.append((0, None, np.ascontiguousarray(encoded.sizes, np.int64), starts))
        out = _compiled.encode(batch.num_rows, self._shapes, tuple(entries))
        if out is None:
            return super().rows(batch)
        for encoded, starts in others:
            encoded.put_with_size(np.frombuffer(out, np.uint8), starts)
        return memoryview(out)


def _shape(layout: Layout) -> _compiled.Shape:
    if layout.kind != "numeric":
        return (layout.kind, 0, 0, 0, 0, 0, 0)
    type_ = layout.arrow
    groups = NumericGroups.of(type_)
    whole = type_.precision - type_.scale
    highest = whole % NUMERIC_BASE_DIGITS if whole > 0 else 0
    first_limit = 10**highest if highest else 0
    width = type_.bit_width // 8
    return (
        layout.kind,
        groups.top,
        groups.bottom,
        groups.padding,
        type_.scale,
        first_limit,
        width,
    )


def _storage(layout: Layout, *, is_ascii: bool) -> pa.DataType:
    """Return the type of what the C code made."""
    if layout.kind in _TEXTS:
        return pa.string() if is_ascii else pa.binary()
    if isinstance(layout.arrow, pa.BaseExtensionType):
        return layout.arrow.storage_type
    return layout.arrow
