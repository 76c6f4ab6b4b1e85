"""Where rows wait for their publishing: a schema of our own, with journals of jobs and of their parts.

Rows that publishing copies are in a table for each attempt at a part, unlogged, and so is the
journal of those parts: after a crash of the server both are empty, together, so that no part is
taken for staged whose rows are gone. A table that publishing moves into its place holds the rows of
all parts, and is logged, and so is their journal. The journal of jobs is logged: what was published
is known for as long as its rows. So are the bookmarks of incremental copies, which stay.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC

from datastores.drivers.azure_postgresql.catalog import DIALECT
from datastores.drivers.azure_postgresql.connection import Connection, run
from datastores.drivers.azure_postgresql.new_table import NewTable
from datastores.drivers.increments import Bookmark
from datastores.drivers.journal import dump, load, receipt_values, receipts_of
from datastores.drivers.sql.statements import SQLColumn
from datastores.drivers.writing import JobEntry, JobState, Receipt, WriteRequest
from datastores.errors import PreconditionFailedError
from datastores.values import TableName

_MARK = "made by datastores, and dropped when nothing is staged"
_JOBS = """
    job text PRIMARY KEY, target text NOT NULL,
    journal text, began timestamptz NOT NULL DEFAULT now(), published timestamptz, receipts text
"""
_PARTS = """
    part text PRIMARY KEY, staged text NOT NULL, rows bigint NOT NULL, bytes bigint NOT NULL,
    note text NOT NULL, transaction bigint NOT NULL DEFAULT pg_catalog.txid_current()
