"""How a read is divided into splits of one exported snapshot, and the texts of their COPY."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import pyarrow as pa
from psycopg import sql

from datastores.drivers.azure_postgresql.catalog import DIALECT, Column, Table, columns_of
from datastores.drivers.azure_postgresql.connection import Connection
from datastores.drivers.azure_postgresql.cursor import find_range
from datastores.drivers.azure_postgresql.errors import translated
from datastores.drivers.azure_postgresql.fit import Selection, select
from datastores.drivers.azure_postgresql.marks import COUNTED, marks_of
from datastores.drivers.azure_postgresql.read import PostgreSQLSplit, schema_of
from datastores.drivers.azure_postgresql.sampling import (
    changing_parts,
    find_bounds,
    planned_reads,
    sampled_source,
)
from datastores.drivers.azure_postgresql.splits import (
    Division,
    by_key,
    by_pages,
    one_reader,
    within,
)
from datastores.drivers.increments import CursorRange
from datastores.drivers.reading import ReadPlan, ScanRequest
from datastores.drivers.sql.filters import comparable_types, condition
from datastores.drivers.sql.parameters import bind_named, rewrite, tokens
from datastores.errors import SchemaMismatchError
from datastores.filters import columns_of as filtered_columns

Counted = TypeVar("Counted")

# Numbers of any size, as far as a filter's value is concerned.
_ANY_NUMBER = pa.decimal128(38, 0)
# Why a relation without heaps and without a key is read by one connection.
_WHY = {
    "r": "a table that is no heap and has no key",
    "p": "a partitioned table, not all of it heaps, without a key",
    "v": "a view",
    "m": "a materialized view that is no heap",
    "f": "a foreign table",
}
_ADVICE = "name a column with split_by"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """What stands behind a FROM: a table, or a query in brackets."""

    sql: str
    sampled: str
    """The same, or of a big table a part of it that holds all kinds of rows."""
    columns: tuple[Column, ...]
    label: str
    table: Table | None = None

    def marks(
        self, connection: Connection, counted: Sequence[str], selection: Selection
    ) -> Sequence[str | None]:
        """Return the marks of pieces; None for rows that may change though none is written."""
        table = self.table
        steady = table is not None and table.bypassed is None and selection.limit is None
        if table is None or table.heaps is None or not steady:
            return [None] * len(counted)
        return marks_of(connection, table.heaps, [f"{selection.sql()} {one}" for one in counted])


def plan_table(
    table: Table, request: ScanRequest, connection: Connection, snapshot: str, splits: int
) -> ReadPlan:
    """Return how a table is read: by ranges of pages, or of a key where it has no pages of its own."""
    source = _Source(
        sql=DIALECT.table(table.name),
        sampled=sampled_source(table, filtered=bool(request.filters or request.cursor)),
        columns=table.columns,
        label=str(table.name),
        table=table,
    )
    return _plan(source, request, connection, snapshot, splits)


def plan_query(
    request: ScanRequest, connection: Connection, snapshot: str, splits: int
) -> ReadPlan:
    """Return how a query is read: its columns are known without running it."""
    query = _merged(_without_end(request.query or ""), request.parameters, connection)
    found = columns_of(connection, query)
    names = [one.name for one in found]
    if not names:
        raise SchemaMismatchError("the query has no columns", advice="Select one at least")
    if repeated := [name for name, count in Counter(names).items() if count > 1]:
        raise SchemaMismatchError(
            f"the query has two columns named {repeated[0]!r}", advice="Name each with AS"
        )
    text = f"(\n{query}\n) AS query"
    source = _Source(sql=text, sampled=text, columns=found, label="the query")
    return _plan(source, request, connection, snapshot, splits)


def _plan(
    source: _Source, request: ScanRequest, connection: Connection, snapshot: str, splits: int
) -> ReadPlan:
    selection, cursor = _narrowed(source, _select(source, request, connection), request, connection)
    division = _division(source, selection, request, connection, splits)
    whole = not request.filters and request.limit is None and cursor is None
    table = source.table if whole else None
    rows = table.rows if table else None
    pieces = [(division.condition, one.condition) for one in division.pieces]
    counted = [selection.of(COUNTED, source.sql, *one) for one in pieces]
    marks = source.marks(connection, counted, selection)
    return ReadPlan(
        schema=schema_of(selection.columns),
        splits=tuple(
            PostgreSQLSplit(
                label=piece.label,
                mark=mark,
                counted=count,
                rows=None if rows is None else rows // len(division.pieces),
                sql=selection.sql(division.condition, piece.condition),
                snapshot=snapshot,
                columns=selection.columns,
                batch_rows=request.batch_rows,
                target=source.label,
                first_unfit=selection.first_unfit(division.condition, piece.condition),
                rejected=selection.rejected(COUNTED, division.condition, piece.condition),
            )
            for piece, count, mark in zip(division.pieces, counted, marks, strict=True)
        ),
        split_by=division.split_by,
        snapshot=snapshot,
        rows=rows,
        bytes=table.bytes if table else None,
        cursor=cursor,
        count_unfit=_counter(
            selection, selection.unfit_sql, selection.unfit, connection, source.label
        ),
        count_refused=_counter(
            selection, selection.refused_sql, selection.refused, connection, source.label
        ),
    )


def _narrowed(
    source: _Source, selection: Selection, request: ScanRequest, connection: Connection
) -> tuple[Selection, CursorRange | None]:
    """Return what is asked of the rows that are new, if only those are."""
    if request.cursor is None:
        return selection, None

    def rows(listed: str, condition: str) -> str:
        return selection.of(listed, source.sql, condition)

    cursor, condition = find_range(connection, request.cursor, source.columns, rows)
    return replace(selection, conditions=(*selection.conditions, condition)), cursor


def _counter(
    selection: Selection,
    statement: str | None,
    told: Callable[[Sequence[Sequence[Any]]], Counted],
    connection: Connection,
    target: str,
) -> Callable[[], Counted | None] | None:
    """Return what asks the server, under the snapshot that the connection holds."""
    if statement is None:
        return None

    def count() -> Counted | None:
        if selection.limit is not None:
            return None
        with translated("plan_read", target):
            return told(connection.execute(statement.encode()).fetchall())

    return count


def _division(
    source: _Source,
    selection: Selection,
    request: ScanRequest,
    connection: Connection,
    splits: int,
) -> Division:
    """Return how rows are divided: by a key that the user names, by pages, or by the table's key."""
    table = source.table
    reads = planned_reads(connection, selection.sql())
    if request.limit is not None:
        return one_reader("a limit")
    if reads.foreign:
        return one_reader("a foreign table, whose server does not share the snapshot")
    if request.split_by:
        found = _by_key(source, selection, request.split_by, connection, splits)
    elif table is not None and table.heaps is not None:
        found = by_pages([one for one in table.heaps if one.name in reads.tables], splits)
    elif table is not None and table.key:
        found = _by_key(source, selection, table.key, connection, splits)
    else:
        found = one_reader(f"{_WHY[table.kind] if table else 'a query'}; {_ADVICE}")
    if table is not None and table.heaps is not None and table.has_children:
        return within(found, table.heaps)
    return found


