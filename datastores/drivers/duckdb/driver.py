from __future__ import annotations

import threading
import uuid
from typing import Any

import pyarrow as pa
from typing_extensions import override

from datastores.drivers.base import TableDriver, TableFacts, require
from datastores.drivers.duckdb import catalog
from datastores.drivers.duckdb.bookmarks import find_bookmark
from datastores.drivers.duckdb.catalog import DIALECT, Column, Table
from datastores.drivers.duckdb.client import Client
from datastores.drivers.duckdb.config import DuckDBConfig
from datastores.drivers.duckdb.cursor import find_range
from datastores.drivers.duckdb.errors import translated
from datastores.drivers.duckdb.plan import prepare
from datastores.drivers.duckdb.read import DuckDBSplit, OpenPlan, select, single_select
from datastores.drivers.duckdb.write import DuckDBWriteSession, find_job, forget_job, jobs
from datastores.drivers.increments import CursorRange
from datastores.drivers.reading import ReadPlan, ScanRequest, Split
from datastores.drivers.sql.filters import condition
from datastores.drivers.sql.parameters import bind_named
from datastores.drivers.sql.reading import check_read
from datastores.drivers.writing import JobEntry, WritePlan, WriteRequest, WriteSession
from datastores.errors import NotFoundError, PreconditionFailedError
from datastores.values import Atomicity, Capabilities, Snapshot, TableName, WriteMode


