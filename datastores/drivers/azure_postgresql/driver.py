from __future__ import annotations

import threading

import pyarrow as pa
from typing_extensions import override

from datastores.drivers.azure_postgresql import catalog
from datastores.drivers.azure_postgresql.catalog import DIALECT
from datastores.drivers.azure_postgresql.client import Client, Connection
from datastores.drivers.azure_postgresql.config import AzurePostgreSQLConfig
from datastores.drivers.azure_postgresql.errors import translated
from datastores.drivers.azure_postgresql.plan import prepare
from datastores.drivers.azure_postgresql.read import (
    PostgreSQLSplit,
    batches,
    export_snapshot,
    plan_query,
    plan_table,
    schema_of,
)
from datastores.drivers.azure_postgresql.write import begin
from datastores.drivers.base import (
    ReadPlan,
    ScanRequest,
    Split,
    TableDriver,
    WritePlan,
    WriteRequest,
    WriteSession,
)
from datastores.drivers.network import Endpoint
from datastores.drivers.sql.reading import check_read
from datastores.errors import ConfigurationError
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
        processes=True,
        on_unfit=True,
    )
    config: AzurePostgreSQLConfig

    def __init__(self, config: AzurePostgreSQLConfig) -> None:
        super().__init__(config)
        self._client = Client(config)
        self._snapshots: dict[str, Connection] = {}
        self._lock = threading.Lock()

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
        with self._client.connection("connect") as connection:
            [(user,)] = connection.execute("SELECT current_user::text").fetchall()
        return str(user)

    @override
    def close(self) -> None:
        for name in list(self._snapshots):
            self._release(name)

    @override
    def tables(self, namespace: str | None = None) -> list[TableName]:
        with self._client.transaction("tables", namespace) as connection:
            return catalog.tables(connection, namespace, self.config.staging_schema)

    @override
    def schema(self, table: TableName) -> pa.Schema:
        with self._client.transaction("schema", str(table)) as connection:
            found = catalog.get_table(connection, table, self.config.staging_schema)
        return schema_of(found.columns)

    @override
    def plan_read(self, request: ScanRequest, splits: int) -> ReadPlan:
        check_read(request, DIALECT)
        connection = self._client.connect()
        try:
            with translated("plan_read", str(request.table or "query")):
                snapshot = export_snapshot(connection)
                if request.table is None:
                    plan = plan_query(request, connection, snapshot)
                else:
                    table = catalog.get_table(connection, request.table, self.config.staging_schema)
                    plan = plan_table(table, request, connection, snapshot, splits)
        except BaseException:
            connection.close()
            raise
        with self._lock:
            self._snapshots[snapshot] = connection
        plan.release = lambda: self._release(snapshot)
        return plan

    @override
    def read(self, split: Split) -> pa.RecordBatchReader:
        if not isinstance(split, PostgreSQLSplit):
            raise ConfigurationError(f"split {split.label!r} is of another driver's plan")
        return pa.RecordBatchReader.from_batches(
            schema_of(split.columns), batches(self._client, split)
        )

    @override
    def plan_write(self, request: WriteRequest) -> WritePlan:
        return prepare(self._client, request).plan()

    @override
    def begin(self, request: WriteRequest) -> WriteSession:
        return begin(self._client, request)

    def _release(self, snapshot: str) -> None:
        with self._lock:
            connection = self._snapshots.pop(snapshot, None)
        if connection is not None:
            connection.close()
