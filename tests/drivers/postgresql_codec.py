"""Generated columns, values and COPY messages, and what one of the two codecs makes of them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pytest
from hypothesis import strategies as st

from datastores.drivers.azure_postgresql.codec import Layout, decode, encode
from datastores.drivers.azure_postgresql.codec.layout import HEADER, TIMETZ, TRAILER, Column
from datastores.drivers.azure_postgresql.types import LEAVES, OIDS
from datastores.errors import DatastoreError

compiled = pytest.importorskip(
    "datastores.drivers.azure_postgresql.codec.compiled",
    reason="the compiled codec was not built",
    exc_type=ImportError,
)
TWINS: dict[str, Any] = {"python": (decode, encode), "compiled": (compiled, compiled)}


class Outcome(NamedTuple):
    """What came, and the error that ended it."""

    values: list[Any]
    error: tuple[type[DatastoreError], str, str | None] | None


def outcome(items: Callable[[], Iterable[Any]]) -> Outcome:
    values: list[Any] = []
    try:
        values.extend(items())
    except DatastoreError as error:
        return Outcome(values, (type(error), str(error), error.advice))
    return Outcome(values, None)


def decoded(
    twin: str, columns: Sequence[Column], messages: Sequence[bytes], batch_rows: int
) -> Outcome:
    decoder = TWINS[twin][0].Decoder(columns, batch_rows)
    found = outcome(lambda: decoder.batches(messages))
    for batch in found.values:
        batch.validate()
        assert 0 < batch.num_rows <= batch_rows
    return found


def encoded(twin: str, columns: Sequence[Column], batches: Sequence[pa.RecordBatch]) -> Outcome:
    encoder = TWINS[twin][1].Encoder(columns)
    return outcome(lambda: map(bytes, encoder.messages(batches)))


def rows_of(data: bytes, columns: int) -> list[bytes]:
    """Cut the bytes of COPY where the server cuts them: after each row."""
    assert data.startswith(HEADER)
    rows, at = [HEADER], len(HEADER)
    while data[at : at + 2] != TRAILER:
        begin = at
        at += 2
        for _ in range(columns):
            (size,) = struct.unpack_from(">i", data, at)
            at += 4 + max(size, 0)
        rows.append(data[begin:at])
    assert at + 2 == len(data)
    return [*rows, TRAILER]


def _decimal(precision: int, scale: int) -> Layout:
    make = pa.decimal128 if precision <= 38 else pa.decimal256
    return Layout(kind="numeric", arrow=make(precision, scale))


MONEY_DIGITS = 19
decimals = st.integers(1, 76).flatmap(
    lambda precision: st.integers(0, precision).map(lambda scale: _decimal(precision, scale))
)
leaves = st.sampled_from(
    [
        *(Layout(kind=kind, arrow=arrow) for kind, arrow in LEAVES.values()),
        Layout(kind="text", arrow=pa.dictionary(pa.int32(), pa.string())),
        Layout(kind="text", arrow=pa.dictionary(pa.int32(), pa.string()), labels=("", "b", "é")),
        Layout(kind="money", arrow=pa.decimal128(MONEY_DIGITS, 0)),
        Layout(kind="money", arrow=pa.decimal128(MONEY_DIGITS, 2)),
    ]
)


_PARTS = ["bool", "int4", "text", "uuid", "timestamptz", "jsonb", "timetz"]


@st.composite
def arrays(draw: st.DrawFn) -> Layout:
    name = draw(st.sampled_from(_PARTS))
    kind, arrow = LEAVES[name]
    dimensions = draw(st.integers(1, 2))
    nested = arrow
    for _ in range(dimensions):
        nested = pa.list_(nested)
    return Layout(
        kind="array",
        arrow=nested,
        element=Layout(kind=kind, arrow=arrow),
        element_oid=OIDS[name],
        dimensions=dimensions,
    )


parts = st.sampled_from(_PARTS).map(
    lambda name: Layout(kind=LEAVES[name][0], arrow=LEAVES[name][1])
)


@st.composite
def records(draw: st.DrawFn, of: st.SearchStrategy[Layout]) -> Layout:
    fields = draw(st.lists(of, min_size=1, max_size=3))
    return Layout(
        kind="record",
        arrow=pa.struct([(f"f{at}", one.arrow) for at, one in enumerate(fields)]),
        fields=tuple((draw(st.integers(0, 2**32 - 1)), one) for one in fields),
    )


@st.composite
def arrays_of_records(draw: st.DrawFn) -> Layout:
    element = draw(records(parts))
    return Layout(
        kind="array",
        arrow=pa.list_(element.arrow),
        element=element,
        element_oid=2**32 - 1,
        dimensions=1,
    )


nested = arrays() | records(parts | decimals | arrays() | records(parts)) | arrays_of_records()
layouts = st.one_of(leaves, decimals, nested)


@st.composite
def columns(draw: st.DrawFn) -> list[Column]:
    chosen = draw(st.lists(layouts, min_size=1, max_size=6))
    return [(f"c{at}", layout) for at, layout in enumerate(chosen)]


def _integers(draw: st.DrawFn, bits: int, rows: int) -> list[int]:
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    ends = st.sampled_from([low, low + 1, -1, 0, 1, high - 1, high])
    return draw(
        st.lists(
            ends | st.integers(low, high) | st.integers(-5000, 5000), min_size=rows, max_size=rows
        )
    )


_WORDS = st.text(max_size=12) | st.text("abcdefghij ", max_size=80)
# U+0000 is refused, so it is rare.
_TEXTS = st.integers(0, 40).flatmap(
    lambda n: st.just("a\0b") if n == 40 else _WORDS.map(lambda text: text.replace("\0", ""))
)


@st.composite
def values(draw: st.DrawFn, type_: pa.DataType, rows: int, *, fits: bool) -> pa.Array:
    """Values of a type, of which some are NULL; `fits` keeps to those that PostgreSQL has."""
    if isinstance(type_, pa.BaseExtensionType):
        return type_.wrap_array(draw(values(type_.storage_type, rows, fits=fits)))
    if pa.types.is_dictionary(type_):
        return draw(values(type_.value_type, rows, fits=fits)).dictionary_encode().cast(type_)
    mask = draw(st.lists(st.booleans(), min_size=rows, max_size=rows) | st.just([False] * rows))
    if pa.types.is_list(type_):
        return _lists(draw, type_, mask, fits=fits)
    if pa.types.is_struct(type_):
        return _structs(draw, type_, mask, fits=fits)
    of_objects: st.SearchStrategy[Any] | None = None
    if pa.types.is_string(type_):
        of_objects = _TEXTS
    elif pa.types.is_binary(type_):
        of_objects = st.binary(max_size=70)
    elif pa.types.is_boolean(type_):
        of_objects = st.booleans()
    if of_objects is not None:
        found = draw(st.lists(of_objects, min_size=rows, max_size=rows))
        return pa.array([None if no else v for no, v in zip(mask, found, strict=True)], type_)
    data = _stored(draw, type_, rows, fits=fits)
    bits = pa.array([not no for no in mask], pa.bool_()).buffers()[1] if any(mask) else None
    return pa.Array.from_buffers(type_, rows, [bits, pa.py_buffer(data)])


def _structs(draw: st.DrawFn, type_: pa.DataType, mask: list[bool], *, fits: bool) -> pa.Array:
    hidden = pa.array(mask) if any(mask) else None
    children = [draw(values(field.type, len(mask), fits=fits)) for field in type_]
    if type_ == TIMETZ and (fits or draw(st.booleans())):
        # Neither of the two is NULL, and the zone is less than 16 hours away.
        numbers = _integers(draw, 32, len(mask))
        offsets = [one % 115_199 - 57_599 for one in numbers]
        children = [children[0].fill_null(0), pa.array(offsets, pa.int32())]
    return pa.StructArray.from_arrays(children, fields=list(type_), mask=hidden)


def _stored(draw: st.DrawFn, type_: pa.DataType, rows: int, *, fits: bool) -> bytes:
    """Return the bytes of values of one width, whatever lies under a NULL."""
    width = type_.bit_width // 8
    if pa.types.is_decimal(type_):
        limit = 10**type_.precision - 1
        if type_.precision == MONEY_DIGITS and fits:
            limit = 2**63 - 1
        numbers = draw(
            st.lists(
                st.integers(-limit, limit)
                | st.integers(-min(limit, 99_999), min(limit, 99_999))
                | st.sampled_from([limit, -limit]),
                min_size=rows,
                max_size=rows,
            )
        )
        return b"".join(one.to_bytes(width, "little", signed=True) for one in numbers)
    if pa.types.is_date32(type_) or pa.types.is_time(type_) or pa.types.is_timestamp(type_):
        numbers = _integers(draw, width * 8, rows)
        if fits or draw(st.booleans()):
            reach = {4: 2_145_000_000, 8: 9 * 10**18}[width]
            floor = (
                0 if pa.types.is_time(type_) else -2_000_000 * (86_400_000_000 if width == 8 else 1)
            )
            ceiling = 86_400_000_000 if pa.types.is_time(type_) else reach
            numbers = [floor + one % (ceiling - floor) for one in numbers]
        return b"".join(one.to_bytes(width, "little", signed=True) for one in numbers)
    if pa.types.is_interval(type_):
        packed = b""
        for one in _integers(draw, 64, rows):
            whole = abs(one) // 1000 * (1000 if one > 0 else -1000)
            nanoseconds = whole if fits or one % 7 else one
            packed += struct.pack("<iiq", one % 1000 - 500, one % 77 - 40, nanoseconds)
        return packed
    return draw(st.binary(min_size=width * rows, max_size=width * rows))


def _lists(draw: st.DrawFn, type_: pa.DataType, mask: list[bool], *, fits: bool) -> pa.Array:
    rows = len(mask)
    if not pa.types.is_list(type_.value_type):
        sizes = draw(st.lists(st.integers(0, 4), min_size=rows, max_size=rows))
        items = draw(values(type_.value_type, sum(sizes), fits=fits))
        offsets = [sum(sizes[:at]) for at in range(rows + 1)]
        hidden = pa.array(mask) if any(mask) else None
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), items, type_, mask=hidden)
    # Rows of one length each, as PostgreSQL wants them; now and then not.
    jagged = not fits and draw(st.integers(0, 9)) == 0
    inner_sizes: list[int] = []
    offsets = [0]
    for _ in range(rows):
        outer = draw(st.integers(0, 3))
        width = draw(st.integers(1, 3))
        inner_sizes += [width + (at if jagged else 0) for at in range(outer)]
        offsets.append(len(inner_sizes))
    items = draw(values(type_.value_type.value_type, sum(inner_sizes), fits=fits))
    inner_offsets = [sum(inner_sizes[:at]) for at in range(len(inner_sizes) + 1)]
    inner = pa.ListArray.from_arrays(pa.array(inner_offsets, pa.int32()), items, type_.value_type)
    hidden = pa.array(mask) if any(mask) else None
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), inner, type_, mask=hidden)


@st.composite
def batches(draw: st.DrawFn, of: list[Column], *, fits: bool) -> list[pa.RecordBatch]:
    """Batches of the columns' types, some of them slices of longer ones."""
    found = []
    for _ in range(draw(st.integers(0, 3))):
        rows = draw(st.integers(0, 20))
        made = [draw(values(layout.arrow, rows, fits=fits)) for _, layout in of]
        batch = pa.RecordBatch.from_arrays(made, names=[name for name, _ in of])
        found.append(batch.slice(draw(st.integers(0, rows))))
    return found


