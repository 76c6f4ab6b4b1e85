"""Which rows are new by the values of one column, as the server orders and prints them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import psycopg

from datastores.drivers.azure_postgresql.catalog import DIALECT, Column
from datastores.drivers.azure_postgresql.connection import Connection
from datastores.drivers.azure_postgresql.sampling import UNORDERED
from datastores.drivers.azure_postgresql.splits import comparison, is_null
from datastores.drivers.increments import CursorRange
from datastores.errors import SchemaMismatchError


def find_range(
    connection: Connection,
    cursor: CursorRange,
    columns: Sequence[Column],
    select: Callable[..., str],
) -> tuple[CursorRange, str]:
    """Return a range with its end, and the condition that its rows meet.

    Args:
        connection: In the transaction of the snapshot.
        cursor: As it was asked for.
        columns: That there are.
        select: Returns a SELECT over the rows, given its list of expressions and conditions.

    Raises:
        SchemaMismatchError: There is no such column, or the server does not sort by it.
        DataError: A row has no value there, or the greatest is none that another can follow.
    """
    key = [one for one in columns if one.name == cursor.column]
    if not key:
        raise SchemaMismatchError(
            f"there is no cursor column {cursor.column!r}",
            advice=f"The columns are {', '.join(one.name for one in columns)}",
        )
    cursor = cursor.of_type(key[0].type)
    missing = select("pg_catalog.count(*)", is_null(key))
    [(count,)] = connection.execute(missing.encode()).fetchall()
    cursor.refuse_nulls(count)
    if cursor.until is None:
        cursor = cursor.up_to(_greatest(connection, cursor, key, select))
    return cursor, _condition(cursor, key)


def _greatest(
    connection: Connection, cursor: CursorRange, key: Sequence[Column], select: Callable[..., str]
) -> str | None:
    """Return the greatest new value; None if there is none."""
    name = DIALECT.identifier(cursor.column)
    newer = f"NOT {is_null(key)}" if cursor.after is None else comparison(key, ">", (cursor.after,))
    # The type's own output: its cast to text may differ, as that of inet does.
    rows = select(f"pg_catalog.format('%s', {name})", newer)
    try:
        found = connection.execute(f"{rows} ORDER BY {name} DESC LIMIT 1".encode()).fetchone()
    except psycopg.Error as error:
        if error.sqlstate not in UNORDERED:
            raise
        raise SchemaMismatchError(
            f"PostgreSQL does not sort by {cursor.column!r}: {error.diag.message_primary}",
            advice="Name another column as the cursor",
        ) from error
    return None if found is None else str(found[0])


def _condition(cursor: CursorRange, key: Sequence[Column]) -> str:
    if cursor.until is None:
        return "FALSE"
    bounds = [comparison(key, "<=", (cursor.until,))]
    if cursor.after is not None:
        bounds.append(comparison(key, ">=" if cursor.inclusive else ">", (cursor.after,)))
    return " AND ".join(bounds)
