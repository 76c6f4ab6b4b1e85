"""Which jobs live, and the end of those that do not: a process that is killed leaves its staging.

Who begins a job holds a lock on its name, in a transaction that stays open until the job is
discarded; the server lets go of it when the process is gone. A lock of the session would not need
the transaction, and would get lost behind a pooler.
"""

from __future__ import annotations

from datastores.drivers.azure_postgresql.catalog import DIALECT
from datastores.drivers.azure_postgresql.client import Client
from datastores.drivers.azure_postgresql.connection import Connection, run
from datastores.drivers.azure_postgresql.staging import Staging, entries
from datastores.drivers.writing import JobEntry
from datastores.errors import ConflictError


def hold(client: Client, staging: Staging, *, alone: bool) -> None:
    """Show that a job lives, until `client.pool.release` of its name.

    Args:
        client: Keeps the connection that shows it.
        staging: The job's.
        alone: Whether nobody else may be at the same job; else only `clean` is kept out.

    Raises:
        ConflictError: Somebody is.
    """
    if client.pool.holds(staging.job):
        if alone:
            raise _conflict(staging)
        return

    def held(connection: Connection) -> None:
        connection.begin("READ ONLY")
        connection.keep_open()
        claim(connection, staging, alone=alone)
        client.pool.hold(staging.job, connection)

    client.repeated("begin", None, held)


def claim(connection: Connection, staging: Staging, *, alone: bool = True) -> None:
    """Show that a job lives, until the connection's transaction ends.

    Raises:
        ConflictError: Somebody else does.
    """
    shared = "" if alone else "_shared"
    [(given,)] = run(
        connection,
        f"SELECT pg_catalog.pg_try_advisory_xact_lock{shared}({_KEY})",
        _key(staging),
    ).fetchall()
    if not given:
        raise _conflict(staging)


def _conflict(staging: Staging) -> ConflictError:
    return ConflictError(
        f"job {staging.job} is being written by somebody else",
        driver=DIALECT.engine,
        operation="begin",
        advice="Wait until that is over, or give another job=",
    )


def end(client: Client, staging: Staging) -> None:
    """Remove a job, and let go of it; what could not be removed is left for `clean`."""
    try:
        with client.transaction("discard", staging.job) as connection:
            staging.remove(connection)
    finally:
        client.pool.release(staging.job)


def clean(client: Client) -> list[JobEntry]:
    """Remove the staging of each job that nobody holds, and return what it was."""
    schema = client.config.staging_schema

    def ours(connection: Connection) -> list[JobEntry]:
        if not Staging(schema, "").exists(connection):
            return []
        mine = _mine(connection, schema)
        return [one for one in entries(connection, schema) if one.job in mine]

    found = client.look("clean", schema, ours)
    return [one for one in found if _removed(client, Staging(schema, one.job))]


def _mine(connection: Connection, schema: str) -> set[str]:
    """Return the jobs whose staging is ours to drop."""
    jobs = Staging(schema, "").jobs
    rows = run(
        connection,
        f"""
        SELECT job FROM {jobs} LEFT JOIN (
            pg_catalog.pg_class c
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = $1
        ) ON c.relkind = 'r' AND (c.relname IN ('table_' || job, 'parts_' || job)
            OR pg_catalog.starts_with(c.relname, 'rows_' || job || '_'))
        WHERE pg_catalog.has_table_privilege($2, 'DELETE')
        GROUP BY job HAVING coalesce(bool_and(pg_catalog.pg_has_role(c.relowner, 'USAGE')), true)
        """,
        *(schema, jobs),
    ).fetchall()
    return {job for (job,) in rows}


def _removed(client: Client, staging: Staging) -> bool:
    with client.transaction("clean", staging.job) as connection:
        [(dead,)] = run(
            connection, f"SELECT pg_catalog.pg_try_advisory_xact_lock({_KEY})", _key(staging)
        ).fetchall()
        if dead:
            staging.remove(connection)
    return bool(dead)


_KEY = "pg_catalog.hashtextextended($1, 0)"


def _key(staging: Staging) -> str:
    return f"datastores:{staging.schema}:{staging.job}"
