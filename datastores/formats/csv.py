"""CSV: text in columns, typed by a sidecar schema, by `types`, or by looking at every value.

Without any of these each column is text, so that `00123` stays `00123`. NULL is written as
nothing and the empty string as `""`. `text_values` says how other types are written; lists,
structs and maps are JSON text.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import IO, Any, ClassVar

import pyarrow as pa
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
from datastores.formats.csv_quotes import CsvSource, ends_inside_quotes
from datastores.formats.csv_write import CsvWriter
from datastores.formats.infer_text import infer_types
from datastores.formats.text_values import first_failure, shown
from datastores.types.text import parse_type

# A row has to lie within two blocks, so the block grows when a longer one is met.
_BLOCK_BYTES = 1 << 20
_MAX_BLOCK_BYTES = 1 << 28
# How Arrow says so; the second of a first row.
_ROW_TOO_LONG = ("straddl", "Empty CSV")
_ONE_CHARACTER = ("delimiter", "quote", "escape", "decimal_point")
# Arrow has a handler for such rows too, which fails on those that are not UTF-8.
_RAGGED = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+): (.*)", re.DOTALL)


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
        threads: bool = True,
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
        return CsvWriter(file, schema, self)

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
        with _translated(header=self.header):
            names = self._first_names(file)
        if not self.header and len(self.types) == len(names):
            return list(self.types)
        check_names(names, names)
        return names

    def _first_names(self, file: IO[bytes]) -> list[str]:
        """Return the names that the file begins with; Arrow's own where it has no header."""
        block = _BLOCK_BYTES
        while True:
            with closing(self._source(file)) as source:
                try:
                    return list(self._open(source, None, [], block).schema.names)
                except pa.ArrowInvalid as error:
                    if "Empty CSV" in str(error) and self._ends_within(file, block):
                        raise DataError(
                            "the file is empty: it has not even a header",
                            advice="Remove it, or give header=False and types={...}",
                        ) from error
                    block = _larger(block, error)

    def _text(
        self, file: IO[bytes], names: list[str], wanted: list[str]
    ) -> Iterator[pa.RecordBatch]:
        """Stream columns as strings, NULL where the file holds a null word without quotes."""
        block, done = _BLOCK_BYTES, 0
        while True:
            skip = done
            with _translated(header=self.header), closing(self._source(file)) as source:
                try:
                    for batch in self._open(source, names, wanted, block):
                        fresh = batch.slice(min(skip, batch.num_rows))
                        skip -= batch.num_rows - fresh.num_rows
                        if fresh.num_rows:
                            yield _as_text(fresh, done + 1)
                            done += fresh.num_rows
                except pa.ArrowInvalid as error:
                    if "Empty CSV" in str(error) and not self.header:
                        return
                    block = _larger(block, error)
                else:
                    self._refuse_open_quote(file, source)
                    return

    def _ends_within(self, file: IO[bytes], block: int) -> bool:
        file.seek(0)
        return len(packing.unpacked(file, self.compression).read(block + 1)) <= block

    def _source(self, file: IO[bytes]) -> CsvSource:
        file.seek(0)
        source = packing.unpacked(file, self.compression)
        return CsvSource(source, self.quote, self.encoding)

    def _refuse_open_quote(self, file: IO[bytes], source: CsvSource) -> None:
        if self.quote is None or self.escape is not None or source.quotes % 2 == 0:
            return
        file.seek(0)
        again = packing.unpacked(file, self.compression)
        if ends_inside_quotes(
            again, quote=self.quote, delimiter=self.delimiter, encoding=self.encoding
        ):
            raise DataError(
                "the file ends inside a quoted value",
                advice="It may be cut short, or a quote is not doubled",
            )

    def _open(
        self,
        source: CsvSource,
        names: list[str] | None,
        wanted: list[str],
        block: int,
    ) -> Any:
        return pa_csv.open_csv(
            source,
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


@contextmanager
def _translated(*, header: bool) -> Iterator[None]:
    """Turn what Arrow and the codecs raise while reading into a `DataError` that names the row."""
    try:
        yield
    except UnicodeError as error:
        raise DataError(
            f"the file is not written in the encoding asked for: {error}",
            advice="Give encoding=, such as 'latin-1' or 'utf-16'",
        ) from error
    except pa.ArrowInvalid as error:
        if ragged := _RAGGED.search(str(error)):
            row, expected, actual, text = ragged.groups()
            raise DataError(
                f"row {int(row) - header} has {actual} values where {expected} are expected: "
                f"{shown(text)}",
                advice="Check the delimiter and the quoting, or mend the row",
            ) from error
        raise _unreadable(error) from error
    except packing.DAMAGED as error:
        raise _unreadable(error) from error


def _larger(block: int, error: pa.ArrowInvalid) -> int:
    """Return the block to try next, or raise the error where a longer row is not its reason."""
    if not any(one in str(error) for one in _ROW_TOO_LONG) or block >= _MAX_BLOCK_BYTES:
        raise error
    return block * 8


def _unreadable(error: Exception) -> DataError:
    return DataError(
        f"the file cannot be read as CSV: {error}",
        advice="It may be damaged, cut short or of another format",
    )


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
