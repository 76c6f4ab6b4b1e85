"""Foreign keys that point at a table: what they do, and forbid, when its rows go."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import psycopg

from datastores.drivers.azure_postgresql.connection import Connection
from datastores.drivers.writing import WriteRequest
from datastores.errors import PreconditionFailedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A foreign key that points at a table."""

    name: str
    table: str
    """Whose it is, with its schema, quoted."""
    given: str
    """A condition: a row of that table does refer to one of this."""
    on_delete: str
    """`a` no action, `r` restrict, `c` cascade, `n` set null, `d` set default."""

    @property
    def cascades(self) -> bool:
        """Whether it changes its own table when rows go from the other one."""
        return self.on_delete in {"c", "n", "d"}

    @property
    def restricts(self) -> bool:
        """Whether no row may go that is referred to, not even for an equal one."""
        return self.on_delete == "r"


def find_references(connection: Connection, oid: int) -> tuple[Reference, ...]:
    """Return the foreign keys that point at a table, its own among them."""
    rows = connection.execute(
        """
        SELECT k.conname, pg_catalog.format('%%I.%%I', n.nspname, c.relname), k.confdeltype,
            (SELECT pg_catalog.string_agg(pg_catalog.format('%%I IS NOT NULL', a.attname), ' AND ')
             FROM pg_catalog.pg_attribute a
             WHERE a.attrelid = k.conrelid AND a.attnum = ANY(k.conkey))
        FROM pg_catalog.pg_constraint k
        JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE k.confrelid = %s AND k.contype = 'f' ORDER BY k.conparentid <> 0, k.conname
        """,
        (oid,),
    ).fetchall()
    return tuple(
        Reference(name=name, table=table, given=given, on_delete=action)
        for name, table, action, given in rows
    )


def refers(connection: Connection, reference: Reference) -> bool:
    """Return whether a row holds a reference; False if this role may not look. In a transaction."""
    query = f"SELECT EXISTS (SELECT 1 FROM {reference.table} WHERE {reference.given})"
    try:
        with connection.transaction():
            # Without parameters, so that a percent sign in a name is one.
            [(found,)] = connection.execute(query.encode()).fetchall()
    except psycopg.errors.InsufficientPrivilege:
        return False
    return bool(found)


def check_references(
    connection: Connection, references: Iterable[Reference], request: WriteRequest
) -> None:
    """Refuse to delete rows that a foreign key would take others with, or would not let go."""
    for one in references:
        if one.cascades:
            why = (
                f"the foreign key {one.name!r} points at {request.table} and would change or "
                "delete rows of its own table"
            )
        elif one.restricts and refers(connection, one):
            why = (
                f"rows of {one.table} refer to {request.table}, and the foreign key {one.name!r} "
                "lets none of those go, not even for an equal one"
            )
        else:
            continue
        raise PreconditionFailedError(
            why,
            driver="azure_postgresql",
            target=str(request.table),
            advice="Use upsert or append, or make the foreign key ON DELETE NO ACTION",
        )
