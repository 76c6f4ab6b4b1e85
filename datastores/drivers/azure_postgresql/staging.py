"""Where rows wait for their publishing: a schema of our own, with a table of rows for each job.

Rows and the journal of parts are unlogged: after a crash of the server both are empty, together,
so that no part is taken for staged whose rows are gone. The journal of jobs is logged: what was
published is known for as long as its rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg

from datastores.drivers.azure_postgresql.catalog import DIALECT
from datastores.drivers.azure_postgresql.client import Connection
from datastores.drivers.sql.statements import SQLColumn
from datastores.values import TableName

_MARK = "made by datastores, and dropped when nothing is staged"
_JOBS = """
    job text PRIMARY KEY, target text NOT NULL,
    began timestamptz NOT NULL DEFAULT now(), published timestamptz
"""
_PARTS = """
    job text, part text, rows bigint NOT NULL, bytes bigint NOT NULL, PRIMARY KEY (job, part)
"""


def run(connection: Connection, statement: str, *values: Any) -> psycopg.Cursor[Any]:
    """Run a statement whose parameters are `$1`, `$2`: a name in it may hold a percent sign."""
    return psycopg.RawCursor(connection).execute(statement.encode(), values or None)


@dataclass(frozen=True, slots=True)
class Staging:
    """One job's place in the staging schema."""

    schema: str
    job: str

    def _table(self, name: str) -> str:
        return DIALECT.table(TableName(name, self.schema))

    @property
    def rows(self) -> str:
        """The quoted name of the table that holds the job's rows."""
        return self._table(f"rows_{self.job}")

    @property
    def parts(self) -> str:
        """The quoted name of the journal of parts."""
        return self._table("parts")

    @property
    def jobs(self) -> str:
        """The quoted name of the journal of jobs."""
        return self._table("jobs")

    def prepare(self, connection: Connection, columns: tuple[SQLColumn, ...], target: str) -> None:
        """Create what is missing, and enter the job. In a transaction."""
        self._lock(connection)
        schema = DIALECT.identifier(self.schema)
        listed = ", ".join(f"{DIALECT.identifier(one.name)} {one.type}" for one in columns)
        statements = [
            f"CREATE TABLE IF NOT EXISTS {self.jobs} ({_JOBS})",
            f"CREATE UNLOGGED TABLE IF NOT EXISTS {self.parts} ({_PARTS})",
            f"CREATE UNLOGGED TABLE IF NOT EXISTS {self.rows} ({listed})",
        ]
        if not self._exists(connection):
            statements[:0] = [
                f"CREATE SCHEMA {schema}",
                f"COMMENT ON SCHEMA {schema} IS '{_MARK}'",
            ]
        # The server says what exists already, and that is no warning here.
        connection.execute("SET LOCAL client_min_messages = warning")
        for statement in statements:
            run(connection, statement)
        run(
            connection,
            f"INSERT INTO {self.jobs} (job, target) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            self.job,
            target,
        )

    def remove(self, connection: Connection) -> None:
        """Drop the job's rows and entries, and the schema if it is ours and empty. In a transaction."""
        self._lock(connection)
        if not self._holds(connection, "jobs"):
            return
        connection.execute("SET LOCAL client_min_messages = warning")
        run(connection, f"DROP TABLE IF EXISTS {self.rows}")
        for journal in (self.parts, self.jobs):
            run(connection, f"DELETE FROM {journal} WHERE job = $1", self.job)
        [(left,)] = connection.execute(
            """
            SELECT count(*) FROM pg_catalog.pg_class c
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = %s AND c.relkind <> 'i' AND c.relname NOT IN ('jobs', 'parts')
            """,
            (self.schema,),
        ).fetchall()
        [(entries,)] = run(connection, f"SELECT count(*) FROM {self.jobs}").fetchall()
        if left or entries:
            return
        run(connection, f"DROP TABLE {self.parts}, {self.jobs}")
        [(ours,)] = connection.execute(
            "SELECT pg_catalog.obj_description(oid, 'pg_namespace') = %s FROM "
            "pg_catalog.pg_namespace WHERE nspname = %s",
            (_MARK, self.schema),
        ).fetchall()
        if ours:
            run(connection, f"DROP SCHEMA {DIALECT.identifier(self.schema)}")

    def _lock(self, connection: Connection) -> None:
        # One at a time creates or drops what jobs share; the lock ends with the transaction.
        connection.execute(
            "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(%s, 0))",
            (f"datastores:{self.schema}",),
        )

    def _exists(self, connection: Connection) -> bool:
        found = connection.execute(
            "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = %s", (self.schema,)
        ).fetchone()
        return found is not None

    def _holds(self, connection: Connection, name: str) -> bool:
        found = connection.execute(
            "SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n "
            "ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = %s",
            (self.schema, name),
        ).fetchone()
        return found is not None
