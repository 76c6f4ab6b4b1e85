"""What incremental copies remember: a table beside the journal, written by the transaction that publishes."""

from __future__ import annotations

import duckdb

from datastores.drivers.duckdb.catalog import DIALECT, JOURNAL_SCHEMA
from datastores.drivers.increments import Bookmark
from datastores.values import TableName

_BOOKMARKS = DIALECT.table(TableName("bookmarks", JOURNAL_SCHEMA))


def find_bookmark(cursor: duckdb.DuckDBPyConnection, name: str) -> str | None:
    """Return the text of a bookmark, or None."""
    there = cursor.execute(
        "SELECT 1 FROM duckdb_tables() WHERE database_name = current_database() "
        "AND schema_name = $schema AND table_name = 'bookmarks'",
        {"schema": JOURNAL_SCHEMA},
    ).fetchall()
    find = f"SELECT text FROM {_BOOKMARKS} WHERE name = $name"
    found = cursor.execute(find, {"name": name}).fetchone() if there else None
    return None if found is None else str(found[0])


def remember(cursor: duckdb.DuckDBPyConnection, bookmark: Bookmark) -> None:
    """Put a bookmark's text in place of the one before; of two transactions at once one fails.

    Raises:
        PreconditionFailedError: There is another text than the one before.
    """
    if find_bookmark(cursor, bookmark.name) != bookmark.before:
        raise bookmark.moved()
    cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {DIALECT.identifier(JOURNAL_SCHEMA)}")
    cursor.execute(
        f"CREATE TABLE IF NOT EXISTS {_BOOKMARKS} (name VARCHAR PRIMARY KEY, text VARCHAR NOT NULL)"
    )
    cursor.execute(
        f"INSERT OR REPLACE INTO {_BOOKMARKS} VALUES ($name, $text)",
        {"name": bookmark.name, "text": bookmark.text},
    )
