"""The contract of a file format: bytes to Arrow batches and back, one module for each format."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any, ClassVar, Self

import pyarrow as pa

from datastores.errors import ConfigurationError, DataError, SchemaMismatchError, did_you_mean
from datastores.filters import Filters


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePart:
    """A piece of one file that can be read alone, such as a run of row groups."""

    label: str
    first: int = 0
    """First unit (row group, record batch), counted from 0."""
    count: int | None = None
    """How many units; None for the whole file."""
    rows: int | None = None
    bytes: int | None = None
    """Of Arrow data; an estimate."""


class FormatWriter(ABC):
    """Writes batches of one schema to one open file."""

    @property
    def buffered_bytes(self) -> int:
        """How much is held in memory until `flush` or `close`."""
        return 0

    def flush(self) -> None:  # noqa: B027  # formats that hold nothing back have nothing to do
        """Write what is held in memory; the file goes on."""

    @abstractmethod
    def write(self, batch: pa.RecordBatch) -> None:
        """Append a batch. The caller checked that its schema is the writer's.

        Raises:
            DataError: A value has no exact form here; the message names column and value.
        """

    @abstractmethod
    def close(self) -> None:
        """Write what closes the file, such as a footer; the file object stays open."""

    def abandon(self) -> None:  # noqa: B027  # most writers do nothing when they are forgotten
        """Let go of a file that is not to be; no later call, not even a finaliser's, writes to it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *exception: object) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()


class Format(ABC):
    """One file format with its options, built strictly from a mapping of them.

    Each format is a frozen dataclass whose fields are its options.
    """

    name: ClassVar[str]
    """As `format=` takes it."""
    suffixes: ClassVar[tuple[str, ...]]
    """File name endings, with the dot, that say this format; the first is used for new files."""
    needs_sidecar: ClassVar[bool] = False
    """The bytes do not say the types, so a schema is kept beside them."""

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Self:
        """Build from `format_options`; an unknown one is an error that lists the known ones."""
        known = [one.name for one in dataclasses.fields(cls)]  # type: ignore[arg-type]
        for name in options:
            if name not in known:
                raise ConfigurationError(
                    f"{cls.name} files have no option {name!r}",
                    advice=did_you_mean(name, known, "Known options are"),
                )
        return cls(**options)

    @property
    @abstractmethod
    def description(self) -> str:
        """For plans: the name and every option in force, such as `Parquet (zstd)`."""

    @property
    def suffix(self) -> str:
        """The ending of new files' names."""
        return self.suffixes[0]

    @abstractmethod
    def schema(self, file: IO[bytes], sidecar: pa.Schema | None) -> pa.Schema:
        """Return the schema that `read` will yield; `sidecar` is the one kept beside the file."""

    @abstractmethod
    def parts(self, file: IO[bytes], filters: Filters, target_bytes: int) -> list[FilePart]:
        """Divide a file into pieces of about `target_bytes`, leaving out those no row of which passes."""

    @abstractmethod
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
        """Stream one part in the file's order, holding about one batch.

        Args:
            file: Open at any position; stays open.
            schema: What `schema` returned for the dataset; a file that differs is an error
                naming the column.
            part: One of `parts`.
            columns: Which columns, in this order; at least one.
            batch_rows: Upper bound of rows in a batch; none is empty.
            threads: Whether columns may be decoded at the same time: sooner done, for more memory.

        Raises:
            DataError: Damaged, or ragged; the message names the row or offset.
            SchemaMismatchError: The file differs from `schema`.
        """

    @abstractmethod
    def check(self, schema: pa.Schema) -> None:
        """Raise unless every column has an exact form here.

        Raises:
            SchemaMismatchError: A column's type has none; named.
        """

    @abstractmethod
    def writer(self, file: IO[bytes], schema: pa.Schema) -> FormatWriter:
        """Begin a file; `schema` has passed `check`."""


def choose(format_name: str, option: str, value: object, choices: tuple[Any, ...]) -> None:
    """Raise unless an option's value is one of the choices; the message lists them."""
    if value not in choices:
        raise ConfigurationError(
            f"{format_name} option {option!r}: {value!r} is not a choice",
            advice=f"The choices are {', '.join(map(repr, choices))}",
        )


def slices(batch: pa.RecordBatch, batch_rows: int) -> Iterator[pa.RecordBatch]:
    """Cut a batch into ones of at most `batch_rows` rows; an empty one gives none."""
    for start in range(0, batch.num_rows, batch_rows):
        yield batch.slice(start, batch_rows)


def check_same(found: pa.Schema, expected: pa.Schema) -> None:
    """Raise unless a file has the dataset's columns, of the same types, in whatever order.

    Raises:
        SchemaMismatchError: Naming the first column that differs.
    """
    check_names(found.names, expected.names)
    for field in expected:
        other = found.field(field.name)
        if other.type != field.type:
            raise SchemaMismatchError(
                f"column {field.name!r} is {other.type} here and {field.type} in the dataset",
                advice="Read the files one by one, or write them again with one schema",
            )


def check_names(found: list[str], expected: list[str]) -> None:
    """Raise unless both name the same columns, each once; the message names the first that differs."""
    known, seen = set(expected), set[str]()
    for name in found:
        if name in seen:
            raise SchemaMismatchError(
                f"two columns are named {name!r}", advice="Rename one of them in the file"
            )
        seen.add(name)
        if name not in known:
            raise SchemaMismatchError(
                f"column {name!r} is here and not in the dataset's schema",
                advice=f"The schema has {', '.join(expected)}",
            )
    for name in expected:
        if name not in seen:
            raise SchemaMismatchError(
                f"column {name!r} of the dataset's schema is missing here",
                advice=f"The columns here are {', '.join(found)}",
            )


def refuse_null(array: pa.Array, field: pa.Field, first_row: int) -> None:
    """Raise if a column that holds no NULL by its schema has one."""
    if not field.nullable and array.null_count:
        row = first_row + array.is_null().index(pa.scalar(value=True)).as_py()
        raise DataError(f"row {row}, column {field.name!r}: NULL in a column declared not null")
