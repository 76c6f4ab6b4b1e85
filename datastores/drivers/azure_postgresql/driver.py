from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa
from typing_extensions import override

from datastores.drivers.azure_postgresql import catalog, leftovers, overview
from datastores.drivers.azure_postgresql.catalog import DIALECT
from datastores.drivers.azure_postgresql.client import Client
from datastores.drivers.azure_postgresql.config import AzurePostgreSQLConfig
from datastores.drivers.azure_postgresql.connection import Connection
from datastores.drivers.azure_postgresql.plan import prepare
from datastores.drivers.azure_postgresql.read import (
    PostgreSQLSplit,
    batches,
    is_unchanged,
    rejected,
    schema_of,
)
from datastores.drivers.azure_postgresql.read_plan import plan_query, plan_table
from datastores.drivers.azure_postgresql.snapshot import export_snapshot, share
from datastores.drivers.azure_postgresql.staging import Staging, entries
from datastores.drivers.azure_postgresql.write import begin, find_bookmark, find_job
from datastores.drivers.base import TableDriver, TableFacts
from datastores.drivers.network import Endpoint
from datastores.drivers.reading import ReadPlan, ScanRequest, Split
from datastores.drivers.sql.reading import check_read
from datastores.drivers.writing import JobEntry, WritePlan, WriteRequest, WriteSession
from datastores.errors import ConfigurationError
from datastores.types.unfit import Refusal
from datastores.values import Atomicity, Capabilities, Snapshot, TableName, WriteMode


class AzurePostgreSQLDriver(TableDriver):
    """Tables of one PostgreSQL database.

    Rows are written as INSERT would: triggers fire, policies are checked. A sequence that numbers a
    column stays where it is when values for the column are written: `setval` moves it.
    """

    config_type = AzurePostgreSQLConfig
    capabilities = Capabilities(
        write_modes=dict.fromkeys(WriteMode, Atomicity.ATOMIC),
        snapshot=Snapshot.TRANSFERABLE,
        query=True,
        split_by=True,
        processes=True,
        clean=True,
        on_unfit=True,
    )
    config: AzurePostgreSQLConfig

    def __init__(self, config: AzurePostgreSQLConfig) -> None:
        super().__init__(config)
        self._client = Client(config)

    @property
    @override
    def place(self) -> str:
        return self.config.where

    @property
    @override
    def endpoints(self) -> tuple[Endpoint, ...]:
        return (self._client.endpoint,)

    @override
    def sign_in(self) -> str:
        def found(connection: Connection) -> str:
            [(user,)] = connection.execute("SELECT current_user::text").fetchall()
            return f"{user} (through a pooler)" if connection.is_pooled else str(user)

        return self._client.look("connect", None, found)

    @override
    def clean(self) -> list[JobEntry]:
        return leftovers.clean(self._client)

    @override
    def close(self) -> None:
        self._client.close()

    @override
    def tables(self, namespace: str | None = None) -> list[TableName]:
        staging = self.config.staging_schema
        return self._client.look(
            "tables", namespace, lambda connection: catalog.tables(connection, namespace, staging)
        )

    @override
    def schema(self, table: TableName) -> pa.Schema:
        staging = self.config.staging_schema
        found = self._client.look(
            "schema", str(table), lambda connection: catalog.get_table(connection, table, staging)
        )
        return schema_of(found.columns)

    @override
    def describe_tables(self, namespace: str | None = None) -> list[TableFacts]:
        staging = self.config.staging_schema
        return self._client.look(
            "tables",
            namespace,
            lambda connection: overview.describe_tables(connection, namespace, staging),
        )

    @override
    @contextmanager
    def snapshot(self, tables: Sequence[TableName]) -> Iterator[str | None]:
        def opened(connection: Connection) -> str:
            snapshot = export_snapshot(connection, overview.lockable(connection, tables))
            self._client.pool.hold(snapshot, connection)
            return snapshot

        snapshot = self._client.repeated("snapshot", None, opened)
        try:
            yield snapshot
        finally:
            self._client.pool.release(snapshot)

    @override
    def plan_read(self, request: ScanRequest, splits: int) -> ReadPlan:
        check_read(request, DIALECT)

        def planned(connection: Connection) -> ReadPlan:
            shared = request.snapshot
            if shared is not None:
                share(self._client, connection, shared)
            snapshot = shared or export_snapshot(connection)
            if request.table is None:
                plan = plan_query(request, connection, snapshot, splits)
            else:
                table = catalog.get_table(connection, request.table, self.config.staging_schema)
                plan = plan_table(table, request, connection, snapshot, splits)
            if shared is not None:
                # Of many plans none keeps a connection, so what it would be asked later is now.
                unfit = plan.unfit()
                plan.count_unfit = lambda: unfit
                connection.rollback()
                return plan
            self._client.pool.hold(snapshot, connection)
            plan.release = lambda: self._client.pool.release(snapshot)
            return plan

        return self._client.repeated("plan_read", str(request.table or "query"), planned)

    @override
    def read(self, split: Split) -> pa.RecordBatchReader:
        ours = _ours(split)
        return pa.RecordBatchReader.from_batches(
            schema_of(ours.columns), batches(self._client, ours)
        )

    @override
    def plan_write(self, request: WriteRequest) -> WritePlan:
        return prepare(self._client, request).plan()

    @override
    def begin(self, request: WriteRequest) -> WriteSession:
        return begin(self._client, request)

    @override
    def find_job(self, job: str) -> JobEntry | None:
        return find_job(self._client, job)

    @override
    def jobs(self) -> list[JobEntry]:
        schema = self.config.staging_schema
        return self._client.look("jobs", schema, lambda connection: entries(connection, schema))

    @override
    def forget_job(self, job: str) -> None:
        leftovers.end(self._client, Staging(self.config.staging_schema, job))

    @override
    def find_bookmark(self, name: str) -> str | None:
        return find_bookmark(self._client, name)

    @override
    def rejected(self, split: Split) -> Iterator[tuple[pa.RecordBatch, Sequence[Refusal]]]:
        return rejected(self._client, _ours(split))

    @override
    def is_unchanged(self, split: Split, mark: str, rows: int, rejected: int | None = None) -> bool:
        return is_unchanged(self._client, _ours(split), mark, rows, rejected)


def _ours(split: Split) -> PostgreSQLSplit:
    if not isinstance(split, PostgreSQLSplit):
        raise ConfigurationError(f"split {split.label!r} is of another driver's plan")
    return split
