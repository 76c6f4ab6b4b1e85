"""Writing in parts: each by binary COPY into staging, and one transaction that publishes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psycopg
import pyarrow as pa
from typing_extensions import override

from datastores.drivers.azure_postgresql import leftovers, policies
from datastores.drivers.azure_postgresql.catalog import DIALECT
from datastores.drivers.azure_postgresql.client import Client
from datastores.drivers.azure_postgresql.connection import Connection, run
from datastores.drivers.azure_postgresql.direct import DirectWriteSession
from datastores.drivers.azure_postgresql.load import check_part, load
from datastores.drivers.azure_postgresql.plan import Prepared, prepare
from datastores.drivers.azure_postgresql.publish import Target
from datastores.drivers.azure_postgresql.staging import Staging
from datastores.drivers.writing import JobEntry, Receipt, WriteRequest, WriteSession
from datastores.types.unfit import Sieve

_UNIQUE_VIOLATION = "23505"


def begin(client: Client, request: WriteRequest) -> WriteSession:
    """Check a write, and create its staging if it needs any.

    Raises:
        PermissionDeniedError: There is no right to stage the several parts that will come.
    """
    prepared = prepare(client, request)
    request = request.without(prepared.evolution.left_out)
    if prepared.unstaged and request.parts is not None:
        raise prepared.unstaged
    staging = Staging(client.config.staging_schema, request.job)
    if prepared.direct and not prepared.journaled:
        return DirectWriteSession(client, request, prepared, None)
    session: DirectWriteSession | StagedWriteSession
    if prepared.direct:
        session = DirectWriteSession(client, request, prepared, staging)
        session.open()
    else:
        session = StagedWriteSession(client, request, prepared)
        leftovers.hold(client, staging, alone=request.journal is not None)
    try:
        with client.transaction("begin", str(request.table)) as connection:
            staging.prepare(connection, request, prepared.new if prepared.aside else None)
    except BaseException:
        session.leave()
        raise
    return session


def find_job(client: Client, job: str) -> JobEntry | None:
    """Return what the journal holds of a job."""
    staging = Staging(client.config.staging_schema, job)
    return client.look("find_job", job, staging.entry)


def find_bookmark(client: Client, name: str) -> str | None:
    """Return the text of a bookmark, or None."""
    staging = Staging(client.config.staging_schema, "")
    return client.look("find_bookmark", None, lambda connection: staging.bookmark(connection, name))


@dataclass(frozen=True, slots=True)
class StagedWriteSession(WriteSession):
    """One write of any number of parts, each through a connection of its own."""

    client: Client
    request: WriteRequest
    prepared: Prepared

    @property
    def staging(self) -> Staging:
        """Where this job's rows are."""
        return Staging(self.client.config.staging_schema, self.request.job)

    @override
    def sieve(self) -> Sieve:
        return policies.sieve(self.request, self.prepared.columns)

    @override
    def write(
        self, part: str, batches: pa.RecordBatchReader, note: Callable[[], str] = str
    ) -> Receipt:
        check_part(self.request, part, batches)
        with self.client.connection("write", str(self.request.table)) as connection:
            try:
                with connection.transaction():
                    self.staging.join(connection)
                    self._is_published(connection, lock="KEY SHARE")
                    table = self._relation(connection)
                    rows, _, size = load(
                        connection, table, self.request, self.prepared.columns, batches
                    )
                    receipt = Receipt(part=part, rows=rows, bytes=size, note=note())
                    self.staging.enter(connection, table, receipt)
            except psycopg.Error as error:
                if error.sqlstate != _UNIQUE_VIOLATION:
                    raise
                # Another attempt at this part was there first: its rows count, ours are gone.
                return self._receipt(connection, part)
        return receipt

    def _relation(self, connection: Connection) -> str:
        """Return the quoted name of the table that an attempt's rows go to."""
        if self.prepared.aside:
            return DIALECT.table(self.staging.aside)
        return self.staging.create_rows(connection, self.prepared.staged)

    def _receipt(self, connection: Connection, part: str) -> Receipt:
        found = [one for one in self.staging.receipts(connection) if one.part == part]
        if not found:
            raise self.staging.lost(f"part {part!r}", "write")
        return found[0]

    @override
    def forget(self, part: str) -> None:
        with self.client.transaction("forget", str(self.request.table)) as connection:
            self.staging.forget(connection, part)

    @override
    def publish(self, receipts: Sequence[Receipt]) -> None:
        parts = {receipt.part: receipt for receipt in receipts}
        with self.client.transaction("publish", str(self.request.table)) as connection:
            # Lets attempts that still run be, and keeps another publish out.
            if self._is_published(connection, lock="NO KEY UPDATE"):
                return
            tables = self._tables(connection, parts)
            target = Target(self.request, self.prepared)
            rows = sum(one.rows for one in parts.values())
            if self.prepared.aside:
                self.staging.keep_only(connection, parts)
                target.take(connection, self.staging.aside, rows)
            else:
                target.open(connection)
                target.fill(connection, tables, rows)
            self.staging.finish(connection, list(parts.values()), self.request.bookmark)

    def _is_published(self, connection: Connection, *, lock: str) -> bool:
        """Look at the job's entry, and keep it until the transaction ends."""
        try:
            entry = run(
                connection,
                f"SELECT published IS NOT NULL FROM {self.staging.jobs} WHERE job = $1 FOR {lock}",
                self.request.job,
            ).fetchone()
        except psycopg.errors.UndefinedTable:
            entry = None
        if entry is None:
            raise self.staging.lost("its staging", "publish")
        return bool(entry[0])

    def _tables(self, connection: Connection, parts: dict[str, Receipt]) -> list[str]:
        """Return the quoted names of the tables that hold the parts' rows."""
        entries = run(
            connection,
            f"SELECT part, rows, staged FROM {self.staging.parts}",
        )
        staged = {part: (rows, table) for part, rows, table in entries.fetchall()}
        for part, receipt in parts.items():
            if part not in staged or staged[part][0] != receipt.rows:
                raise self.staging.lost(f"part {part!r}", "publish")
        return [staged[part][1] for part in parts]

    @override
    def leave(self) -> bool:
        self.client.pool.release(self.request.job)
        return True

    @override
    def discard(self) -> None:
        leftovers.end(self.client, self.staging)
