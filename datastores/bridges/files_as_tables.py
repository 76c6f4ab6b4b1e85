"""Tables of files: any file store as a `TableDriver`, through the file formats."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from typing_extensions import override

from datastores.bridges.discovery import find_dataset, list_tables, read_schema
from datastores.bridges.file_journal import FileJournal, all_jobs, find_bookmark, find_job
from datastores.bridges.file_reads import (
    FileSplit,
    bound_filters,
    chosen_columns,
    plan_files,
    read_split,
    shaped,
)
from datastores.bridges.file_target import describe, find_target
from datastores.bridges.file_writes import FileWriteSession
from datastores.drivers.base import FileDriver, TableDriver, require
from datastores.drivers.reading import ReadPlan, ScanRequest, Split
from datastores.drivers.writing import JobEntry, WritePlan, WriteRequest, WriteSession
from datastores.errors import (
    ConfigurationError,
    DataError,
    MissingDependencyError,
    NotFoundError,
)
from datastores.filters import Filters
from datastores.location import normalize_path
from datastores.values import Capabilities, TableName


@dataclass(frozen=True, slots=True, kw_only=True)
class QuerySplit(Split):
    """A query over the store's files, read as one."""

    query: str
    parameters: Mapping[str, Any]
    columns: tuple[str, ...]
    filters: Filters
    limit: int | None
    batch_rows: int


class FilesAsTables(TableDriver):
    """The tables of a file store: files, folders and globs of Parquet, CSV, JSON lines or Arrow.

    Args:
        files: The store. It stays the caller's to close.
    """

    def __init__(self, files: FileDriver) -> None:
        super().__init__(files.config)
        self.files = files

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        return (FilesAsTables, (self.files,))

    @property
    @override
    def capabilities(self) -> Capabilities:  # type: ignore[override]  # another driver's, so not the class's
        return self.files.capabilities

    @property
    @override
    def type_name(self) -> str:
        return self.files.type_name

    @property
    @override
    def place(self) -> str:
        return self.files.place

    @override
    def table_name(self, path: str) -> TableName:
        return TableName(normalize_path(path))

    @override
    def tables(self, namespace: str | None = None) -> list[TableName]:
        folder = normalize_path(namespace or "").rstrip("/")
        return [TableName(path) for path in list_tables(self.files.filesystem, folder)]

    @override
    def schema(self, table: TableName) -> pa.Schema:
        dataset = find_dataset(self.files.filesystem, table.name, None, {})
        return read_schema(self.files.filesystem, dataset).table

    @override
    def plan_read(self, request: ScanRequest, splits: int) -> ReadPlan:
        if request.split_by:
            require(self, "split_by", declared=self.capabilities.split_by)
        if request.query is not None:
            return self._plan_query(request, request.query)
        if request.table is None:
            raise ConfigurationError("a scan names a table or a query")
        return plan_files(self.files.filesystem, request.table.name, request, splits)

    @override
    def read(self, split: Split) -> pa.RecordBatchReader:
        if isinstance(split, QuerySplit):
            return self._read_query(split)
        if isinstance(split, FileSplit):
            return read_split(self.files.filesystem, split)
        raise ConfigurationError(f"{split.label!r} is a split of another driver")

    @override
    def plan_write(self, request: WriteRequest) -> WritePlan:
        return describe(self.files, request, find_target(self.files, request))

    @override
    def begin(self, request: WriteRequest) -> WriteSession:
        target = find_target(self.files, request)
        request = request.without(target.left_out)
        session = FileWriteSession(self.files, request, target)
        if request.journal is not None or request.bookmark is not None:
            FileJournal(self.files, request.job).begin(request.table.name, request.journal or "")
        return session

    @override
    def find_job(self, job: str) -> JobEntry | None:
        return find_job(self.files, job)

    @override
    def jobs(self) -> list[JobEntry]:
        return all_jobs(self.files)

    @override
    def forget_job(self, job: str) -> None:
        # What was decided counts as published, for whoever reads the bookmark too.
        with suppress(DataError, NotFoundError):
            find_job(self.files, job)
        FileJournal(self.files, job).remove()

    @override
    def find_bookmark(self, name: str) -> str | None:
        return find_bookmark(self.files, name)

    def _plan_query(self, request: ScanRequest, query: str) -> ReadPlan:
        require(self, "query", declared=self.capabilities.query)
        require(self, "cursor in a query over files", declared=request.cursor is None)
        with self._query(query, request.parameters, request.batch_rows) as reader:
            schema = reader.schema
        columns = chosen_columns(schema, request.columns)
        split = QuerySplit(
            label="query",
            query=query,
            parameters=request.parameters,
            columns=columns,
            filters=bound_filters(schema, request.filters),
            limit=request.limit,
            batch_rows=request.batch_rows,
        )
        return ReadPlan(
            schema=pa.schema([schema.field(name) for name in columns]),
            splits=(split,),
            split_by="one reader, for a query",
        )

    def _read_query(self, split: QuerySplit) -> pa.RecordBatchReader:
        reader = self._query(split.query, split.parameters, split.batch_rows)
        schema = pa.schema([reader.schema.field(name) for name in split.columns])
        batches = shaped(
            iter(reader),
            schema,
            filters=split.filters,
            limit=split.limit,
            batch_rows=split.batch_rows,
        )
        return pa.RecordBatchReader.from_batches(schema, batches)

    def _query(
        self, query: str, parameters: Mapping[str, Any], batch_rows: int
    ) -> pa.RecordBatchReader:
        try:
            from datastores.drivers.duckdb.files import (  # type: ignore[import-not-found, unused-ignore]
                query_files,
            )
        except ModuleNotFoundError as error:
            raise MissingDependencyError(
                "a query over files needs the package 'duckdb', which is not installed",
                operation="query",
                advice="pip install 'datastores[duckdb]'",
            ) from error
        return query_files(self.files.filesystem, query, parameters, batch_rows)
