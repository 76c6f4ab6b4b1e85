"""What the server is asked before rows are divided: what it will read, and where a key's ranges begin."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from datastores.drivers.azure_postgresql.catalog import DIALECT, Column, Table
from datastores.drivers.azure_postgresql.connection import Connection
from datastores.drivers.azure_postgresql.splits import Bounds, is_null
from datastores.errors import SchemaMismatchError
from datastores.values import TableName

# So many values put a bound of four ranges within a percent or two of its place.
_SAMPLE_ROWS = 10_000
# From so many pages of a bigger table the sample is taken.
SAMPLE_PAGES = 1_000
# The type has no order, or the column no collation of its own.
UNORDERED = {"42809", "42883", "42P22"}
# Stable for the server, since a transaction keeps its time, and each reader has one of its own.
_CLOCKS = ["now", "transaction_timestamp", "statement_timestamp"]


@dataclass(frozen=True, slots=True)
class Reads:
    """What a SELECT reads, as the server plans it."""

    tables: frozenset[TableName]
    """Without the partitions that its filters rule out."""
    foreign: bool
    """Whether another server, which knows nothing of the snapshot, is asked."""


def planned_reads(connection: Connection, select: str) -> Reads:
    """Return what a SELECT will read, without running it.

    The tables stay locked until the transaction ends: a TRUNCATE between two splits would show in
    the second, whatever their snapshot.
    """
    [(found,)] = connection.execute(f"EXPLAIN (VERBOSE, FORMAT JSON) {select}".encode()).fetchall()
    nodes = list(_nodes(found[0]["Plan"]))
    return Reads(
        frozenset(
            TableName(one["Relation Name"], one["Schema"])
            for one in nodes
            # A function has a schema too.
            if "Relation Name" in one
        ),
        any(one["Node Type"] == "Foreign Scan" for one in nodes),
    )


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def changing_parts(connection: Connection, view: str) -> list[str]:
    """Return what in a view, or in one that it reads, may answer each reader differently.

    `view` is its quoted name. A LIMIT and a DISTINCT ON may pick other rows among equals each time. PostgreSQL notes no
    dependency on its own functions, so they are looked for in the view's tree.
    """
    rows = connection.execute(
        r"""
        WITH RECURSIVE views AS (
            SELECT %s::regclass::oid AS oid
            UNION SELECT d.refobjid FROM views JOIN pg_catalog.pg_rewrite r ON r.ev_class = views.oid
            JOIN pg_catalog.pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
                AND d.refclassid = 'pg_class'::regclass
        ), trees AS (
            SELECT r.ev_action::text AS tree FROM views
            JOIN pg_catalog.pg_rewrite r ON r.ev_class = views.oid WHERE r.ev_type = '1'
        ), calls AS (
            SELECT (pg_catalog.regexp_matches(tree, ':(?:funcid|opfuncid) (\d+)', 'g'))[1]::oid AS oid
            FROM trees
        )
        SELECT DISTINCT p.proname || '()' FROM calls JOIN pg_catalog.pg_proc p ON p.oid = calls.oid
        WHERE p.provolatile = 'v' OR p.proname = ANY(%s) AND p.pronamespace = 'pg_catalog'::regnamespace
        UNION SELECT word FROM trees JOIN (VALUES
            ('CURRENT_TIMESTAMP', 'SQLVALUEFUNCTION :op [0-8] '),
            ('LIMIT', ':limitCount \{'),
            ('DISTINCT ON', ':hasDistinctOn true')
        ) AS signs(word, sign) ON tree ~ sign
        ORDER BY 1
        """,
        (view, _CLOCKS),
    ).fetchall()
    return [name for (name,) in rows]


def sampled_source(table: Table, *, filtered: bool) -> str:
    """Return a table as a FROM names it, or a part of its pages if it is big and all rows count."""
    name = DIALECT.table(table.name)
    pages = sum(one.pages for one in table.heaps or ())
    if filtered or pages <= SAMPLE_PAGES:
        return name
    return f"{name} TABLESAMPLE SYSTEM ({100 * SAMPLE_PAGES / pages:.6f})"


def find_bounds(
    connection: Connection, key: Sequence[Column], splits: int, select: Callable[[str], str]
) -> Bounds:
    """Return the values that divide a key into at most `splits` ranges with equally many rows.

    The server sorts, by the operators that will compare rows with the bounds, so that no order
    but one matters. A key with a NULL is taken for the greatest.

    Args:
        connection: In the transaction of the snapshot.
        key: The columns.
        splits: How many ranges.
        select: Returns a SELECT over the rows, given its list of expressions.

    Raises:
        SchemaMismatchError: The server does not sort by these columns.
    """
    places = [f"key_{place}" for place in range(len(key))]
    listed = [
        f"{DIALECT.identifier(one.name)} AS {place}" for one, place in zip(key, places, strict=True)
    ]
    sample = select(", ".join([*listed, f"{is_null(key)} AS missing"]))
    names = ", ".join(["missing", *places])
    order = ", ".join(["missing", *(f"{place} USING <" for place in places)])
    # The type's own output: its cast to text may differ, as that of inet does.
    texts = ", ".join(f"pg_catalog.format('%s', {place})" for place in places)
    try:
        # First the least of each share, then each of these once, as the server tells values apart.
        rows = connection.execute(
            f"""
            SELECT DISTINCT ON ({names}) missing, {texts} FROM (
                SELECT DISTINCT ON (share) {names} FROM (
                    SELECT {names}, pg_catalog.ntile({splits:d}) OVER (ORDER BY {order}) AS share
                    FROM ({sample} ORDER BY pg_catalog.random() LIMIT {_SAMPLE_ROWS:d}) AS sample
                ) AS shared ORDER BY share, {order}
            ) AS firsts ORDER BY {order}
            """.encode()
        ).fetchall()
    except psycopg.Error as error:
        if error.sqlstate not in UNORDERED:
            raise
        raise SchemaMismatchError(
            f"PostgreSQL does not sort by {', '.join(one.name for one in key)}: {error.diag.message_primary}",
            advice="Name other columns with split_by",
        ) from error
    values = [tuple(texts) for missing, *texts in rows if not missing]
    return Bounds(tuple(values[1:]), nulls_apart=bool(values) and len(values) < len(rows))