def _by_key(
    source: _Source,
    selection: Selection,
    names: tuple[str, ...],
    connection: Connection,
    splits: int,
) -> Division:
    table = source.table
    if splits < 2:  # noqa: PLR2004  # ranges are found by reading a sample
        return one_reader("no more are asked for")
    is_view = table is not None and table.kind == "v"
    if is_view and (parts := changing_parts(connection, source.sql)):
        return one_reader(f"a view with {parts[0]}")
    known = {one.name: one for one in source.columns}
    # A child may allow NULLs where its parent does not.
    loose = table is not None and table.has_children and table.kind == "r"
    key = [replace(known[name], nullable=known[name].nullable or loose) for name in names]

    def sample(listed: str) -> str:
        return selection.of(listed, source.sampled)

    return by_key(
        key,
        find_bounds(connection, key, splits, sample),
        runs="the query" if table is None else "the view" if is_view else None,
    )


def _without_end(query: str) -> str:
    """Return a query without the semicolon and comments at its end; others are the server's to refuse."""
    pieces = list(tokens(query))
    while pieces and (pieces[-1][0] in {"end", "line", "block"} or pieces[-1][1].isspace()):
        pieces.pop()
    return "".join(text for _, text in pieces)


def _select(source: _Source, request: ScanRequest, connection: Connection) -> Selection:
    """Return what a request asks of a source.

    Raises:
        SchemaMismatchError: A column is not there, or cannot be filtered on; it is named.
    """
    known = {one.name: one for one in source.columns}
    chosen, filters = request.columns, request.filters
    for name in [*(chosen or ()), *filtered_columns(filters), *request.split_by]:
        if name not in known:
            raise SchemaMismatchError(
                f"no column {name!r} in {source.label}",
                advice=f"Its columns are {', '.join(known)}",
            )
    compared = {name: _compared(known[name]) for name in filtered_columns(filters)}
    rows, values = condition(filters, compared, DIALECT)
    return select(
        source.columns if chosen is None else [known[name] for name in chosen],
        request.on_unfit,
        source=source.sql,
        conditions=(_merged(rows, values, connection),) if rows else (),
        key=source.table.key if source.table else (),
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
