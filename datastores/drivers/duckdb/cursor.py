"""Which rows are new by the values of one column, as DuckDB orders and prints them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from duckdb import DuckDBPyConnection

from datastores.drivers.duckdb.catalog import DIALECT, Column
from datastores.drivers.increments import CursorRange
from datastores.drivers.sql.dialect import literal
from datastores.errors import SchemaMismatchError


def find_range(
    connection: DuckDBPyConnection,
    cursor: CursorRange,
    columns: Sequence[Column],
    rows: str,
    values: Mapping[str, Any],
) -> tuple[CursorRange, str]:
    """Return a range with its end, and the condition that its rows meet.

    Args:
        connection: In the transaction of the snapshot, if there is one.
        cursor: As it was asked for.
        columns: That there are.
        rows: A SELECT of all rows and columns that are asked for.
        values: To be bound in it.

    Raises:
        SchemaMismatchError: There is no such column.
        DataError: A row has no value there, or the greatest is none that another can follow.
    """
    known = {one.name: one for one in columns}
    if cursor.column not in known:
        raise SchemaMismatchError(
            f"there is no cursor column {cursor.column!r}",
            advice=f"The columns are {', '.join(known)}",
        )
    type_ = known[cursor.column].type
    cursor = cursor.of_type(type_)
    name = DIALECT.identifier(cursor.column)
    bound = dict(values) or None
    [(count,)] = connection.execute(
        f"SELECT count(*) FROM ({rows}) WHERE {name} IS NULL", bound
    ).fetchall()
    cursor.refuse_nulls(count)
    after = None if cursor.after is None else f"CAST({literal(cursor.after)} AS {type_})"
    if cursor.until is None:
        newer = f" WHERE {name} > {after}" if after else ""
        found = connection.execute(
            f"SELECT CAST({name} AS VARCHAR) FROM ({rows}){newer} ORDER BY {name} DESC LIMIT 1",
            bound,
        ).fetchone()
        cursor = cursor.up_to(None if found is None else str(found[0]))
    if cursor.until is None:
        return cursor, "FALSE"
    bounds = [f"{name} <= CAST({literal(cursor.until)} AS {type_})"]
    if after:
        bounds.append(f"{name} {'>=' if cursor.inclusive else '>'} {after}")
    return cursor, " AND ".join(bounds)