"""
_BOOKMARKS = "name text PRIMARY KEY, text text NOT NULL"
# What jobs share: dropped when all of it is empty.
_SHARED = ("jobs", "bookmarks")
_ATTEMPT_DIGITS = 12
_KEY = "pg_catalog.hashtextextended($1, 0)"


def listed(columns: tuple[SQLColumn, ...]) -> str:
    """Return columns as CREATE TABLE declares them, without keys or NOT NULL."""
    return ", ".join(f"{DIALECT.identifier(one.name)} {one.type}" for one in columns)


@dataclass(frozen=True, slots=True)
class Staging:
    """One job's place in the staging schema."""

    schema: str
    job: str

    def _table(self, name: str) -> str:
        return DIALECT.table(TableName(name, self.schema))

    @property
    def parts(self) -> str:
        """The quoted name of the journal of this job's parts."""
        return self._table(self._parts)

    @property
    def aside(self) -> TableName:
        """The new table that is filled aside."""
        return TableName(f"table_{self.job}", self.schema)

    @property
    def jobs(self) -> str:
        """The quoted name of the journal of jobs."""
        return self._table("jobs")

    @property
    def bookmarks(self) -> str:
        """The quoted name of what incremental copies remember."""
        return self._table("bookmarks")

    def prepare(self, connection: Connection, request: WriteRequest, new: NewTable | None) -> None:
        """Create what is missing, and enter the job, unless an earlier call did. In a transaction.

        Args:
            connection: In a transaction.
            request: What is written.
            new: A table to be filled aside.
        """
        self._lock(connection)
        schema = DIALECT.identifier(self.schema)
        statements = [
            f"CREATE TABLE IF NOT EXISTS {self.jobs} ({_JOBS})",
            f"CREATE {'' if new else 'UNLOGGED'} TABLE IF NOT EXISTS {self.parts} ({_PARTS})",
        ]
        if request.bookmark is not None:
            statements.append(f"CREATE TABLE IF NOT EXISTS {self.bookmarks} ({_BOOKMARKS})")
        if not self._has_schema(connection):
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
            f"INSERT INTO {self.jobs} (job, target, journal) VALUES ($1, $2, $3) "
            "ON CONFLICT DO NOTHING",
            *(self.job, str(request.table), request.journal),
        )
        if new and not self._has(connection, self.aside.name):
            new.fill_aside(connection, self.aside)

    def create_rows(self, connection: Connection, columns: tuple[SQLColumn, ...]) -> str:
        """Create a table for one attempt at a part; return its quoted name. In a transaction."""
        attempt = uuid.uuid4().hex[:_ATTEMPT_DIGITS]
        table = self._table(f"{self._rows}{attempt}")
        run(connection, f"CREATE UNLOGGED TABLE {table} ({listed(columns)})")
        return table

    def enter(self, connection: Connection, table: str, receipt: Receipt) -> None:
        """Enter a part whose rows are in a table; of two attempts the second one fails."""
        run(
            connection,
            f"INSERT INTO {self.parts} (part, staged, rows, bytes, note) VALUES ($1, $2, $3, $4, $5)",
            *(receipt.part, table, receipt.rows, receipt.bytes, receipt.note),
        )

    def receipts(self, connection: Connection) -> tuple[Receipt, ...]:
        """Return those of the parts that are finished."""
        if not self._may_read(connection):
            return ()
        rows = run(connection, f"SELECT part, rows, bytes, note FROM {self.parts} ORDER BY part")
        return tuple(
            Receipt(part=part, rows=count, bytes=size, note=note)
            for part, count, size, note in rows.fetchall()
        )

    def entry(self, connection: Connection) -> JobEntry | None:
        """Return what is known of the job, or None."""
        return next(iter(entries(connection, self.schema, self.job)), None)

    def finish(
        self, connection: Connection, receipts: Sequence[Receipt], bookmark: Bookmark | None
    ) -> None:
        """Enter that the job is published, in the transaction that does it, and its bookmark.

        Raises:
            PreconditionFailedError: There is no such job any more, or another's bookmark.
        """
        if bookmark is not None:
            self._remember(connection, bookmark)
        entered = run(
            connection,
            f"UPDATE {self.jobs} SET published = now(), receipts = $2 WHERE job = $1",
            *(self.job, dump({"receipts": receipt_values(receipts)})),
        )
        if not entered.rowcount:
            raise self.lost("its staging", "publish")

    def _remember(self, connection: Connection, bookmark: Bookmark) -> None:
        # Both wait for a transaction that writes the same bookmark, and then see what it wrote.
        if bookmark.before is None:
            statement = (
                f"INSERT INTO {self.bookmarks} (name, text) VALUES ($1, $2) ON CONFLICT DO NOTHING"
            )
            values = [bookmark.name, bookmark.text]
        else:
            statement = f"UPDATE {self.bookmarks} SET text = $2 WHERE name = $1 AND text = $3"
            values = [bookmark.name, bookmark.text, bookmark.before]
        if not run(connection, statement, *values).rowcount:
            raise bookmark.moved()

    def bookmark(self, connection: Connection, name: str) -> str | None:
        """Return the text of a bookmark, or None."""
        if not self._has(connection, "bookmarks"):
            return None
        found = run(
            connection, f"SELECT text FROM {self.bookmarks} WHERE name = $1", name
        ).fetchone()
        return None if found is None else str(found[0])

    def lost(self, what: str, operation: str) -> PreconditionFailedError:
        """Return the error about what should be in the staging and is not."""
        return PreconditionFailedError(
            f"{what} of job {self.job} is not in the schema {self.schema!r}",
            driver=DIALECT.engine,
            operation=operation,
            advice="It was discarded, or the server stopped since: write it again",
        )

    def forget(self, connection: Connection, part: str) -> None:
        """Take a part out, and its rows. In a transaction."""
        found = run(
            connection,
            f"DELETE FROM {self.parts} WHERE part = $1 RETURNING staged, transaction",
            part,
        ).fetchone()
        if found is None:
            return
        staged, transaction = found
        if staged == DIALECT.table(self.aside):
            self._delete_rows(connection, transaction)
        else:
            run(connection, f"DROP TABLE {staged}")

    def _delete_rows(self, connection: Connection, transaction: int) -> None:
        """Delete what one transaction wrote into the table that is filled aside."""
        run(
            connection,
            f"DELETE FROM {DIALECT.table(self.aside)} WHERE xmin = $1::text::xid",
            # A row knows the last 32 bits of it.
            transaction % 2**32,
        )

    def keep_only(self, connection: Connection, parts: Collection[str]) -> None:
        """Leave in the table that is filled aside the rows of some parts. In a transaction."""
        self._end_attempts(connection)
        others = run(
            connection,
            f"DELETE FROM {self.parts} WHERE NOT part = ANY ($1) RETURNING transaction",
            list(parts),
        )
        for (transaction,) in others.fetchall():
            self._delete_rows(connection, transaction)

    def join(self, connection: Connection) -> None:
        """Show that the transaction is an attempt at a part, so that it can be ended from elsewhere."""
        run(
            connection,
            f"SELECT pg_catalog.pg_advisory_xact_lock_shared({_KEY})",
            self._attempts,
        )

    def _end_attempts(self, connection: Connection) -> None:
        """Let nobody hold the rows: an attempt that still runs is not needed any more."""
        run(
            connection,
            "SELECT pg_catalog.pg_terminate_backend(l.pid) FROM pg_catalog.pg_locks l "
            "JOIN pg_catalog.pg_stat_activity a USING (pid) WHERE l.locktype = 'advisory' "
            "AND l.objsubid = 1 AND a.datname = pg_catalog.current_database() "
            f"AND (l.classid::bigint << 32) | l.objid::bigint = {_KEY} "
            "AND l.pid <> pg_catalog.pg_backend_pid() AND a.usename = current_user",
            self._attempts,
        )

    def remove(self, connection: Connection) -> None:
        """Drop the job's rows and entries, and the schema if it is ours and empty. In a transaction."""
        self._lock(connection)
        if not self.exists(connection):
            return
        connection.execute("SET LOCAL client_min_messages = warning")
        self._end_attempts(connection)
        # The job's entry first: that waits for attempts that come to their end, and ends later ones.
        run(connection, f"DELETE FROM {self.jobs} WHERE job = $1", self.job)
        for name in self._tables(connection):
            run(connection, f"DROP TABLE {self._table(name)}")
        [(left,)] = connection.execute(
            """
            SELECT count(*) FROM pg_catalog.pg_class c
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = %s AND c.relkind <> 'i' AND NOT c.relname = ANY (%s)
            """,
            (self.schema, list(_SHARED)),
        ).fetchall()
        shared = [self._table(one) for one in _SHARED if self._has(connection, one)]
        entries = [run(connection, f"SELECT 1 FROM {one} LIMIT 1").fetchone() for one in shared]
        if left or any(entries):
            return
        for one in shared:
            run(connection, f"DROP TABLE {one}")
        [(ours,)] = connection.execute(
            "SELECT pg_catalog.obj_description(oid, 'pg_namespace') = %s FROM "
            "pg_catalog.pg_namespace WHERE nspname = %s",
            (_MARK, self.schema),
        ).fetchall()
        if ours:
            run(connection, f"DROP SCHEMA {DIALECT.identifier(self.schema)}")

    @property
    def _attempts(self) -> str:
        """What attempts at the job's parts lock."""
        return f"datastores:{self.schema}:{self.job}:attempts"

    @property
    def _rows(self) -> str:
        return f"rows_{self.job}_"

    @property
    def _parts(self) -> str:
        return f"parts_{self.job}"

    def _tables(self, connection: Connection) -> list[str]:
        """Return the names of the job's own tables."""
        found = connection.execute(
            # By its length too: another job's id may begin as this one's.
            "SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n "
            "ON n.oid = c.relnamespace WHERE n.nspname = %(schema)s AND c.relkind = 'r' "
            "AND (c.relname IN (%(parts)s, %(aside)s) "
            "OR (pg_catalog.starts_with(c.relname, %(rows)s) "
            "AND pg_catalog.length(c.relname) = pg_catalog.length(%(rows)s) + %(digits)s))",
            {
                "schema": self.schema,
                "parts": self._parts,
                "aside": self.aside.name,
                "rows": self._rows,
                "digits": _ATTEMPT_DIGITS,
            },
        )
        return [name for (name,) in found.fetchall()]

    def _may_read(self, connection: Connection) -> bool:
        """Return whether there are parts, and this role may look at them."""
        [(may,)] = run(
            connection,
            "SELECT pg_catalog.has_table_privilege(pg_catalog.to_regclass($1), 'SELECT')",
            self.parts,
        ).fetchall()
        return bool(may)

    def _lock(self, connection: Connection) -> None:
        # One at a time creates or drops what jobs share; the lock ends with the transaction.
        connection.execute(
            "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(%s, 0))",
            (f"datastores:{self.schema}",),
        )

    def exists(self, connection: Connection) -> bool:
        """Return whether there is a journal of jobs."""
        return self._has(connection, "jobs")

    def _has(self, connection: Connection, table: str) -> bool:
        found = connection.execute(
            "SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n "
            "ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = %s",
            (self.schema, table),
        ).fetchone()
        return found is not None

    def _has_schema(self, connection: Connection) -> bool:
        found = connection.execute(
            "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = %s", (self.schema,)
        ).fetchone()
        return found is not None


def entries(connection: Connection, schema: str, job: str | None = None) -> list[JobEntry]:
    """Return what is known of all jobs or of one, the oldest first."""
    staging = Staging(schema, "")
    if not staging.exists(connection):
        return []
    rows = run(
        connection,
        f"SELECT job, target, coalesce(journal, ''), receipts, began FROM {staging.jobs} "
        "WHERE $1::text IS NULL OR job = $1 ORDER BY began, job",
        job,
    ).fetchall()
    found = []
    for name, target, journal, published, began in rows:
        if published is None:
            state, receipts = JobState.WRITING, Staging(schema, name).receipts(connection)
        else:
            state = JobState.PUBLISHED
            receipts = receipts_of(load(published, f"the journal of job {name}")["receipts"])
        found.append(
            JobEntry(
                job=name,
                target=target,
                state=state,
                journal=journal,
                receipts=receipts,
                began=began.astimezone(UTC),
            )
        )
    return found
