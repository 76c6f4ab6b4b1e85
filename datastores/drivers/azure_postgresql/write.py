"""Writing: parts by binary COPY into staging, and one transaction that publishes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import psycopg
import pyarrow as pa
from psycopg import sql
from typing_extensions import override

from datastores.drivers.azure_postgresql.catalog import DIALECT, find_table, qualified
from datastores.drivers.azure_postgresql.client import Client, Connection
from datastores.drivers.azure_postgresql.codec import Encoder, Layout
from datastores.drivers.azure_postgresql.plan import Prepared, prepare, resolve
from datastores.drivers.azure_postgresql.staging import Staging, run
from datastores.drivers.base import Receipt, WriteRequest, WriteSession
from datastores.drivers.sql.statements import Publish, SQLColumn, duplicate_keys
from datastores.errors import (
    DataError,
    PreconditionFailedError,
    SchemaMismatchError,
)
from datastores.types.fields import without_metadata
from datastores.values import WriteMode

_UNIQUE_VIOLATION = "23505"
# Modes that take rows away or change them keep other writers out until they commit; never readers.
_LOCKING = (WriteMode.REPLACE, WriteMode.UPSERT, WriteMode.REPLACE_PARTITIONS)
_TEXT = Layout(kind="text", arrow=pa.string())


def begin(client: Client, request: WriteRequest) -> PostgreSQLWriteSession:
    """Check a write, and create its staging."""
    prepared = prepare(client, request)
    session = PostgreSQLWriteSession(client, request, prepared)
    declared = tuple(SQLColumn(name=one.name, type=one.mapped.wire) for one in prepared.columns)
    with client.transaction("begin", str(request.table)) as connection:
        session.staging.prepare(
            connection,
            (*declared, SQLColumn(name=session.part_column, type="text")),
            str(request.table),
        )
    return session


@dataclass(frozen=True, slots=True)
class PostgreSQLWriteSession(WriteSession):
    """One write, through connections of its own."""

    client: Client
    request: WriteRequest
    prepared: Prepared

    @property
    def staging(self) -> Staging:
        """Where this job's rows are."""
        return Staging(self.client.config.staging_schema, self.request.job)

    @property
    def part_column(self) -> str:
        """The staging column that says which part a row is of."""
        name = "datastores_part"
        while name in self.request.schema.names:
            name += "_"
        return name

    @override
    def write(self, part: str, batches: pa.RecordBatchReader) -> Receipt:
        if without_metadata(batches.schema) != without_metadata(self.request.schema):
            raise SchemaMismatchError(
                f"part {part!r} does not have the schema that the write was begun with",
                target=str(self.request.table),
            )
        with self.client.connection("write", str(self.request.table)) as connection:
            try:
                with connection.transaction():
                    rows, size = self._stage(connection, part, batches)
                    run(
                        connection,
                        f"INSERT INTO {self.staging.parts} VALUES ($1, $2, $3, $4)",
                        *(self.request.job, part, rows, size),
                    )
            except psycopg.Error as error:
                if error.sqlstate != _UNIQUE_VIOLATION:
                    raise
                # Another attempt at this part was there first: its rows count, ours are gone.
                return self._receipt(connection, part)
        return Receipt(part=part, rows=rows, bytes=size)

    def _stage(
        self, connection: Connection, part: str, batches: pa.RecordBatchReader
    ) -> tuple[int, int]:
        names = (*self.request.schema.names, self.part_column)
        statement = (
            f"COPY {self.staging.rows} ({DIALECT.columns(names)}) FROM STDIN (FORMAT binary)"
        )
        layouts = [(one.name, one.mapped.layout) for one in self.prepared.columns]
        encoder = Encoder([*layouts, (self.part_column, _TEXT)])
        size = 0
        with connection.cursor() as cursor:
            with cursor.copy(statement.encode()) as copy:
                for message in encoder.messages(self._converted(part, batches)):
                    size += len(message)
                    copy.write(message)
            return cursor.rowcount, size

    def _converted(self, part: str, batches: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        names = [*self.request.schema.names, self.part_column]
        for batch in batches:
            arrays = [
                one.to_wire(array)
                for one, array in zip(self.prepared.columns, batch.columns, strict=True)
            ]
            marks = pa.repeat(pa.scalar(part), batch.num_rows)
            yield pa.RecordBatch.from_arrays([*arrays, marks], names=names)

    def _receipt(self, connection: Connection, part: str) -> Receipt:
        [(rows, size)] = run(
            connection,
            f"SELECT rows, bytes FROM {self.staging.parts} WHERE job = $1 AND part = $2",
            *(self.request.job, part),
        ).fetchall()
        return Receipt(part=part, rows=rows, bytes=size)

    @override
    def publish(self, receipts: Sequence[Receipt]) -> None:
        parts = {receipt.part: receipt for receipt in receipts}
        target = str(self.request.table)
        try:
            with self.client.transaction("publish", target) as connection:
                if not self._is_published(connection):
                    self._check_parts(connection, parts)
                    self._publish(connection, parts)
        except DataError as error:
            if named := self._named(error, list(parts)):
                raise named from error
            raise

    def _is_published(self, connection: Connection) -> bool:
        """Look at the job's entry, and let no one else publish it meanwhile."""
        try:
            entry = run(
                connection,
                f"SELECT published IS NOT NULL FROM {self.staging.jobs} WHERE job = $1 FOR UPDATE",
                self.request.job,
            ).fetchone()
        except psycopg.errors.UndefinedTable:
            entry = None
        if entry is None:
            raise self._lost("its staging")
        return bool(entry[0])

    def _check_parts(self, connection: Connection, parts: dict[str, Receipt]) -> None:
        entries = run(
            connection,
            f"SELECT part, rows FROM {self.staging.parts} WHERE job = $1",
            self.request.job,
        )
        staged: dict[str, int] = dict(entries.fetchall())
        for part, receipt in parts.items():
            if staged.get(part) != receipt.rows:
                raise self._lost(f"part {part!r}")

    def _lost(self, what: str) -> PreconditionFailedError:
        return PreconditionFailedError(
            f"{what} of job {self.request.job} is not in the schema {self.staging.schema!r}",
            driver=DIALECT.engine,
            operation="publish",
            target=str(self.request.table),
            advice="It was discarded, or the server stopped since: write it again",
        )

    def _publish(self, connection: Connection, parts: dict[str, Receipt]) -> None:
        request = self.request
        self._prepare_target(connection)
        publish = Publish(
            table=qualified(request.table),
            columns=tuple(request.schema.names),
            mode=request.mode,
            keys=request.keys,
            partition_by=request.partition_by,
        )
        rows = self._rows(connection, list(parts))
        if request.mode == WriteMode.UPSERT:
            self._refuse_duplicates(connection, rows)
        partitions = ""
        if request.mode == WriteMode.REPLACE_PARTITIONS:
            names = DIALECT.columns(request.partition_by)
            partitions = f"(SELECT DISTINCT {names} FROM ({rows}) AS staged)"
        # Foreign keys that can wait look at the table as it is in the end.
        connection.execute("SET CONSTRAINTS ALL DEFERRED")
        if statement := publish.clear(partitions, DIALECT):
            run(connection, statement)
        # What the data says goes, also for a column that would number itself.
        inserted = run(connection, publish.insert(f"OVERRIDING SYSTEM VALUE {rows}", DIALECT))
        expected = sum(one.rows for one in parts.values())
        only_keys = request.mode == WriteMode.UPSERT and set(request.schema.names) == set(
            request.keys
        )
        if inserted.rowcount != expected and not only_keys:
            raise PreconditionFailedError(
                f"{request.table} took {inserted.rowcount:,} rows of {expected:,}",
                driver=DIALECT.engine,
                target=str(request.table),
                advice="A trigger or rule of the table drops rows; nothing was changed",
            )
        run(
            connection,
            f"UPDATE {self.staging.jobs} SET published = now() WHERE job = $1",
            request.job,
        )

    def _prepare_target(self, connection: Connection) -> None:
        """Create the table, or check that it is still what the parts were staged for."""
        request = self.request
        table = find_table(connection, request.table)
        if table is not None and request.mode in _LOCKING:
            run(
                connection,
                f"LOCK TABLE {DIALECT.table(qualified(request.table))} IN SHARE ROW EXCLUSIVE MODE",
            )
            table = find_table(connection, request.table)
        now = resolve(connection, table, request)
        if now.enums:
            # One at a time creates what tables share: who comes second finds it there.
            connection.execute(
                "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(%s, 0))",
                ("datastores: enums",),
            )
            now = resolve(connection, table, request)
        if now.columns != self.prepared.columns:
            raise PreconditionFailedError(
                f"the columns of {request.table} changed while the parts were written",
                driver=DIALECT.engine,
                target=str(request.table),
                advice="Write again; nothing was changed",
            )
        for statement in now.statements:
            run(connection, statement)

    def _rows(self, connection: Connection, parts: list[str]) -> str:
        """Return a SELECT of the named parts' rows, as the target's types."""
        listed = ", ".join(one.selected for one in self.prepared.columns)
        named = sql.Literal(parts).as_string(connection)
        mark = DIALECT.identifier(self.part_column)
        return f"SELECT {listed} FROM {self.staging.rows} WHERE {mark} = ANY({named}::text[])"

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

    def _named(self, error: DataError, parts: list[str]) -> DataError | None:
        """Return the error with the column that PostgreSQL could not convert, if it was that."""
        if not isinstance(error.__cause__, psycopg.Error):
            return None
        for one in self.prepared.columns:
            if not one.mapped.as_text:
                continue
            with self.client.connect() as connection:
                rows = self._rows(connection, parts)
                try:
                    run(
                        connection,
                        f"SELECT count({DIALECT.identifier(one.name)}) FROM ({rows}) AS staged",
                    )
                except psycopg.Error:
                    return DataError(
                        f"column {one.name!r}: {error.message}",
                        driver=DIALECT.engine,
                        operation="publish",
                        target=str(self.request.table),
                        advice="Convert it, or leave the row out; nothing was changed",
                    )
        return None

    @override
    def discard(self) -> None:
        with self.client.transaction("discard", str(self.request.table)) as connection:
            self.staging.remove(connection)
