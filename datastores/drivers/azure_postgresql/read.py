"""Reading a split, in any process, under the snapshot that its plan exported."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import psycopg
import pyarrow as pa

from datastores.drivers.azure_postgresql.catalog import Column
from datastores.drivers.azure_postgresql.client import Client
from datastores.drivers.azure_postgresql.codec import Decoder
from datastores.drivers.azure_postgresql.connection import Connection
from datastores.drivers.azure_postgresql.fit import FirstUnfit, Rejected, refusal
from datastores.drivers.azure_postgresql.marks import is_as_old
from datastores.drivers.azure_postgresql.snapshot import share
from datastores.drivers.reading import Split
from datastores.drivers.sql.convert import convert
from datastores.errors import DataError, DatastoreError
from datastores.types.unfit import Refusal
from datastores.values import how_to_choose


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgreSQLSplit(Split):
    """One SELECT under a snapshot."""

    sql: str
    snapshot: str
    columns: tuple[Column, ...]
    """As the SELECT yields them."""
    batch_rows: int
    target: str
    first_unfit: FirstUnfit | None
    """How to find the row of a value that the codec refuses."""
    counted: str
    """The SELECT of the same rows, of `marks.COUNTED` instead of columns."""
    rejected: Rejected | None = None
    """How to read the rows that are left out, if any may be."""


def batches(client: Client, split: PostgreSQLSplit) -> Iterator[pa.RecordBatch]:
    """Stream one split; once more from its beginning if it breaks before the first batch is out."""
    handed_over = False
    try:
        for batch in _batches(client, split):
            handed_over = True
            yield batch
    except DatastoreError as error:
        # The order of rows is not fixed: what was handed over cannot be told from what is left.
        if handed_over or not error.transient:
            raise
        yield from _batches(client, split)


def _batches(client: Client, split: PostgreSQLSplit) -> Iterator[pa.RecordBatch]:
    schema = schema_of(split.columns)
    decoder = Decoder([(one.name, one.mapped.layout) for one in split.columns], split.batch_rows)
    with client.connection("read", split.target) as connection:
        share(client, connection, split.snapshot)
        statement = f"COPY ({split.sql}) TO STDOUT (FORMAT binary)"
        try:
            with connection.cursor().copy(statement.encode()) as copy, _closed_early(connection):
                for batch in decoder.batches(copy):
                    arrays = [
                        convert(array, one.arrow, one.name)
                        for array, one in zip(batch.columns, split.columns, strict=True)
                    ]
                    yield pa.RecordBatch.from_arrays(arrays, schema=schema)
        except DataError as error:
            _name_row(error, client, connection, split)
            raise
        connection.rollback()


@contextmanager
def _closed_early(connection: Connection) -> Iterator[None]:
    """Close a connection whose COPY is left: psycopg would ask the server, silent or not, to cancel.

    Under an older libpq that has no time limit. After a refused value the server does answer, and is
    asked more.
    """
    try:
        yield
    except DataError:
        raise
    except BaseException:
        connection.close()
        raise


def _name_row(
    error: DataError, client: Client, connection: Connection, split: PostgreSQLSplit
) -> None:
    """Say of a refused value which row it is in, as far as the server can tell."""
    if split.first_unfit is None:
        return
    try:
        connection.rollback()
        share(client, connection, split.snapshot)
        row = connection.execute(split.first_unfit.sql.encode()).fetchone()
    except (psycopg.Error, DatastoreError):
        return
    if row is not None:
        column, example = split.first_unfit.of(row)
        error.message = refusal(column, example)
        error.advice = f"Choose what becomes of such values: {how_to_choose(column.name)}"


def rejected(
    client: Client, split: PostgreSQLSplit
) -> Iterator[tuple[pa.RecordBatch, Sequence[Refusal]]]:
    """Yield the rows that are left out of a split, as text, and why each is."""
    if split.rejected is None:
        return
    texts = replace(split, sql=split.rejected.sql, columns=split.rejected.columns, first_unfit=None)
    for batch in batches(client, texts):
        yield split.rejected.of(batch)


def is_unchanged(
    client: Client, split: PostgreSQLSplit, mark: str, rows: int, rejected: int | None
) -> bool:
    """Return whether a split has the very rows that one with that mark had, and so many."""
    expected = {split.counted: rows}
    if split.rejected is not None and rejected is not None:
        expected[split.rejected.counted] = rejected

    def looked(connection: Connection) -> bool:
        share(client, connection, split.snapshot)
        found = all(
            is_as_old(connection, counted, split.mark, mark, count)
            for counted, count in expected.items()
        )
        connection.rollback()
        return found

    return client.repeated("plan_read", split.target, looked)


def schema_of(columns: tuple[Column, ...]) -> pa.Schema:
    """Return the schema of the batches."""
    return pa.schema([one.field for one in columns])
