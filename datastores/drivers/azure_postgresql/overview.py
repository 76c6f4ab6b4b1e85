"""What the catalogue says of many tables at once: whose rows they hold, and which refer to which."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping

from datastores.drivers.azure_postgresql.catalog import DIALECT, qualified, tables
from datastores.drivers.azure_postgresql.connection import Connection
from datastores.drivers.base import TableFacts
from datastores.values import TableName

_VIEWS: Mapping[str, str] = {"v": "a view", "m": "a materialized view"}


def describe_tables(connection: Connection, namespace: str | None, hidden: str) -> list[TableFacts]:
    """Return tables and views as `catalog.tables` does, with what the catalogue says of them."""
    refers_to = _references(connection)
    computed, not_its_own = {}, {}
    for schema, name, kind, columns, parent in connection.execute(
        """
        SELECT n.nspname, c.relname, c.relkind, ARRAY(
            SELECT a.attname::text FROM pg_catalog.pg_attribute a
            WHERE a.attrelid = c.oid AND a.attgenerated <> '' AND NOT a.attisdropped
            ORDER BY a.attnum
        ), (
            SELECT pg_catalog.format('%%s.%%s', m.nspname, p.relname)
            FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class p ON p.oid = i.inhparent
            JOIN pg_catalog.pg_namespace m ON m.oid = p.relnamespace
            WHERE i.inhrelid = c.oid ORDER BY i.inhseqno LIMIT 1
        )
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE NOT c.relispartition AND (%(schema)s::text IS NULL OR n.nspname = %(schema)s)
        """,
        {"schema": namespace},
    ).fetchall():
        table = TableName(name, schema)
        computed[table] = tuple(columns)
        inherited = f"a child of {parent}, which shows its rows" if parent else None
        not_its_own[table] = _VIEWS.get(kind, inherited)
    return [
        TableFacts(
            table=one,
            refers_to=tuple(sorted(refers_to[one], key=str)),
            computed=computed.get(one, ()),
            not_its_own=not_its_own.get(one),
        )
        for one in tables(connection, namespace, hidden)
    ]


def lockable(connection: Connection, names: Collection[TableName]) -> list[str]:
    """Return the quoted names of those that are tables, and no views or foreign ones."""
    wanted = {qualified(one) for one in names}
    rows = connection.execute(
        "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c "
        "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') "
        "AND n.nspname = ANY(%s)",
        (list({one.schema for one in wanted}),),
    ).fetchall()
    found = {TableName(name, schema) for schema, name in rows}
    return sorted(DIALECT.table(one) for one in wanted & found)


def _references(connection: Connection) -> Mapping[TableName, set[TableName]]:
    """Return which tables each table's foreign keys point at; a partition's are its table's."""
    found: Mapping[TableName, set[TableName]] = defaultdict(set)
    for schema, name, other_schema, other in connection.execute(
        """
        SELECT n.nspname, c.relname, m.nspname, d.relname FROM pg_catalog.pg_constraint k
        JOIN pg_catalog.pg_class c
            ON c.oid = coalesce(pg_catalog.pg_partition_root(k.conrelid), k.conrelid)
        JOIN pg_catalog.pg_class d
            ON d.oid = coalesce(pg_catalog.pg_partition_root(k.confrelid), k.confrelid)
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_catalog.pg_namespace m ON m.oid = d.relnamespace
        WHERE k.contype = 'f'
        """
    ).fetchall():
        found[TableName(name, schema)].add(TableName(other, other_schema))
    return found