@st.composite
def wire_value(draw: st.DrawFn, layout: Layout) -> bytes:
    """Return a value as a server might send it: mostly of the right form, seldom of the right range."""
    if draw(st.integers(0, 30)) == 0:
        return draw(st.binary(max_size=40))
    if layout.kind == "record":
        return _wire_record(draw, layout)
    if layout.kind == "timetz":
        time = draw(st.integers(0, 86_400_000_000) | st.integers(-(2**63), 2**63 - 1))
        return struct.pack(">qi", time, draw(st.integers(-57_600, 57_600) | st.just(-(2**31))))
    if layout.kind == "numeric":
        count = draw(st.integers(0, 12))
        digits = draw(st.lists(st.integers(0, 9999), min_size=count, max_size=count))
        if draw(st.booleans()):
            digits = [digit // 1000 * 1000 for digit in digits]
        weight = draw(st.integers(-6, 10) | st.integers(-(2**15), 2**15 - 1))
        sign = draw(st.sampled_from([0, 0x4000] * 6 + [0xC000, 0xD000, 0xF000, 7]))
        return struct.pack(f">hhHh{count}H", count, weight, sign, draw(st.integers(0, 20)), *digits)
    if layout.kind in {"text", "jsonb"}:
        text = draw(st.text(max_size=9).map(str.encode) | st.binary(max_size=9))
        return (b"\1" if layout.kind == "jsonb" else b"") + text
    if layout.kind == "bytea":
        return draw(st.binary(max_size=30))
    if layout.kind == "bool":
        return draw(st.binary(min_size=1, max_size=1))
    widths = {"uuid": 16, "money": 8}
    width = widths.get(layout.kind) or layout.arrow.bit_width // 8
    small = draw(st.integers(0, 10**10)).to_bytes(8, "big")
    edge = draw(st.sampled_from([b"\x7f" + b"\xff" * 15, b"\x80" + bytes(15), bytes(16)]))
    drawn = draw(st.binary(min_size=width, max_size=width))
    return draw(st.sampled_from([drawn, edge[:width], small[-width:].rjust(width, b"\0")]))


def _wire_record(draw: st.DrawFn, layout: Layout) -> bytes:
    row = struct.pack(">i", len(layout.fields) + (draw(st.integers(0, 20)) == 0))
    for oid, field in layout.fields:
        value = None if draw(st.integers(0, 4)) == 0 else draw(wire_value(field))
        row += struct.pack(">I", oid ^ (draw(st.integers(0, 30)) == 0))
        row += struct.pack(">i", -1) if value is None else struct.pack(">i", len(value)) + value
    return row


@st.composite
def messages(draw: st.DrawFn) -> tuple[list[Column], list[bytes]]:
    """Rows whose values no Arrow array need hold."""
    chosen = draw(st.lists(leaves | decimals | records(parts), min_size=1, max_size=4))
    of = [(f"c{at}", layout) for at, layout in enumerate(chosen)]
    rows = [HEADER]
    for _ in range(draw(st.integers(0, 6))):
        row = struct.pack(">h", len(of))
        for _, layout in of:
            value = None if draw(st.integers(0, 4)) == 0 else draw(wire_value(layout))
            row += struct.pack(">i", -1) if value is None else struct.pack(">i", len(value)) + value
        rows.append(row)
    return of, [*rows, TRAILER]
