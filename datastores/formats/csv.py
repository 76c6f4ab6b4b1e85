"""CSV: text in columns, typed by a sidecar schema, by `types`, or by looking at every value.

Without any of these each column is text, so that `00123` stays `00123`. NULL is written as
nothing and the empty string as `""`. `text_values` says how other types are written; lists,
structs and maps are JSON text.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from typing_extensions import override

from datastores.errors import ConfigurationError, DataError, SchemaMismatchError
from datastores.filters import Filters
from datastores.formats import csv_columns, packing
from datastores.formats.base import (
    FilePart,
    Format,
    FormatWriter,
    check_names,
    choose,
    refuse_null,
    slices,
)
from datastores.formats.infer_text import infer_types
from datastores.formats.text_values import first_failure, shown
from datastores.types.text import parse_type

# A row has to lie within two blocks, so the block grows when a longer one is met.
_BLOCK_BYTES = 1 << 20
_MAX_BLOCK_BYTES = 1 << 28
# Rows are joined to lines in memory, about this many bytes at a time.
_WRITE_BYTES = 8 << 20
_ONE_CHARACTER = ("delimiter", "quote", "escape", "decimal_point")
_UTF8_BOM = "\ufeff"


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvFormat(Format):
    """CSV files, with the dialect's every choice as an option."""

    name: ClassVar[str] = "csv"
    suffixes: ClassVar[tuple[str, ...]] = (".csv",)
    needs_sidecar: ClassVar[bool] = True

    types: Mapping[str, str] = field(default_factory=dict)
    """Types of columns by name; those that are not named are text."""
    infer: bool = False
    """Take for each column the narrowest type that every value of the file is written in."""
    delimiter: str = ","
    encoding: str = "utf-8"
    bom: bool = False
    """Write a byte order mark; one is skipped in reading whatever this says."""
    quote: str | None = '"'
    quoting: str = "needed"
    """`needed`, or `all` for every value but NULL."""
    escape: str | None = None
    """Stands before a quote inside quotes, in place of a doubled quote."""
    null_words: Sequence[str] = ("",)
    """What, without quotes, is NULL; the first is written."""
    header: bool = True
    decimal_point: str = "."
    date_format: str | None = None
    """As for `strptime`; None for ISO 8601."""
    timestamp_format: str | None = None
    compression: str = "none"

    def __post_init__(self) -> None:
        for name in _ONE_CHARACTER:
            value = getattr(self, name)
            optional = name in {"quote", "escape"} and value is None
            if not optional and (not isinstance(value, str) or len(value.encode()) != 1):
                raise ConfigurationError(
                    f"csv option {name!r}: {value!r} is not one ASCII character"
                )
        choose(self.name, "quoting", self.quoting, ("needed", "all"))
        choose(self.name, "compression", self.compression, tuple(packing.SUFFIXES))
        for name in ("infer", "bom", "header"):
            choose(self.name, name, getattr(self, name), (True, False))
        if isinstance(self.null_words, str) or not self.null_words:
            raise ConfigurationError("csv option 'null_words' is a list of words, at least one")
        try:
            codecs.lookup(self.encoding)
        except LookupError as error:
            raise ConfigurationError(
                f"csv option 'encoding': no codec {self.encoding!r}"
            ) from error
        for text in self.types.values():
            parse_type(text)

    @property
    @override
    def description(self) -> str:
        plain = CsvFormat()
        names = (name for name in self.__dataclass_fields__ if name != "types")
        given = [
            f"{name} {getattr(self, name)!r}"
            for name in names
            if getattr(self, name) != getattr(plain, name)
        ]
        return f"CSV ({', '.join(given)})" if given else "CSV"

    @property
    @override
    def suffix(self) -> str:
        ending = ".tsv" if self.delimiter == "\t" else ".csv"
        return ending + packing.SUFFIXES[self.compression]

    @override
    def schema(self, file: IO[bytes], sidecar: pa.Schema | None) -> pa.Schema:
        names = self._names(file, sidecar)
        if sidecar is not None:
            check_names(names, sidecar.names)
        for name in self.types:
            if name not in names:
                raise SchemaMismatchError(
                    f"types names a column {name!r} that is not here",
                    advice=f"The columns are {', '.join(names)}",
                )
        found = dict.fromkeys(names, pa.string())
        if self.infer and sidecar is None:
            found = infer_types(self._text(file, names, names), names, self.dialect)
        # The sidecar says the order too: that of the table, not of the file.
        base = sidecar or pa.schema([(name, found[name]) for name in names])
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
    ) -> Iterator[pa.RecordBatch]:
        names = self._names(file, schema)
        check_names(names, schema.names)
        wanted = pa.schema([schema.field(name) for name in columns])
        row = 1
        for batch in self._text(file, names, list(columns)):
            for piece in slices(batch, batch_rows):
                arrays = []
                for one in wanted:
                    array = csv_columns.read(piece.column(one.name), one, self.dialect, row)
                    refuse_null(array, one, row)
                    arrays.append(array)
                yield pa.RecordBatch.from_arrays(arrays, schema=wanted)
                row += piece.num_rows

    @override
    def check(self, schema: pa.Schema) -> None:
        csv_columns.check_types(schema)

    @override
    def writer(self, file: IO[bytes], schema: pa.Schema) -> FormatWriter:
        return _CsvWriter(file, schema, self)

    @property
    def dialect(self) -> csv_columns.Dialect:
        """How values are written."""
        return csv_columns.Dialect(
            decimal_point=self.decimal_point,
            date_format=self.date_format,
            timestamp_format=self.timestamp_format,
        )

    def _names(self, file: IO[bytes], known: pa.Schema | None) -> list[str]:
        """Return the file's column names, from its header or from what is known."""
        if not self.header and known is not None:
            return list(known.names)
        ragged: list[Any] = []
        with _translated(ragged, header=self.header):
            try:
                reader = self._open(file, None, [], _BLOCK_BYTES, ragged)
            except pa.ArrowInvalid as error:
                if "Empty CSV" not in str(error):
                    raise
                raise DataError(
                    "the file is empty: it has not even a header",
                    advice="Remove it, or give header=False and types={...}",
                ) from error
            names = list(reader.schema.names)
        if not self.header and len(self.types) == len(names):
            return list(self.types)
        check_names(names, names)
        return names

    def _text(
        self, file: IO[bytes], names: list[str], wanted: list[str]
    ) -> Iterator[pa.RecordBatch]:
        """Stream columns as strings, NULL where the file holds a null word without quotes."""
        block, done = _BLOCK_BYTES, 0
        while True:
            skip = done
            ragged: list[Any] = []
            with _translated(ragged, header=self.header):
                try:
                    for batch in self._open(file, names, wanted, block, ragged):
                        fresh = batch.slice(min(skip, batch.num_rows))
                        skip -= batch.num_rows - fresh.num_rows
                        if fresh.num_rows:
                            yield _as_text(fresh, done + 1)
                            done += fresh.num_rows
                except pa.ArrowInvalid as error:
                    if "Empty CSV" in str(error) and not self.header:
                        return
                    if "straddl" not in str(error) or block >= _MAX_BLOCK_BYTES:
                        raise
                else:
                    return
            block *= 8

    def _open(
        self,
        file: IO[bytes],
        names: list[str] | None,
        wanted: list[str],
        block: int,
        ragged: list[Any],
    ) -> Any:
        file.seek(0)

        def note(row: Any) -> str:
            ragged.append(row)
            return "error"

        return pa_csv.open_csv(
            packing.unpacked(file, self.compression),
            read_options=pa_csv.ReadOptions(
                use_threads=False,
                block_size=block,
                encoding="utf8" if _is_utf8(self.encoding) else self.encoding,
                column_names=None if self.header else names,
                autogenerate_column_names=not self.header and names is None,
            ),
            parse_options=pa_csv.ParseOptions(
                delimiter=self.delimiter,
                quote_char=self.quote or False,
                double_quote=self.quote is not None and self.escape is None,
                escape_char=self.escape or False,
                newlines_in_values=self.quote is not None,
                # In a file of one column an empty line is a NULL.
                ignore_empty_lines=names is None or len(names) > 1,
                invalid_row_handler=note,
            ),
            convert_options=pa_csv.ConvertOptions(
                # As bytes, so that text that is not UTF-8 is found by row and column.
                column_types=dict.fromkeys(names or [], pa.binary()),
                include_columns=wanted,
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                null_values=list(self.null_words),
            ),
        )


