"""Reading: the texts of COPY, and splits that any process reads under one exported snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import sql

from datastores.drivers.azure_postgresql.catalog import DIALECT, Column, Table, columns_of
from datastores.drivers.azure_postgresql.client import Client, Connection
from datastores.drivers.azure_postgresql.codec import Decoder
from datastores.drivers.azure_postgresql.errors import translated
from datastores.drivers.azure_postgresql.fit import FirstUnfit, Selection, refusal, select
from datastores.drivers.base import ReadPlan, ScanRequest, Split
from datastores.drivers.sql.convert import convert
from datastores.drivers.sql.filters import comparable_types, condition
from datastores.drivers.sql.parameters import bind_named, rewrite, tokens
from datastores.errors import DataError, PreconditionFailedError, SchemaMismatchError
from datastores.filters import columns_of as filtered_columns
from datastores.values import Unfit, how_to_choose

# "invalid snapshot identifier" up to PostgreSQL 15, "snapshot does not exist" since 16.
_NO_SNAPSHOT = {"22023", "42704"}
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
    first_unfit: FirstUnfit | None
    """How to find the row of a value that the codec refuses."""


def batches(client: Client, split: PostgreSQLSplit) -> Iterator[pa.RecordBatch]:
    """Stream one split through a connection of its own, which holds it back as long as need be."""
    schema = schema_of(split.columns)
    decoder = Decoder([(one.name, one.mapped.layout) for one in split.columns], split.batch_rows)
    with client.connection("read", split.target) as connection:
        _share(connection, split.snapshot)
        statement = f"COPY ({split.sql}) TO STDOUT (FORMAT binary)"
        try:
            with connection.cursor().copy(statement.encode()) as copy:
                for batch in decoder.batches(copy):
                    arrays = [
                        convert(array, one.arrow, one.name)
                        for array, one in zip(batch.columns, split.columns, strict=True)
                    ]
                    yield pa.RecordBatch.from_arrays(arrays, schema=schema)
        except DataError as error:
            _name_row(error, connection, split)
            raise


def _name_row(error: DataError, connection: Connection, split: PostgreSQLSplit) -> None:
    """Say of a refused value which row it is in, as far as the server can tell."""
    if split.first_unfit is None:
        return
    try:
        connection.rollback()
        _share(connection, split.snapshot)
        row = connection.execute(split.first_unfit.sql.encode()).fetchone()
    except (psycopg.Error, PreconditionFailedError):
        return
    if row is not None:
        column, example = split.first_unfit.of(row)
        error.message = refusal(column, example)
        error.advice = f"Choose what becomes of such values: {how_to_choose(column.name)}"


def schema_of(columns: tuple[Column, ...]) -> pa.Schema:
    """Return the schema of the batches."""
    return pa.schema([one.field for one in columns])


def export_snapshot(connection: Connection) -> str:
    """Begin a read-only transaction and return the name of its snapshot."""
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    [(name,)] = connection.execute("SELECT pg_catalog.pg_export_snapshot()").fetchall()
    return str(name)


def _share(connection: Connection, snapshot: str) -> None:
    try:
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        connection.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot)))
    except psycopg.Error as error:
        if error.sqlstate not in _NO_SNAPSHOT:
            raise
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
    selection = _select(
        table.columns,
        request,
        connection,
        source=DIALECT.table(table.name),
        label=str(table.name),
        key=table.key,
    )
    whole = not request.filters and request.limit is None
    rows = table.rows if whole else None

    def split(label: str, condition: str | None, rows: int | None) -> PostgreSQLSplit:
        return _split(label, condition, rows, snapshot, selection, request, str(table.name))

    if table.pages is None or request.limit is not None:
        splits_: tuple[Split, ...] = (split("all rows", None, rows),)
        split_by = f"one reader: {'a limit' if request.limit is not None else _WHY[table.kind]}"
    else:
        last = max(table.pages - 1, 0)
        ranges = _page_ranges(table.pages, splits)
        splits_ = tuple(
            split(
                f"pages {first:,} to {last if end is None else end - 1:,}",
                _on_pages(first, end),
                None if rows is None else rows // len(ranges),
            )
            for first, end in ranges
        )
        split_by = "ctid pages"
    return ReadPlan(
        schema=schema_of(selection.columns),
        splits=splits_,
        split_by=split_by,
        snapshot=snapshot,
        rows=rows,
        bytes=table.bytes if whole else None,
        count_unfit=_counter(selection, connection, str(table.name)),
    )


def plan_query(request: ScanRequest, connection: Connection, snapshot: str) -> ReadPlan:
    """Return how a query is read: its columns are known without running it."""
    query = _merged(_without_end(request.query or ""), request.parameters, connection)
    found = columns_of(connection, query)
    names = [one.name for one in found]
    if not names:
        raise SchemaMismatchError("the query has no columns", advice="Select one at least")
    if repeated := [name for name in names if names.count(name) > 1]:
        raise SchemaMismatchError(
            f"the query has two columns named {repeated[0]!r}", advice="Name each with AS"
        )
    selection = _select(
        found, request, connection, source=f"(\n{query}\n) AS query", label="the query", key=()
    )
    return ReadPlan(
        schema=schema_of(selection.columns),
        splits=(_split("all rows", None, None, snapshot, selection, request, "the query"),),
        split_by="one reader: a query",
        snapshot=snapshot,
        count_unfit=_counter(selection, connection, "the query"),
    )


def _counter(
    selection: Selection, connection: Connection, target: str
) -> Callable[[], Unfit | None] | None:
    """Return what asks the server, under the snapshot that the connection holds."""
    statement = selection.unfit_sql
    if statement is None:
        return None

    def count() -> Unfit | None:
        if selection.limit is not None:
            return None
        with translated("plan_read", target):
            return selection.unfit(connection.execute(statement.encode()).fetchall())

    return count


def _split(  # a value with as many fields
    label: str,
    condition: str | None,
    rows: int | None,
    snapshot: str,
    selection: Selection,
    request: ScanRequest,
    target: str,
) -> PostgreSQLSplit:
    return PostgreSQLSplit(
        label=label,
        rows=rows,
        sql=selection.sql(condition),
        snapshot=snapshot,
        columns=selection.columns,
        batch_rows=request.batch_rows,
        target=target,
        first_unfit=selection.first_unfit(condition),
    )


def _without_end(query: str) -> str:
    """Return a query without the semicolon and comments at its end; others are the server's to refuse."""
    pieces = list(tokens(query))
    while pieces and (pieces[-1][0] in {"end", "line", "block"} or pieces[-1][1].isspace()):
        pieces.pop()
    return "".join(text for _, text in pieces)


def _select(  # what a SELECT is made of
    columns: tuple[Column, ...],
    request: ScanRequest,
    connection: Connection,
    *,
    source: str,
    label: str,
    key: tuple[str, ...],
) -> Selection:
    """Return what a request asks of a source.

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
    rows, values = condition(filters, compared, DIALECT)
    return select(
        columns if chosen is None else [known[name] for name in chosen],
        request.on_unfit,
        source=source,
        conditions=(_merged(rows, values, connection),) if rows else (),
        key=key,
        limit=request.limit,
    )


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


def _on_pages(first: int, end: int | None) -> str | None:
    """Return the condition of the rows on some pages; what is added later is in the last range."""
    pieces = [f"ctid >= '({first},0)'::tid"] if first else []
    pieces += [] if end is None else [f"ctid < '({end},0)'::tid"]
    return " AND ".join(pieces) or None
