"""One consistent view of a database: exported by one connection, shared by others."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from psycopg import sql

from datastores.drivers.azure_postgresql.catalog import DIALECT
from datastores.drivers.azure_postgresql.client import Client
from datastores.drivers.azure_postgresql.connection import Connection
from datastores.errors import ConnectionFailedError, PreconditionFailedError

# "invalid snapshot identifier" up to PostgreSQL 15, "snapshot does not exist" since 16.
_NO_SNAPSHOT = {"22023", "42704"}
_ONE_STATE = "ISOLATION LEVEL REPEATABLE READ READ ONLY"
# The plan's own connection holds what a reader needs locked, so that a lock which the reader waits
# for is one that waits for the plan: neither would ever be given.
LOCK_TIMEOUT = "5s"


def export_snapshot(connection: Connection, locked: Sequence[str] = ()) -> str:
    """Begin a read-only transaction that stays open, and return the name of its snapshot.

    Args:
        connection: Idle.
        locked: Quoted names of tables that are to be locked as by a reader: a TRUNCATE would show
            in the snapshot.
    """
    connection.begin(_ONE_STATE)
    # The first SELECT takes the snapshot, so the locks come before it.
    if locked:
        connection.execute(f"LOCK TABLE {', '.join(locked)} IN ACCESS SHARE MODE".encode())
    connection.keep_open()
    [(name,)] = connection.execute("SELECT pg_catalog.pg_export_snapshot()").fetchall()
    return str(name)


def share(client: Client, connection: Connection, snapshot: str) -> None:
    """Begin a transaction under a snapshot that another connection exported.

    Raises:
        PreconditionFailedError: Its plan was closed.
        ConnectionFailedError: The connection that kept it is gone.
    """
    try:
        connection.begin(_ONE_STATE)
        connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(LOCK_TIMEOUT))
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
