"""Writing: parts as Arrow files beside the database, and one transaction that publishes them.

Arrow files and not Parquet, since they hold every Arrow type as it is, and cost less to write.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from urllib.parse import quote, unquote

import duckdb
import pyarrow as pa
from typing_extensions import override

from datastores.drivers.duckdb.bookmarks import remember
from datastores.drivers.duckdb.catalog import DIALECT, JOURNAL_SCHEMA, find_any_case, qualified
from datastores.drivers.duckdb.client import Client
from datastores.drivers.duckdb.errors import translated
from datastores.drivers.duckdb.folder_journal import FolderJournal
from datastores.drivers.duckdb.plan import Prepared, WriteColumn, resolve
from datastores.drivers.journal import dump, load, now, readable, receipt_values, receipts_of
from datastores.drivers.sql.statements import Publish, duplicate_keys
from datastores.drivers.writing import JobEntry, JobState, Receipt, WriteRequest, WriteSession
from datastores.errors import (
    ConflictError,
    DataError,
    DatastoreError,
    DriverError,
    PreconditionFailedError,
    SchemaMismatchError,
)
from datastores.types.fields import without_metadata
from datastores.values import TableName, WriteMode

_JOBS = DIALECT.table(TableName("jobs", JOURNAL_SCHEMA))
_INCOMING = "datastores_incoming"
_PARTITIONS = "temp.datastores_partitions"


@dataclass(frozen=True, slots=True)
class DuckDBWriteSession(WriteSession):
    """One write. Only `publish` and `discard` open the database."""

    client: Client
    request: WriteRequest
    prepared: Prepared

    @property
    def folder(self) -> Path:
        """Where this job's parts are."""
        return _folder_of(self.client, self.request.job)

    @property
    def journal(self) -> FolderJournal:
        """What is known of this job's parts."""
        return FolderJournal(self.folder)

    @override
    def write(
        self, part: str, batches: pa.RecordBatchReader, note: Callable[[], str] = str
    ) -> Receipt:
        if without_metadata(batches.schema) != without_metadata(self.request.schema):
            raise SchemaMismatchError(
                f"part {part!r} does not have the schema that the write was begun with",
                target=str(self.request.table),
            )
        path = self.folder / f"{quote(part, safe='')}-{uuid.uuid4().hex}.arrow"
        try:
            rows = self._stage(path, batches)
            with _disk_errors(path):
                size = path.stat().st_size
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        receipt = Receipt(part=part, rows=rows, bytes=size, outputs=(path.name,), note=note())
        if self.request.journal is None:
            return receipt
        with _disk_errors(path):
            return self.journal.enter(receipt)

    @override
    def forget(self, part: str) -> None:
        self.journal.forget(part)

    def _stage(self, path: Path, batches: pa.RecordBatchReader) -> int:
        columns = self.prepared.columns
        schema = _wire_schema(columns)
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        rows = 0
        with _disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            file = pa.OSFile(str(path), "wb")
        try:
            writer = pa.ipc.new_stream(file, schema, options=options)
            for batch in batches:
                arrays = [
                    one.to_wire(array) for one, array in zip(columns, batch.columns, strict=True)
                ]
                with _disk_errors(path):
                    writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
                rows += batch.num_rows
            with _disk_errors(path):
                writer.close()
                file.close()
        except BaseException:
            # Closing a file on a full disk fails once more, and would hide the reason.
            with suppress(OSError):
                file.close()
            raise
        return rows

    @override
    def publish(self, receipts: Sequence[Receipt]) -> None:
        # Of two attempts at one part one counts, whoever hands in both receipts.
        parts = {receipt.part: receipt for receipt in reversed(receipts)}
        paths = [self._path(name) for one in parts.values() for name in one.outputs]
        try:
            with self.client.transaction("publish", str(self.request.table)) as cursor:
                if find_published(cursor, self.request.job) is None:
                    self._publish(cursor, paths)
                    if self.request.bookmark is not None:
                        remember(cursor, self.request.bookmark)
                    _note(cursor, self.request, list(parts.values()))
        except DataError as error:
            raise self._named(error, paths) from error
        # The database says what is published, for as long as the job's entry stays.
        with suppress(OSError):
            self.journal.remove()

    def _publish(self, cursor: duckdb.DuckDBPyConnection, paths: list[Path]) -> None:
        request = self.request
        missing = [path.name for path in paths if not path.exists()]
        if missing:
            raise PreconditionFailedError(
                f"part {missing[0]!r} of job {request.job} is not in {self.folder}",
                target=str(request.table),
                advice="It was discarded; write it again",
            )
        self._prepare_target(cursor)
        publish = Publish(
            table=qualified(request.table),
            columns=tuple(request.schema.names),
            mode=request.mode,
            keys=request.keys,
            partition_by=request.partition_by,
        )
        rows = _select(self.prepared.columns)
        if request.mode == WriteMode.UPSERT:
            with _incoming(cursor, self.prepared.columns, paths):
                self._refuse_duplicates(cursor, rows)
        if request.mode == WriteMode.REPLACE_PARTITIONS:
            names = DIALECT.columns(request.partition_by)
            with _incoming(cursor, self.prepared.columns, paths):
                cursor.execute(
                    f"CREATE TEMP TABLE {_PARTITIONS} AS SELECT DISTINCT {names} FROM ({rows})"
                )
        if statement := publish.clear(_PARTITIONS, DIALECT):
            cursor.execute(statement)
        with _incoming(cursor, self.prepared.columns, paths):
            cursor.execute(publish.insert(rows, DIALECT))
        if request.mode == WriteMode.REPLACE_PARTITIONS:
            cursor.execute(f"DROP TABLE {_PARTITIONS}")

    def _prepare_target(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Create the table, or check that it is still what the parts were staged for."""
        planned = set(self.prepared.statements)
        try:
            now = resolve(find_any_case(cursor, self.request.table), self.request)
        except SchemaMismatchError as error:
            if planned:
                raise self._altered(f": {error.message}") from error
            raise
        if now.columns != self.prepared.columns or not planned.issuperset(now.statements):
            raise self._altered()
        for statement in now.statements:
            cursor.execute(statement)

    def _altered(self, why: str = "") -> DatastoreError:
        # A write that alters the table too fits it once it is planned again.
        return (ConflictError if self.prepared.statements else PreconditionFailedError)(
            f"the columns of {self.request.table} changed while the parts were written{why}",
            target=str(self.request.table),
            advice="Write again; nothing was changed",
        )

    def _refuse_duplicates(self, cursor: duckdb.DuckDBPyConnection, rows: str) -> None:
        keys = self.request.keys
        found = cursor.sql(duplicate_keys(rows, keys, DIALECT)).to_arrow_table().to_pylist()
        if found:
            key = ", ".join(f"{name} = {value!r}" for name, value in found[0].items())
            why = "has a NULL in it" if None in found[0].values() else "is there more than once"
            raise DataError(
                f"the key {key} {why} in the data",
                target=str(self.request.table),
                advice="Each key may be there once, and none is NULL; nothing was changed",
            )

    def _named(self, error: DataError, paths: list[Path]) -> DatastoreError:
        """Return the error with the column and value that DuckDB could not convert, if it was that."""
        if not isinstance(error.__cause__, duckdb.Error):
            return error
        suspects = [one for one in self.prepared.columns if one.wire == pa.string()]
        with (
            self.client.cursor() as cursor,
            translated("publish", str(self.request.table)),
        ):
            for one in suspects:
                name = DIALECT.identifier(one.name)
                with _incoming(cursor, self.prepared.columns, paths):
                    found = cursor.execute(
                        f"SELECT {name} FROM {_INCOMING} WHERE {name} IS NOT NULL "
                        f"AND TRY_CAST({name} AS {one.type}) IS NULL LIMIT 1"
                    ).fetchall()
                if found:
                    return DataError(
                        f"column {one.name!r}: the value {found[0][0]!r} has no equal in {one.type}",
                        driver="duckdb",
                        operation="publish",
                        target=str(self.request.table),
                        advice="Convert it, or leave the row out; nothing was changed",
                    )
        return error

    @override
    def discard(self) -> None:
        forget_job(self.client, self.request.job)

    def _path(self, name: str) -> Path:
        if Path(name).name != name:
            raise DataError(f"{name!r} is not the name of a staged part")
        return self.folder / name


def _wire_schema(columns: tuple[WriteColumn, ...]) -> pa.Schema:
    return pa.schema([pa.field(one.name, one.wire) for one in columns])


def _select(columns: tuple[WriteColumn, ...]) -> str:
    listed = ", ".join(
        f"CAST({DIALECT.identifier(one.name)} AS {one.type}) AS {DIALECT.identifier(one.name)}"
        for one in columns
    )
    return f"SELECT {listed} FROM {_INCOMING}"


@contextmanager
def _incoming(
    cursor: duckdb.DuckDBPyConnection, columns: tuple[WriteColumn, ...], paths: list[Path]
) -> Iterator[None]:
    """Let SQL read the staged parts as one stream, once, under the name `_INCOMING`."""
    reader = pa.RecordBatchReader.from_batches(_wire_schema(columns), _batches(paths))
    cursor.register(_INCOMING, reader)
    yield
    # After a failure nothing runs before the rollback, and the cursor is closed then.
    cursor.unregister(_INCOMING)


def _batches(paths: list[Path]) -> Iterator[pa.RecordBatch]:
    for path in paths:
        with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as reader:
            yield from reader


def _folder_of(client: Client, job: str) -> Path:
    return client.config.staging / quote(job, safe="")


def find_job(client: Client, job: str) -> JobEntry | None:
    """Return what is known of a job: the database says what is published, its folder what is staged."""
    if client.exists():
        with client.cursor() as cursor, translated("find_job", job):
            if published := find_published(cursor, job):
                return published
    return FolderJournal(_folder_of(client, job)).entry(job)


def forget_job(client: Client, job: str) -> None:
    """Remove what a job staged, and its entry in the database."""
    folder = _folder_of(client, job)
    try:
        with _disk_errors(folder, "discard"):
            FolderJournal(folder).remove()
    finally:
        if client.exists():
            with client.transaction("discard", job) as cursor:
                if find_published(cursor, job) is not None:
                    cursor.execute(f"DELETE FROM {_JOBS} WHERE job = $job", {"job": job})


def jobs(client: Client) -> list[JobEntry]:
    """Return the jobs that are not forgotten, the oldest first."""
    staging = client.config.staging
    names = [unquote(one.name) for one in staging.iterdir()] if staging.is_dir() else []
    found = {
        one: readable(partial(FolderJournal(_folder_of(client, one)).entry, one)) for one in names
    }
    if client.exists():
        with client.cursor() as cursor, translated("jobs", client.config.path):
            found |= {one.job: one for one in _published(cursor)}
    return sorted((one for one in found.values() if one is not None), key=lambda one: one.began)


def find_published(cursor: duckdb.DuckDBPyConnection, job: str) -> JobEntry | None:
    """Return the entry of a job whose rows are in its table."""
    return next(iter(_published(cursor, job)), None)


def _published(cursor: duckdb.DuckDBPyConnection, job: str | None = None) -> list[JobEntry]:
    there = cursor.execute(
        "SELECT 1 FROM duckdb_tables() "
        "WHERE database_name = current_database() AND schema_name = $schema "
        "AND table_name = 'jobs'",
        {"schema": JOURNAL_SCHEMA},
    ).fetchall()
    if not there:
        return []
    found = cursor.execute(
        f"SELECT job, target, journal, receipts, published FROM {_JOBS} "
        "WHERE $job IS NULL OR job = $job",
        {"job": job},
    ).fetchall()
    return [
        JobEntry(
            job=name,
            target=target,
            state=JobState.PUBLISHED,
            journal=journal,
            receipts=receipts_of(load(receipts, f"the journal of job {name}")["receipts"]),
            began=datetime.fromisoformat(published),
        )
        for name, target, journal, receipts, published in found
    ]


def _note(
    cursor: duckdb.DuckDBPyConnection, request: WriteRequest, receipts: Sequence[Receipt]
) -> None:
    """Put a job into the journal, in the transaction that publishes it."""
    cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {DIALECT.identifier(JOURNAL_SCHEMA)}")
    cursor.execute(
        f"CREATE TABLE IF NOT EXISTS {_JOBS} (job VARCHAR PRIMARY KEY, target VARCHAR NOT NULL, "
        "journal VARCHAR NOT NULL, receipts VARCHAR NOT NULL, published VARCHAR NOT NULL)"
    )
    values = {
        "job": request.job,
        "target": str(request.table),
        "journal": request.journal or "",
        "receipts": dump({"receipts": receipt_values(receipts)}),
        "published": now(),
    }
    listed = "$job, $target, $journal, $receipts, $published"
    cursor.execute(f"INSERT INTO {_JOBS} VALUES ({listed})", values)


@contextmanager
def _disk_errors(path: Path, operation: str = "write") -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        # The same copy, called twice at once: the call that ends first removes what is staged.
        raise PreconditionFailedError(
            f"the staged {path.name} is gone: another call published its job, or forgot it",
            advice="Look at the target, and copy again if it lacks the rows",
        ) from error
    except OSError as error:
        raise DriverError(
            f"could not {operation} the staged {path.name}: {error.strerror or error}",
            driver="duckdb",
            operation=operation,
            advice=f"Look at the rights and the space of {path.parent}",
        ) from error
