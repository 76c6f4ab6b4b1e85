"""Reading: the texts of COPY, and splits that any process reads under one exported snapshot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import sql

from datastores.drivers.azure_postgresql.catalog import DIALECT, Column, Table, columns_of
from datastores.drivers.azure_postgresql.client import Client
from datastores.drivers.azure_postgresql.codec import Decoder
from datastores.drivers.azure_postgresql.connection import Connection
from datastores.drivers.base import ReadPlan, ScanRequest, Split
from datastores.drivers.sql.convert import convert
from datastores.drivers.sql.filters import comparable_types, condition
from datastores.drivers.sql.parameters import bind_named, rewrite, tokens
from datastores.errors import (
    ConnectionFailedError,
    DatastoreError,
    PreconditionFailedError,
    SchemaMismatchError,
)
from datastores.filters import columns_of as filtered_columns

# "invalid snapshot identifier" up to PostgreSQL 15, "snapshot does not exist" since 16.
_NO_SNAPSHOT = {"22023", "42704"}
_ONE_STATE = "ISOLATION LEVEL REPEATABLE READ READ ONLY"
# Numbers of any size, as far as a filter's value is concerned.
_ANY_NUMBER = pa.decimal128(38, 0)
# Why a relation that is no heap of its own is read by one connection.
_WHY = {
    "r": "a table with children, or not a heap",
    "p": "a partitioned table",
    "v": "a view",
    "m": "not a heap",
    "f": "a foreign table",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgreSQLSplit(Split):
    """One SELECT under a snapshot."""

    sql: str
    snapshot: str
    columns: tuple[Column, ...]
    """As the SELECT yields them."""
    batch_rows: int
    target: str


def batches(client: Client, split: PostgreSQLSplit) -> Iterator[pa.RecordBatch]:
    """Stream one split; once more from its beginning if it breaks before the first batch is out."""
    handed_over = False
    try:
        for batch in _batches(client, split):
            handed_over = True
            yield batch
    except DatastoreError as error:
        # The order of rows is not fixed: what was handed over cannot be told from what is left.
        if handed_over or not error.transient:
            raise
        yield from _batches(client, split)


def _batches(client: Client, split: PostgreSQLSplit) -> Iterator[pa.RecordBatch]:
    schema = schema_of(split.columns)
    decoder = Decoder([(one.name, one.mapped.layout) for one in split.columns], split.batch_rows)
    with client.connection("read", split.target) as connection:
        _share(client, connection, split.snapshot)
        statement = f"COPY ({split.sql}) TO STDOUT (FORMAT binary)"
        with connection.cursor().copy(statement.encode()) as copy:
            for batch in decoder.batches(copy):
                arrays = [
                    convert(array, one.arrow, one.name)
                    for array, one in zip(batch.columns, split.columns, strict=True)
                ]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)
        connection.rollback()


def schema_of(columns: tuple[Column, ...]) -> pa.Schema:
    """Return the schema of the batches."""
    return pa.schema([one.field for one in columns])


def export_snapshot(connection: Connection) -> str:
    """Begin a read-only transaction that stays open, and return the name of its snapshot."""
    connection.begin(_ONE_STATE)
    connection.keep_open()
    [(name,)] = connection.execute("SELECT pg_catalog.pg_export_snapshot()").fetchall()
    return str(name)


def _share(client: Client, connection: Connection, snapshot: str) -> None:
    try:
        connection.begin(_ONE_STATE)
        connection.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot)))
    except psycopg.Error as error:
        if error.sqlstate not in _NO_SNAPSHOT:
            raise
        if client.pool.holds(snapshot):
            raise ConnectionFailedError(
                f"the connection that kept the snapshot {snapshot} open is gone",
                driver=DIALECT.engine,
                operation="read",
                advice="Read again from the beginning: rows of another snapshot do not go with these",
            ) from error
        raise PreconditionFailedError(
            f"the snapshot {snapshot} is gone",
            driver=DIALECT.engine,
            operation="read",
            advice="Read a split before its plan is closed",
        ) from error


def plan_table(
    table: Table, request: ScanRequest, connection: Connection, snapshot: str, splits: int
) -> ReadPlan:
    """Return how a table is read: by ranges of its pages if it is a heap."""
    text, values, columns = _select(
        table.columns, request, source=DIALECT.table(table.name), label=str(table.name)
    )
    text = _merged(text, values, connection)
    whole = not request.filters and request.limit is None
    rows = table.rows if whole else None

    def split(label: str, sql: str, rows: int | None) -> PostgreSQLSplit:
        return _split(label, sql, rows, snapshot, columns, request, str(table.name))

    if table.pages is None or request.limit is not None:
        splits_: tuple[Split, ...] = (split("all rows", _limited(text, request), rows),)
        split_by = f"one reader: {'a limit' if request.limit is not None else _WHY[table.kind]}"
    else:
        last = max(table.pages - 1, 0)
        ranges = _page_ranges(table.pages, splits)
        splits_ = tuple(
            split(
                f"pages {first:,} to {last if end is None else end - 1:,}",
                _on_pages(text, first, end, filtered=bool(request.filters)),
                None if rows is None else rows // len(ranges),
            )
            for first, end in ranges
        )
        split_by = "ctid pages"
    return ReadPlan(
        schema=schema_of(columns),
        splits=splits_,
        split_by=split_by,
        snapshot=snapshot,
        rows=rows,
        bytes=table.bytes if whole else None,
    )


def plan_query(request: ScanRequest, connection: Connection, snapshot: str) -> ReadPlan:
    """Return how a query is read: its columns are known without running it."""
    query = _without_end(request.query or "")
    found = columns_of(connection, _merged(query, request.parameters, connection))
    names = [one.name for one in found]
    if not names:
        raise SchemaMismatchError("the query has no columns", advice="Select one at least")
    if repeated := [name for name in names if names.count(name) > 1]:
        raise SchemaMismatchError(
            f"the query has two columns named {repeated[0]!r}", advice="Name each with AS"
        )
    text, values, columns = _select(
        found, request, source=f"(\n{query}\n) AS query", label="the query"
    )
    text = _merged(text, {**request.parameters, **values}, connection)
    return ReadPlan(
        schema=schema_of(columns),
        splits=(
            _split(
                "all rows", _limited(text, request), None, snapshot, columns, request, "the query"
            ),
        ),
        split_by="one reader: a query",
        snapshot=snapshot,
    )


def _split(  # a value with as many fields
    label: str,
    text: str,
    rows: int | None,
    snapshot: str,
    columns: tuple[Column, ...],
    request: ScanRequest,
    target: str,
) -> PostgreSQLSplit:
    return PostgreSQLSplit(
        label=label,
        rows=rows,
        sql=text,
        snapshot=snapshot,
        columns=columns,
        batch_rows=request.batch_rows,
        target=target,
    )


def _limited(text: str, request: ScanRequest) -> str:
    return text if request.limit is None else f"{text} LIMIT {request.limit:d}"


def _without_end(query: str) -> str:
    """Return a query without the semicolon and comments at its end; others are the server's to refuse."""
    pieces = list(tokens(query))
    while pieces and (pieces[-1][0] in {"end", "line", "block"} or pieces[-1][1].isspace()):
        pieces.pop()
    return "".join(text for _, text in pieces)


