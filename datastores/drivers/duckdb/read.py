"""Reading: SELECT texts, and batches out of one transaction that all splits of a plan share.

DuckDB has no way to open several connections on one snapshot, nor to prove that no commit came
between them. So all splits of a table read in turn through one cursor in one transaction, a page
of row ids at a time; DuckDB itself uses several threads, and its time is small beside the caller's.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import duckdb
import pyarrow as pa
from duckdb import DuckDBPyConnection

from datastores.drivers.duckdb.bounds import check_bounds
from datastores.drivers.duckdb.catalog import DIALECT, Column
from datastores.drivers.duckdb.client import Client
from datastores.drivers.duckdb.errors import translated
from datastores.drivers.reading import Split
from datastores.drivers.sql.convert import convert
from datastores.drivers.sql.filters import comparable_types, condition
from datastores.drivers.sql.parameters import rewrite
from datastores.errors import ConfigurationError, SchemaMismatchError
from datastores.filters import Filters, columns_of


@dataclass(frozen=True, slots=True, kw_only=True)
class DuckDBSplit(Split):
    """A range of row ids, or the whole of a view or query."""

    plan: str
    """Which open plan of this driver it belongs to."""
    rows_from: int = 0
    rows_to: int | None = None
    """Exclusive; None for all."""


@dataclass(slots=True, kw_only=True)
class OpenPlan:
    """How the splits of one plan are read, and the snapshot they share."""

    client: Client
    snapshot: DuckDBPyConnection | None
    """A cursor in a transaction, for reading by row ids; one thread may use it at a time."""
    columns: tuple[Column, ...]
    """As they will be read, in order."""
    sql: str
    """A SELECT without LIMIT; parameters `$rows_from` and `$rows_to` if it reads by row ids."""
    values: dict[str, Any]
    limit: int | None
    batch_rows: int
    target: str
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def schema(self) -> pa.Schema:
        """The schema of every batch."""
        return pa.schema([one.field for one in self.columns])

    def read(self, split: DuckDBSplit) -> Iterator[pa.RecordBatch]:
        """Stream one split."""
        with translated("read", self.target):
            if self.snapshot is None or split.rows_to is None:
                chunks = self._whole()
            else:
                chunks = self._pages(self.snapshot, split.rows_from, split.rows_to)
            for chunk in chunks:
                yield from exact(chunk, self.columns, self.batch_rows)

    def _pages(
        self, snapshot: DuckDBPyConnection, first: int, end: int
    ) -> Iterator[pa.RecordBatch]:
        for start in range(first, end, self.batch_rows):
            page = {"rows_from": start, "rows_to": min(start + self.batch_rows, end)}
            with self.lock:
                found = snapshot.sql(self.sql, params=self.values | page).to_arrow_table()
            yield from found.combine_chunks().to_batches()

    def _whole(self) -> Iterator[pa.RecordBatch]:
        # The next statement on its cursor would cut a stream off, so each has one of its own.
        limit = "" if self.limit is None else f" LIMIT {self.limit:d}"
        with self.client.cursor() as cursor:
            relation = cursor.sql(self.sql + limit, params=self.values or None)
            with relation.to_arrow_reader(self.batch_rows) as reader:
                yield from reader

    def close(self) -> None:
        """End the transaction."""
        if self.snapshot is not None:
            with self.lock:
                self.snapshot.close()


def exact(
    chunk: pa.RecordBatch, columns: tuple[Column, ...], batch_rows: int
) -> Iterator[pa.RecordBatch]:
    """Yield what DuckDB exported as batches of the columns' Arrow types, none of them empty."""
    schema = pa.schema([one.field for one in columns])
    for start in range(0, chunk.num_rows, batch_rows):
        arrays = [
            convert(
                convert(array, one.stored, one.name, check_bounds),
                one.arrow,
                one.name,
                check_bounds,
            )
            for array, one in zip(chunk.slice(start, batch_rows).columns, columns, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def select(
    columns: tuple[Column, ...],
    chosen: tuple[str, ...] | None,
    filters: Filters,
    *,
    source: str,
    pages: bool,
    new: str,
) -> tuple[str, dict[str, Any], tuple[Column, ...]]:
    """Return the SELECT, the values to bind and the columns it yields.

    Args:
        columns: That there are.
        chosen: Which to read; None for all.
        filters: Which rows to read.
        source: What stands behind FROM.
        pages: Whether it is for a range of row ids.
        new: The condition of rows that are new; empty for all.

    Raises:
        SchemaMismatchError: A column is not there; the message lists those that are.
    """
    known = {one.name: one for one in columns}
    for name in [*(chosen or ()), *columns_of(filters)]:
        if name not in known:
            raise SchemaMismatchError(
                f"no column {name!r} in {source}", advice=f"Its columns are {', '.join(known)}"
            )
    for name in columns_of(filters):
        if comparable_types(known[name].arrow) != comparable_types(known[name].stored):
            raise SchemaMismatchError(
                f"filter on {name!r}: DuckDB holds its {known[name].arrow} as {known[name].type}",
                advice="Filter after reading, or write the comparison in a query",
            )
    picked = tuple(columns if chosen is None else [known[name] for name in chosen])
    rows, values = condition(filters, {name: one.stored for name, one in known.items()}, DIALECT)
    pieces = [f"({one})" for one in (rows, new) if one]
    if pages:
        pieces.append("rowid >= $rows_from AND rowid < $rows_to")
    clause = f" WHERE {' AND '.join(pieces)}" if pieces else ""
    listed = ", ".join(one.expression for one in picked)
    return f"SELECT {listed} FROM {source}{clause}", values, picked


def single_select(cursor: DuckDBPyConnection, sql: str) -> str:
    """Return a query without its closing semicolon.

    Raises:
        ConfigurationError: More than one statement, or one that is not a SELECT.
    """
    kinds = [one.type for one in cursor.extract_statements(sql)]
    if kinds != [duckdb.StatementType.SELECT]:
        words = ", ".join(kind.name for kind in kinds) or "nothing"
        raise ConfigurationError(
            f"a query is one SELECT, and this text holds {words}",
            advice="Change tables with write_table",
        )
    return rewrite(sql, {"end": lambda _: " "})