class DuckDBDriver(TableDriver):
    """Tables of one DuckDB database file."""

    config_type = DuckDBConfig
    capabilities = Capabilities(
        write_modes=dict.fromkeys(WriteMode, Atomicity.ATOMIC),
        snapshot=Snapshot.CONNECTION,
        query=True,
    )
    config: DuckDBConfig

    def __init__(self, config: DuckDBConfig) -> None:
        super().__init__(config)
        self._client = Client(config)
        self._plans: dict[str, OpenPlan] = {}
        self._lock = threading.Lock()

    @property
    @override
    def place(self) -> str:
        return self.config.path

    @override
    def close(self) -> None:
        for name in list(self._plans):
            self._release(name)
        self._client.close()

    @override
    def tables(self, namespace: str | None = None) -> list[TableName]:
        if not self._client.exists():
            return []
        with self._client.cursor() as cursor, translated("tables", namespace):
            return catalog.tables(cursor, namespace)

    @override
    def describe_tables(self, namespace: str | None = None) -> list[TableFacts]:
        if not self._client.exists():
            return []
        with self._client.cursor() as cursor, translated("tables", namespace):
            return catalog.describe_tables(cursor, namespace)

    @override
    def schema(self, table: TableName) -> pa.Schema:
        self._require_file(f"table {table}")
        with self._client.cursor() as cursor, translated("schema", str(table)):
            found = catalog.get_table(cursor, table)
        return pa.schema([one.field for one in found.columns])

    @override
    def plan_read(self, request: ScanRequest, splits: int) -> ReadPlan:
        check_read(request, DIALECT)
        if request.split_by:
            require(self, "split_by", declared=self.capabilities.split_by)
        self._require_file(f"table {request.table}" if request.table else "query")
        if request.table is None:
            return self._plan_query(request)
        cursor = self._client.new_cursor()
        try:
            with translated("plan_read", str(request.table)):
                # The snapshot begins with the first statement that touches the database.
                cursor.execute("BEGIN TRANSACTION")
                table = catalog.get_table(cursor, request.table)
                if not table.splittable or request.limit is not None:
                    cursor.close()
                    return self._plan_whole(request, table)
                return self._plan_pages(request, table, cursor, splits)
        except BaseException:
            cursor.close()
            raise

    @override
    def read(self, split: Split) -> pa.RecordBatchReader:
        plan = self._plans.get(split.plan) if isinstance(split, DuckDBSplit) else None
        if plan is None or not isinstance(split, DuckDBSplit):
            raise PreconditionFailedError(
                f"the plan of split {split.label!r} is not open here",
                driver=self.type_name,
                operation="read",
                advice="Read a split before its plan is closed, in the process that planned it",
            )
        return pa.RecordBatchReader.from_batches(plan.schema, plan.read(split))

    @override
    def plan_write(self, request: WriteRequest) -> WritePlan:
        return prepare(self._client, request).plan()

    @override
    def begin(self, request: WriteRequest) -> WriteSession:
        prepared = prepare(self._client, request)
        request = request.without(prepared.left_out)
        session = DuckDBWriteSession(self._client, request, prepared)
        if request.journal is not None:
            session.journal.begin(str(request.table), request.journal)
        return session

    @override
    def find_job(self, job: str) -> JobEntry | None:
        return find_job(self._client, job)

    @override
    def jobs(self) -> list[JobEntry]:
        return jobs(self._client)

    @override
    def forget_job(self, job: str) -> None:
        forget_job(self._client, job)

    @override
    def find_bookmark(self, name: str) -> str | None:
        if not self._client.exists():
            return None
        with self._client.cursor() as cursor, translated("find_bookmark", None):
            return find_bookmark(cursor, name)

    def _require_file(self, target: str) -> None:
        if not self._client.exists():
            raise NotFoundError(
                f"no {target}: there is no database file {self.config.path}",
                driver=self.type_name,
                target=target,
                advice="Look at its path, or write a table to create it",
            )

    def _plan_pages(self, request: ScanRequest, table: Table, cursor: Any, splits: int) -> ReadPlan:
        source = DIALECT.table(table.name)
        cursor_range, new = _new_rows(cursor, request, table.columns, source, {})
        sql, values, columns = select(
            table.columns, request.columns, request.filters, source=source, pages=True, new=new
        )
        [(first, last, rows, transaction)] = cursor.execute(
            f"SELECT min(rowid), max(rowid), count(*), txid_current() FROM {source}"
        ).fetchall()
        name = self._open(
            OpenPlan(
                client=self._client,
                snapshot=cursor,
                columns=columns,
                sql=sql,
                values=values,
                limit=None,
                batch_rows=request.batch_rows,
                target=str(table.name),
            )
        )
        whole = not request.filters and request.cursor is None
        ranges = _ranges(first or 0, 0 if last is None else last + 1, splits)
        return ReadPlan(
            schema=self._plans[name].schema,
            splits=tuple(
                DuckDBSplit(
                    label=f"rows {start:,} to {end - 1:,}" if end > start else "no rows",
                    rows=min(rows, end - start) if whole else None,
                    plan=name,
                    rows_from=start,
                    rows_to=end,
                )
                for start, end in ranges
            ),
            split_by="row ids",
            snapshot=f"transaction {transaction}",
            rows=rows if whole else None,
            cursor=cursor_range,
            release=lambda: self._release(name),
        )

    def _plan_whole(self, request: ScanRequest, table: Table) -> ReadPlan:
        why = "one reader: a view" if table.is_view else "one reader: a limit, or no row ids"
        source = DIALECT.table(table.name)
        return self._plan_stream(request, table.columns, source, {}, str(table.name), why)

    def _plan_query(self, request: ScanRequest) -> ReadPlan:
        with self._client.cursor() as cursor, translated("query", "query"):
            text, parameters = bind_named(request.query or "", request.parameters, DIALECT)
            text = single_select(cursor, text)
            columns = catalog.columns_of(cursor, text, parameters)
        source, why = f"(\n{text}\n) AS query", "one reader: a query"
        return self._plan_stream(request, columns, source, parameters, "query", why)

    def _plan_stream(
        self,
        request: ScanRequest,
        known: tuple[Column, ...],
        source: str,
        parameters: dict[str, Any],
        target: str,
        why: str,
    ) -> ReadPlan:
        with self._client.cursor() as cursor, translated("plan_read", target):
            cursor_range, new = _new_rows(cursor, request, known, source, parameters)
        sql, values, columns = select(
            known, request.columns, request.filters, source=source, pages=False, new=new
        )
        name = self._open(
            OpenPlan(
                client=self._client,
                snapshot=None,
                columns=columns,
                sql=sql,
                values=parameters | values,
                limit=request.limit,
                batch_rows=request.batch_rows,
                target=target,
            )
        )
        return ReadPlan(
            schema=self._plans[name].schema,
            splits=(DuckDBSplit(label="all rows", plan=name),),
            split_by=why,
            snapshot="one statement",
            cursor=cursor_range,
            release=lambda: self._release(name),
        )

    def _open(self, plan: OpenPlan) -> str:
        name = uuid.uuid4().hex
        with self._lock:
            self._plans[name] = plan
        return name

    def _release(self, name: str) -> None:
        with self._lock:
            plan = self._plans.pop(name, None)
        if plan is not None:
            plan.close()


def _new_rows(
    connection: Any,
    request: ScanRequest,
    columns: tuple[Column, ...],
    source: str,
    parameters: dict[str, Any],
) -> tuple[CursorRange | None, str]:
    """Return the request's range with its end, and its condition, if only new rows are asked for."""
    if request.cursor is None:
        return None, ""
    types = {one.name: one.stored for one in columns}
    passing, values = condition(request.filters, types, DIALECT)
    rows = f"SELECT * FROM {source} WHERE {passing or 'TRUE'}"
    return find_range(connection, request.cursor, columns, rows, parameters | values)


def _ranges(first: int, end: int, splits: int) -> list[tuple[int, int]]:
    """Return at most `splits` ranges of about equal size that tile `first` to `end`."""
    size = max(1, -(-(end - first) // max(1, splits)))
    return [(start, min(start + size, end)) for start in range(first, end, size)] or [(first, end)]
