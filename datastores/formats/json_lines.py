"""JSON lines: one object a line, typed by a sidecar schema, by `types`, or by the JSON's own types.

JSON's own: true and false are bool, whole numbers int64, others double, text string, arrays and
objects lists and structs. NaN and infinity are refused, since JSON has no word for them.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, ClassVar

import pyarrow as pa
from typing_extensions import override

from datastores.errors import DataError, DatastoreError, SchemaMismatchError
from datastores.filters import Filters
from datastores.formats import json_values, packing
from datastores.formats.base import (
    FilePart,
    Format,
    FormatWriter,
    choose,
    refuse_null,
    slices,
)
from datastores.formats.text_values import CONVERSION_ERRORS, first_failure, shown
from datastores.types.text import parse_type

_BLOCK_BYTES = 1 << 20
_MAX_LINE_BYTES = 1 << 28
# Deeper nesting is refused: the recursion of readers, ours and others', is bounded.
_MAX_DEPTH = 64
_NULL_LINE = re.compile(rb"^[ \t\r]*null[ \t\r]*$", re.MULTILINE)
_WRITE_ROWS = 4096
_FIRST_INEXACT_INTEGER = 2.0**53
_PARSE_ERRORS = (*CONVERSION_ERRORS, RecursionError)


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonLinesFormat(Format):
    """JSON lines files in UTF-8."""

    name: ClassVar[str] = "jsonl"
    suffixes: ClassVar[tuple[str, ...]] = (".jsonl", ".ndjson")
    needs_sidecar: ClassVar[bool] = True

    types: Mapping[str, str] = field(default_factory=dict)
    """Types of columns by name; the others have JSON's own."""
    infer: bool = False
    """Take text that is an ISO 8601 time in every row for a timestamp."""
    compression: str = "none"

    def __post_init__(self) -> None:
        choose(self.name, "infer", self.infer, (True, False))
        choose(self.name, "compression", self.compression, tuple(packing.SUFFIXES))
        for text in self.types.values():
            parse_type(text)

    @property
    @override
    def description(self) -> str:
        return "JSON lines" + (f" ({self.compression})" if self.compression != "none" else "")

    @property
    @override
    def suffix(self) -> str:
        return self.suffixes[0] + packing.SUFFIXES[self.compression]

    @override
    def schema(self, file: IO[bytes], sidecar: pa.Schema | None) -> pa.Schema:
        base = sidecar if sidecar is not None else self._scan(file)
        for name in self.types:
            if name not in base.names:
                raise SchemaMismatchError(
                    f"types names a column {name!r} that is not here",
                    advice=f"The columns are {', '.join(base.names)}",
                )
        return pa.schema(
            [
                pa.field(one.name, parse_type(self.types[one.name]))
                if one.name in self.types
                else one
                for one in base
            ]
        )

    @override
    def parts(self, file: IO[bytes], filters: Filters, target_bytes: int) -> list[FilePart]:
        return [FilePart(label="whole file")]

    @override
    def read(
        self,
        file: IO[bytes],
        schema: pa.Schema,
        part: FilePart,
        *,
        columns: tuple[str, ...],
        batch_rows: int,
        threads: bool = True,
    ) -> Iterator[pa.RecordBatch]:
        wire = _wire_schema(schema)
        wanted = pa.schema([schema.field(name) for name in columns])
        row = 1
        for line, block in self._blocks(file):
            table = _parsed(block, wire, line)
            for batch in table.combine_chunks().to_batches():
                for piece in slices(batch, batch_rows):
                    arrays = [_exact(piece.column(one.name), one, row) for one in wanted]
                    yield pa.RecordBatch.from_arrays(arrays, schema=wanted)
                    row += piece.num_rows

    @override
    def check(self, schema: pa.Schema) -> None:
        json_values.check_types(schema)

    @override
    def writer(self, file: IO[bytes], schema: pa.Schema) -> FormatWriter:
        return _JsonLinesWriter(file, schema, self)

    def _scan(self, file: IO[bytes]) -> pa.Schema:
        """Return the schema that all lines together have."""
        given = pa.schema([(name, parse_type(text)) for name, text in self.types.items()])
        found: dict[str, pa.DataType] = {}
        for line, block in self._blocks(file):
            table = _parsed(block, _wire_schema(given), line, infer=True)
            for one in table.schema:
                type_ = given.field(one.name).type if one.name in given.names else one.type
                if one.name not in given.names:
                    type_ = type_ if self.infer else _json_own(type_)
                    _refuse_inexact(table[one.name], one.name, block, line)
                    type_ = _common(found.get(one.name, type_), type_, one.name)
                found[one.name] = type_
        if not found:
            raise SchemaMismatchError(
                "the file holds no object, so its columns are not known",
                advice="Write it again with its schema, or remove it",
            )
        return pa.schema([(name, _never_null(type_)) for name, type_ in found.items()])

    def _blocks(self, file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
        """Stream whole lines by the block, with the number of the first."""
        file.seek(0)
        source = packing.unpacked(file, self.compression)
        line, rest = 1, b""
        try:
            while data := source.read(_BLOCK_BYTES):
                whole, newline, after = data.rpartition(b"\n")
                if not newline:
                    rest += data
                    _refuse_long(rest, line)
                    continue
                block = rest + whole + newline
                rest = after
                if block.strip():
                    yield line, block
                line += block.count(b"\n")
        except packing.DAMAGED as error:
            raise DataError(f"the file is damaged after line {line}: {error}") from error
        if rest.strip():
            yield line, rest


class _JsonLinesWriter(FormatWriter):
    def __init__(self, file: IO[bytes], schema: pa.Schema, options: JsonLinesFormat) -> None:
        self._names = schema.names
        self._packer = packing.packer(file, options.compression)
        self._file = self._packer or file

    @override
    def write(self, batch: pa.RecordBatch) -> None:
        for piece in slices(batch, _WRITE_ROWS):
            columns = [
                json_values.to_json(array, name)
                for name, array in zip(self._names, piece.columns, strict=True)
            ]
            lines = [
                json_values.dump(dict(zip(self._names, row, strict=True)))
                for row in zip(*columns, strict=True)
            ]
            self._file.write(("\n".join(lines) + "\n").encode())

    @override
    def close(self) -> None:
        if self._packer is not None:
            self._packer.close()

    @override
    def abandon(self) -> None:
        with suppress(OSError, ValueError):
            self.close()


def _wire_schema(schema: pa.Schema) -> pa.Schema:
    return pa.schema([(one.name, json_values.wire_type(one.type, one.name)) for one in schema])


def _exact(array: pa.Array, field: pa.Field, first_row: int) -> pa.Array:
    def convert(piece: pa.Array) -> pa.Array:
        return json_values.from_wire(piece, field.type, field.name)

    try:
        values = convert(array)
    except CONVERSION_ERRORS as error:
        at = first_failure(array, convert)
        raise DataError(
            f"row {first_row + at}, column {field.name!r}: {shown(array[at].as_py())} "
            f"is not of type {field.type}",
            advice="Mend the value, or give types={...}",
        ) from error
    refuse_null(values, field, first_row)
    return values


def _parsed(block: bytes, wire: pa.Schema, line: int, *, infer: bool = False) -> pa.Table:
    _refuse_deep(block, line)
    _refuse_other_encodings(block, line)
    _refuse_null_lines(block, line)
    try:
        return json_values.parse_lines(block, wire, infer=infer)
    except _PARSE_ERRORS as error:
        raise _explained(block, wire, line, infer=infer) from error


def _explained(block: bytes, wire: pa.Schema, line: int, *, infer: bool) -> DatastoreError:
    """Return the error that names the line, and if possible the column and value."""
    lines = block.split(b"\n")
    low, high = 0, len(lines)
    while high - low > 1:
        middle = (low + high) // 2
        # With inference two lines may each be right and not agree: the later one is blamed.
        if _fails(lines[0 if infer else low : middle], wire, infer=infer):
            high = middle
        else:
            low = middle
    where, text = f"line {line + low}", lines[low]
    try:
        row = json.loads(text, parse_float=str)
    except (ValueError, RecursionError) as error:
        return DataError(f"{where} is not a JSON object: {shown(text)} ({error})")
    if not isinstance(row, dict):
        return DataError(f"{where} is not a JSON object: {shown(text)}")
    for name in () if infer else row:
        if name not in wire.names:
            return SchemaMismatchError(
                f"{where}: column {name!r} is here and not in the dataset's schema",
                advice=f"The schema has {', '.join(wire.names)}",
            )
    for one in wire:
        alone = json_values.dump({one.name: row.get(one.name)}).encode()
        if _fails([alone], pa.schema([one]), infer=infer):
            return DataError(
                f"{where}, column {one.name!r}: {shown(row[one.name])} is not of type {one.type}",
                advice="Mend the value, or give types={...}",
            )
    return DataError(f"{where} cannot be read: {shown(text)}")


def _fails(lines: list[bytes], wire: pa.Schema, *, infer: bool) -> bool:
    try:
        json_values.parse_lines(b"\n".join(lines) + b"\n", wire, infer=infer)
    except _PARSE_ERRORS as error:
        return "Empty JSON file" not in str(error)
    return False


def _refuse_long(rest: bytes, line: int) -> None:
    if len(rest) > _MAX_LINE_BYTES:
        raise DataError(f"line {line} is longer than {_MAX_LINE_BYTES >> 20} MiB")


def _refuse_deep(block: bytes, line: int) -> None:
    """Refuse nesting that would exhaust a recursive reader's stack."""
    opening = block.count(b"[") + block.count(b"{")
    if opening <= block.count(b"\n") + _MAX_DEPTH:
        return
    for number, text in enumerate(block.split(b"\n"), line):
        if text.count(b"[") + text.count(b"{") > _MAX_DEPTH and _depth(text) > _MAX_DEPTH:
            raise DataError(f"line {number} is nested deeper than {_MAX_DEPTH} levels")


def _refuse_other_encodings(block: bytes, line: int) -> None:
    # Arrow hands out text in JSON unchecked.
    try:
        block.decode()
    except UnicodeDecodeError as error:
        bad = line + block.count(b"\n", 0, error.start)
        raise DataError(f"line {bad} is not UTF-8", advice="JSON lines are UTF-8") from error


def _refuse_null_lines(block: bytes, line: int) -> None:
    # Arrow makes a row of NULLs of such a line, and ends the process where a block has no other.
    if found := _NULL_LINE.search(block):
        number = line + block.count(b"\n", 0, found.start())
        raise DataError(f"line {number} is not a JSON object: {shown(found[0].strip())}")


def _depth(text: bytes) -> int:
    depth = deepest = 0
    inside = escaped = False
    for one in text:
        if inside:
            inside = escaped or one != ord('"')
            escaped = not escaped and one == ord("\\")
        elif one == ord('"'):
            inside = True
        elif one in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif one in b"]}":
            depth -= 1
    return deepest


def _refuse_inexact(column: pa.ChunkedArray, name: str, block: bytes, line: int) -> None:
    """Refuse whole numbers that a double, the type taken for the column, does not hold."""
    if not pa.types.is_floating(column.type):
        return
    if not any(
        value is not None and abs(value) >= _FIRST_INEXACT_INTEGER for value in column.to_pylist()
    ):
        return
    for number, text in enumerate(io.BytesIO(block), line):
        value = json.loads(text).get(name) if text.strip() else None
        if type(value) is int and (not math.isfinite(float(value)) or int(float(value)) != value):
            raise DataError(
                f"line {number}, column {name!r}: {value} is no int64, and no double holds it exactly",
                advice=f"Give types={{{name!r}: 'decimal(38,0)'}}",
            )


def _json_own(type_: pa.DataType) -> pa.DataType:
    """Return an inferred type without Arrow's guess that some text is a timestamp."""
    if pa.types.is_timestamp(type_):
        return pa.string()
    if pa.types.is_list(type_):
        return pa.list_(_json_own(type_.value_type))
    if pa.types.is_struct(type_):
        return pa.struct([one.with_type(_json_own(one.type)) for one in type_])
    return type_


def _common(before: pa.DataType, after: pa.DataType, column: str) -> pa.DataType:
    """Return the type of two blocks of one column."""
    if pa.types.is_timestamp(before) != pa.types.is_timestamp(after):
        before, after = _json_own(before), _json_own(after)
    schemas = [pa.schema([(column, one)]) for one in (before, after)]
    try:
        return pa.unify_schemas(schemas, promote_options="permissive").field(0).type
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise SchemaMismatchError(
            f"column {column!r} is {before} in some lines and {after} in others",
            advice="Mend the lines: a column has one type",
        ) from error


def _never_null(type_: pa.DataType) -> pa.DataType:
    """Return string for a column, or member, in which no line has a value."""
    if pa.types.is_null(type_):
        return pa.string()
    if pa.types.is_list(type_):
        return pa.list_(_never_null(type_.value_type))
    if pa.types.is_struct(type_):
        return pa.struct([one.with_type(_never_null(one.type)) for one in type_])
    return type_
