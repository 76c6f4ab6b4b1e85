"""What publishing does to a target, inside one transaction: create or lock it, empty it, fill it.

A table that exists is neither dropped nor renamed, so that all that hangs on it stays: grants,
indexes, constraints, views, triggers, and foreign keys both ways.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import psycopg

from datastores.drivers.azure_postgresql.catalog import DIALECT, find_table, qualified
from datastores.drivers.azure_postgresql.connection import Connection, run
from datastores.drivers.azure_postgresql.errors import sentence
from datastores.drivers.azure_postgresql.plan import Prepared, resolve
from datastores.drivers.sql.statements import Publish, duplicate_keys
from datastores.drivers.writing import WriteRequest
from datastores.errors import (
    ConflictError,
    DataError,
    DatastoreError,
    PreconditionFailedError,
    SchemaMismatchError,
)
from datastores.values import TableName, WriteMode

# Modes that take rows away or change them keep other writers out until they commit; never readers.
_LOCKING = (WriteMode.REPLACE, WriteMode.UPSERT, WriteMode.REPLACE_PARTITIONS)


@dataclass(frozen=True, slots=True)
class Target:
    """The table that one write is for."""

    request: WriteRequest
    prepared: Prepared

    @property
    def name(self) -> str:
        """Its quoted name."""
        return DIALECT.table(qualified(self.request.table))

    def open(self, connection: Connection) -> None:
        """Create the table, or check that it is still what the write was planned for."""
        now = self._checked(connection)
        for statement in now.new.statements if now.new else now.evolution.statements:
            run(connection, statement)

    def take(self, connection: Connection, aside: TableName, expected: int) -> None:
        """Move a table that was filled aside into its place; its rows only, if there is one by now."""
        if new := self._checked(connection).new:
            new.move_in(connection, aside)
        else:
            self.fill(connection, [DIALECT.table(aside)], expected)

    def _checked(self, connection: Connection) -> Prepared:
        """Return how the write meets the table now, which is as it was planned."""
        request = self.request
        planned = self.prepared.evolution.statements
        table = find_table(connection, request.table)
        if table is None:
            self._wait_for_creator(connection)
        elif planned:
            # At once the lock that ALTER takes: another write that alters it waits here.
            run(connection, f"LOCK TABLE {self.name} IN ACCESS EXCLUSIVE MODE")
        elif request.mode in _LOCKING:
            run(connection, f"LOCK TABLE {self.name} IN SHARE ROW EXCLUSIVE MODE")
        try:
            now = self._resolved(connection)
        except SchemaMismatchError as error:
            if planned:
                raise self._altered(f": {error.message}") from error
            raise
        detour = now.detour is not None and self.prepared.detour is None
        unplanned = set(now.evolution.statements) - set(planned)
        if now.columns != self.prepared.columns or detour or unplanned:
            raise self._altered()
        return now

    def _resolved(self, connection: Connection) -> Prepared:
        """Return how the write meets the table as it is now."""
        table = find_table(connection, self.request.table)
        now = resolve(connection, table, self.request)
        if now.enums:
            # One at a time creates what tables share: who comes second finds it there.
            _lock(connection, "datastores creates enums")
            now = resolve(connection, table, self.request)
        return now

    def _altered(self, why: str = "") -> DatastoreError:
        # A write that alters the table too fits it once it is planned again.
        altering = self.prepared.evolution.statements
        return (ConflictError if altering else PreconditionFailedError)(
            f"{self.request.table} was altered while its rows were written{why}",
            driver=DIALECT.engine,
            target=str(self.request.table),
            advice="Write again; nothing was changed",
        )

    def clear(self, connection: Connection) -> None:
        """Delete the rows that new ones are copied in for, if the mode is `replace`."""
        if statement := self._publish.clear("", DIALECT):
            run(connection, statement)

    def fill(self, connection: Connection, relations: Iterable[str], expected: int) -> None:
        """Move the rows of relations into the table, in place of those that the mode replaces."""
        listed = ", ".join(one.selected for one in self.prepared.columns)
        rows = " UNION ALL ".join(f"SELECT {listed} FROM {one}" for one in relations)
        rows = rows or f"SELECT {self._nothing} WHERE false"
        try:
            # Undone alone, so that the column that would not convert can be looked for.
            with connection.transaction():
                self._fill(connection, rows, expected)
        except psycopg.DataError as error:
            if named := self._named(connection, error, rows):
                raise named from error
            raise

    def _fill(self, connection: Connection, rows: str, expected: int) -> None:
        request = self.request
        if request.mode == WriteMode.UPSERT:
            self._refuse_duplicates(connection, rows)
        partitions = ""
        if request.mode == WriteMode.REPLACE_PARTITIONS:
            names = DIALECT.columns(request.partition_by)
            partitions = f"(SELECT DISTINCT {names} FROM ({rows}) AS staged)"
        clear = self._publish.clear(partitions, DIALECT)
        at_once = clear is not None and self.prepared.referenced
        if at_once:
            # Foreign keys are looked at when a statement ends: a key that is gone and there again
            # is none that is missing. The count makes the DELETE go first.
            rows = f"SELECT * FROM ({rows}) AS staged WHERE (SELECT count(*) FROM gone) >= 0"
        elif clear:
            run(connection, clear)
        # What the data says goes, also for a column that would number itself.
        statement = self._publish.insert(f"OVERRIDING SYSTEM VALUE {rows}", DIALECT)
        if at_once:
            statement = f"WITH gone AS ({clear} RETURNING 1) {statement}"
        taken = run(connection, statement).rowcount
        # With nothing but keys, rows that are there already are left as they are.
        if request.mode != WriteMode.UPSERT or set(request.schema.names) != set(request.keys):
            self.check_taken(taken, expected)

    def check_taken(self, taken: int, expected: int) -> None:
        """Refuse that the table took fewer rows than it was given."""
        if taken != expected:
            raise PreconditionFailedError(
                f"{self.request.table} took {taken:,} rows of {expected:,}",
                driver=DIALECT.engine,
                target=str(self.request.table),
                advice="A trigger or rule of the table drops rows; nothing was changed",
            )

    @property
    def _nothing(self) -> str:
        return ", ".join(
            f"CAST(NULL AS {one.bare}) AS {DIALECT.identifier(one.name)}"
            for one in self.prepared.columns
        )

    @property
    def _publish(self) -> Publish:
        return Publish(
            table=qualified(self.request.table),
            columns=tuple(self.request.schema.names),
            mode=self.request.mode,
            keys=self.request.keys,
            partition_by=self.request.partition_by,
        )

    def _wait_for_creator(self, connection: Connection) -> None:
        """Wait for another write that creates the same table or schema: it shows when it commits."""
        table = qualified(self.request.table)
        schema = connection.execute(
            "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = %s", (table.schema,)
        ).fetchone()
        _lock(connection, f"datastores creates {table if schema else table.schema}")

    def _refuse_duplicates(self, connection: Connection, rows: str) -> None:
        keys = self.request.keys
        found = run(connection, duplicate_keys(rows, keys, DIALECT)).fetchone()
        if found:
            key = ", ".join(f"{name} = {value!r}" for name, value in zip(keys, found, strict=True))
            why = "has a NULL in it" if None in found else "is there more than once"
            raise DataError(
                f"the key {key} {why} in the data",
                driver=DIALECT.engine,
                target=str(self.request.table),
                advice="Each key may be there once, and none is NULL; nothing was changed",
            )

    def _named(
        self, connection: Connection, error: psycopg.DataError, rows: str
    ) -> DataError | None:
        """Return the error with the column that PostgreSQL could not convert, if it was that."""
        for one in self.prepared.columns:
            if not one.mapped.as_text:
                continue
            try:
                with connection.transaction():
                    run(
                        connection,
                        f"SELECT count({DIALECT.identifier(one.name)}) FROM ({rows}) AS staged",
                    )
            except psycopg.DataError:
                return DataError(
                    f"column {one.name!r}: {sentence(error)}",
                    driver=DIALECT.engine,
                    operation="publish",
                    target=str(self.request.table),
                    advice="Convert it, or leave the row out; nothing was changed",
                )
        return None


def _lock(connection: Connection, what: str) -> None:
    """Let one transaction at a time do something."""
    connection.execute(
        "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(%s, 0))", (what,)
    )
