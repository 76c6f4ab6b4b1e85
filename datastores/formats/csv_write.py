"""Writing CSV: a batch's columns as text, joined to lines."""

from __future__ import annotations

import codecs
from contextlib import suppress
from typing import IO, TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import override

from datastores.errors import DataError
from datastores.formats import csv_columns, packing
from datastores.formats.base import FormatWriter, slices
from datastores.formats.text_values import shown

if TYPE_CHECKING:
    from datastores.formats.csv import CsvFormat

# Rows are joined to lines in memory, about this many bytes at a time.
_WRITE_BYTES = 8 << 20
_BOM = "\ufeff"


class CsvWriter(FormatWriter):
    """Writes in the dialect that the options say."""

    def __init__(self, file: IO[bytes], schema: pa.Schema, options: CsvFormat) -> None:
        self._options = options
        self._schema = schema
        self._packer = packing.packer(file, options.compression)
        self._file = self._packer or file
        # Kept for the whole file: some encodings begin with a mark, once.
        self._encode = codecs.getincrementalencoder(options.encoding)().encode
        special = {options.delimiter, options.quote, options.escape, "\r", "\n"} - {None}
        self._special = "[" + "".join(f"\\x{ord(one):02x}" for one in special if one) + "]"
        if options.bom and codecs.lookup(options.encoding).name == "utf-8":
            self._file.write(self._encode(_BOM))
        if options.header:
            names = [pa.array([name]) for name in schema.names]
            self._write_lines([self._cells(one, "header") for one in names])

    @override
    def write(self, batch: pa.RecordBatch) -> None:
        for piece in slices(batch, max(1, batch.num_rows * _WRITE_BYTES // max(batch.nbytes, 1))):
            cells = []
            for one, array in zip(self._schema, piece.columns, strict=True):
                text = csv_columns.write(array, one.name, self._options.dialect)
                cells.append(self._cells(text, one.name))
            self._write_lines(cells)

    @override
    def close(self) -> None:
        if self._packer is not None:
            self._packer.close()

    @override
    def abandon(self) -> None:
        with suppress(OSError, ValueError):
            self.close()

    def _write_lines(self, cells: list[pa.Array]) -> None:
        rows = pc.binary_join_element_wise(*cells, self._options.delimiter)
        lines = "\n".join(rows.to_pylist()) + "\n"
        try:
            self._file.write(self._encode(lines))
        except UnicodeEncodeError as error:
            raise self._unencodable(cells, error) from error

    def _cells(self, values: pa.Array, column: str) -> pa.Array:
        """Return texts as they stand between delimiters."""
        options = self._options
        quoted = pc.match_substring_regex(values, self._special)
        # A text that reads as NULL is told from it by its quotes.
        quoted = pc.or_(quoted, pc.is_in(values, pa.array(list(options.null_words))))
        if options.quoting == "all":
            quoted = pc.is_valid(values)
        if options.quote is None:
            self._refuse_quotes(values, quoted, column)
        elif pc.any(quoted).as_py():
            inner = values
            for one in dict.fromkeys([options.escape or options.quote, options.quote]):
                inner = pc.replace_substring(inner, one, (options.escape or one) + one)
            around = pc.binary_join_element_wise(options.quote, inner, options.quote, "")
            values = pc.if_else(quoted, around, values)
        return values.fill_null(options.null_words[0])

    def _refuse_quotes(self, values: pa.Array, quoted: pa.Array, column: str) -> None:
        if pc.any(quoted).as_py():
            value = values[quoted.index(pa.scalar(value=True)).as_py()].as_py()
            raise DataError(
                f"column {column!r}: {shown(value)} needs quotes, and the option quote is None",
                advice="Give a quote character, or another delimiter or null word",
            )

    def _unencodable(self, cells: list[pa.Array], error: UnicodeEncodeError) -> DataError:
        bad = error.object[error.start]
        for name, array in zip(self._schema.names, cells, strict=True):
            for value in array.to_pylist():
                if bad in value:
                    return DataError(
                        f"column {name!r}: {shown(value)} has a character {bad!r} "
                        f"that {self._options.encoding} cannot hold",
                        advice="Write it in utf-8",
                    )
        return DataError(f"{bad!r} cannot be written in {self._options.encoding}")