def _select(
    columns: tuple[Column, ...], request: ScanRequest, *, source: str, label: str
) -> tuple[str, dict[str, Any], tuple[Column, ...]]:
    """Return a SELECT with `:name` parameters, the filters' values, and the columns it yields.

    Raises:
        SchemaMismatchError: A column is not there, or cannot be filtered on; it is named.
    """
    known = {one.name: one for one in columns}
    chosen, filters = request.columns, request.filters
    for name in [*(chosen or ()), *filtered_columns(filters)]:
        if name not in known:
            raise SchemaMismatchError(
                f"no column {name!r} in {label}", advice=f"Its columns are {', '.join(known)}"
            )
    compared = {name: _compared(known[name]) for name in filtered_columns(filters)}
    picked = tuple(columns if chosen is None else [known[name] for name in chosen])
    listed = ", ".join(one.expression for one in picked)
    rows, values = condition(filters, compared, DIALECT)
    return f"SELECT {listed} FROM {source}{f' WHERE ({rows})' if rows else ''}", values, picked


def _compared(column: Column) -> pa.DataType:
    """Return the type that a filter's values must fit; the server compares as it stores."""
    mapped = column.mapped
    if mapped.any_number:
        return _ANY_NUMBER
    as_stored = not mapped.as_text or pa.types.is_dictionary(column.stored)
    kinds = comparable_types(column.arrow)
    if (
        isinstance(column.stored, pa.JsonType)
        or mapped.wire == "money"
        or not as_stored
        or (kinds != comparable_types(column.stored))
    ):
        raise SchemaMismatchError(
            f"filter on {column.name!r}: PostgreSQL holds its {column.arrow} as {column.type}",
            advice="Filter after reading, or write the comparison in a query",
        )
    return column.stored


def _merged(text: str, values: Mapping[str, Any], connection: Connection) -> str:
    """Return SQL text with its parameters as quoted constants: COPY takes none."""
    bound, used = bind_named(text, values, DIALECT)
    return rewrite(
        bound,
        {"parameter": lambda name: sql.Literal(used[name[1:]]).as_string(connection)},
    )


def _page_ranges(pages: int, splits: int) -> list[tuple[int, int | None]]:
    """Return at most `splits` ranges of about equal size; the last one has no end."""
    size = max(1, -(-pages // max(1, splits)))
    starts = range(0, max(pages, 1), size)
    return [(start, start + size if start + size < pages else None) for start in starts]


def _on_pages(text: str, first: int, end: int | None, *, filtered: bool) -> str:
    """Return a SELECT that keeps the rows of some pages; what is added later is in the last range."""
    pieces = [f"ctid >= '({first},0)'::tid"] if first else []
    pieces += [] if end is None else [f"ctid < '({end},0)'::tid"]
    if not pieces:
        return text
    return f"{text} {'AND' if filtered else 'WHERE'} {' AND '.join(pieces)}"
