"""Where a table's rows lie on the server's disk."""

from __future__ import annotations

from dataclasses import dataclass

from datastores.drivers.azure_postgresql.connection import Connection
from datastores.values import TableName


@dataclass(frozen=True, slots=True, kw_only=True)
class Heap:
    """A table's own pages, or those of one of its partitions or children."""

    name: TableName
    oid: int
    pages: int
    bytes: int
    rows: int | None
    """An estimate, or None."""


def heaps_of(connection: Connection, oid: int) -> tuple[Heap, ...] | None:
    """Return the heaps of a table and of all that inherits from it; None if there is other storage."""
    rows = connection.execute(
        """
        WITH RECURSIVE tree AS (
            SELECT %s::oid AS oid
            UNION SELECT i.inhrelid FROM tree JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.oid
        )
        SELECT c.oid, n.nspname, c.relname, c.relkind = ANY(%s) AND a.amname = 'heap', c.reltuples,
            pg_catalog.pg_relation_size(c.oid), pg_catalog.current_setting('block_size')::bigint
        FROM tree JOIN pg_catalog.pg_class c ON c.oid = tree.oid
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_catalog.pg_am a ON a.oid = c.relam
        WHERE c.relkind <> 'p' ORDER BY c.oid
        """,
        (oid, ["r", "m"]),
    ).fetchall()
    if not all(row[3] for row in rows):
        return None
    return tuple(
        Heap(
            name=TableName(name, schema),
            oid=heap,
            pages=-(-size // page),
            bytes=size,
            # -1: it was never counted.
            rows=int(counted) if counted >= 0 else None,
        )
        for heap, schema, name, _, counted, size, page in rows
    )