class _CsvWriter(FormatWriter):
    def __init__(self, file: IO[bytes], schema: pa.Schema, options: CsvFormat) -> None:
        self._options = options
        self._schema = schema
        self._packer = packing.packer(file, options.compression)
        self._file = self._packer or file
        # Kept for the whole file: some encodings begin with a mark, once.
        self._encode = codecs.getincrementalencoder(options.encoding)().encode
        special = {options.delimiter, options.quote, options.escape, "\r", "\n"} - {None}
        self._special = "[" + "".join(f"\\x{ord(one):02x}" for one in special if one) + "]"
        if options.bom and _is_utf8(options.encoding):
            self._file.write(self._encode(_UTF8_BOM))
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


class _translated:  # noqa: N801  # reads as a word of the `with` statement
    """Turn what Arrow and the codecs raise while reading into a `DataError` that names the row."""

    def __init__(self, ragged: list[Any], *, header: bool) -> None:
        self._ragged = ragged
        self._header = header

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._ragged and isinstance(error, pa.ArrowInvalid):
            row = self._ragged[0]
            number = "" if row.number is None else f" {row.number - self._header}"
            raise DataError(
                f"row{number} has {row.actual_columns} values where {row.expected_columns} are "
                f"expected: {shown(row.text)}",
                advice="Check the delimiter and the quoting, or mend the row",
            ) from error
        if isinstance(error, UnicodeError):
            raise DataError(
                f"the file is not written in the encoding asked for: {error}",
                advice="Give encoding=, such as 'latin-1' or 'utf-16'",
            ) from error
        if isinstance(error, (pa.ArrowInvalid, *packing.DAMAGED)):
            raise DataError(
                f"the file cannot be read as CSV: {error}",
                advice="It may be damaged, cut short or of another format",
            ) from error


def _as_text(batch: pa.RecordBatch, first_row: int) -> pa.RecordBatch:
    arrays = []
    for name, array in zip(batch.schema.names, batch.columns, strict=True):
        try:
            arrays.append(array.cast(pa.string()))
        except pa.ArrowInvalid as error:
            at = first_failure(array, lambda one: one.cast(pa.string()))
            raise DataError(
                f"row {first_row + at}, column {name!r}: {shown(array[at].as_py())} is not UTF-8",
                advice="Give encoding=, such as 'latin-1' or 'utf-16'",
            ) from error
    return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)


def _is_utf8(encoding: str) -> bool:
    return codecs.lookup(encoding).name in {"utf-8", "utf-8-sig"}
