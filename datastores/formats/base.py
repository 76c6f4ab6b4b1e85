"""The contract of a file format: bytes to Arrow batches and back, one module for each format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any, ClassVar, Self

import pyarrow as pa

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

    @abstractmethod
    def write(self, batch: pa.RecordBatch) -> None:
        """Append a batch. The caller checked that its schema is the writer's."""

    @abstractmethod
    def close(self) -> None:
        """Write what closes the file, such as a footer; the file object stays open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *exception: object) -> None:
        if kind is None:
            self.close()


class Format(ABC):
    """One file format with its options, built strictly from a mapping of them."""

    name: ClassVar[str]
    """As `format=` takes it."""
    suffixes: ClassVar[tuple[str, ...]]
    """File name endings, with the dot, that say this format; the first is used for new files."""
    needs_sidecar: ClassVar[bool] = False
    """The bytes do not say the types, so a schema is kept beside them."""

    @classmethod
    @abstractmethod
    def from_options(cls, options: Mapping[str, Any]) -> Self:
        """Build from `format_options`; an unknown one is an error that lists the known ones."""

    @property
    @abstractmethod
    def description(self) -> str:
        """For plans: the name and every option in force, such as `Parquet (zstd)`."""

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
    ) -> Iterator[pa.RecordBatch]:
        """Stream one part in the file's order, holding about one batch.

        Args:
            schema: What `schema` returned for the dataset; a file that differs is an error
                naming the column.
            columns: Which columns, in this order.

        Raises:
            DataError: Damaged, or ragged; the message names the row or offset.
        """

    @abstractmethod
    def writer(self, file: IO[bytes], schema: pa.Schema) -> FormatWriter:
        """Begin a file.

        Raises:
            SchemaMismatchError: A column's type has no exact form here; named.
        """
