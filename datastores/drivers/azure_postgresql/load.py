"""Rows into a relation by binary COPY, each value checked to be held exactly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pyarrow as pa
from psycopg.abc import Buffer, PQGen
from psycopg.copy import LibpqWriter
from psycopg.pq.abc import PGconn
from psycopg.waiting import Ready, Wait
from typing_extensions import override

from datastores.drivers.azure_postgresql.catalog import DIALECT
from datastores.drivers.azure_postgresql.codec import Encoder
from datastores.drivers.azure_postgresql.connection import Connection
from datastores.drivers.azure_postgresql.plan import WriteColumn
from datastores.drivers.azure_postgresql.policies import row_named
from datastores.drivers.writing import WriteRequest
from datastores.errors import SchemaMismatchError
from datastores.types.fields import without_metadata

_SENT_BYTES = 2**16
"""How many bytes are sent at once: libpq's buffer holds up to twice as many."""


class Loaded(NamedTuple):
    """What went into a relation."""

    rows: int
    taken: int
    """How many of them the relation holds; fewer if it has a trigger that drops some."""
    bytes: int
    """On the wire."""


def check_part(request: WriteRequest, part: str, batches: pa.RecordBatchReader) -> None:
    """Refuse a part that is not of the request's schema."""
    if without_metadata(batches.schema) != without_metadata(request.schema):
        raise SchemaMismatchError(
            f"part {part!r} does not have the schema that the write was begun with",
            target=str(request.table),
        )


def load(
    connection: Connection,
    relation: str,
    request: WriteRequest,
    columns: tuple[WriteColumn, ...],
    batches: pa.RecordBatchReader,
) -> Loaded:
    """Copy all rows into a relation, given by its quoted name.

    Raises:
        DataError: A value does not fit its column; its row is named.
    """
    names = DIALECT.columns(tuple(one.name for one in columns))
    statement = f"COPY {relation} ({names}) FROM STDIN (FORMAT binary)"
    encoder = Encoder([(one.name, one.mapped.layout) for one in columns])
    size = 0
    with row_named(request, columns, batches) as watched, connection.cursor() as cursor:
        sent = _Counted(_converted(columns, watched))
        with cursor.copy(statement.encode(), writer=_Sender(cursor)) as copy:
            for message in encoder.messages(sent):
                size += len(message)
                copy.write(message)
                # The next one is made while this name would still hold it.
                del message
        return Loaded(sent.rows, cursor.rowcount, size)


class _Sender(LibpqWriter):
    """Waits until all is sent, and reads meanwhile.

    psycopg's writer lets libpq hold whatever a slow server has not taken yet, up to a MiB from 3.3.9
    on. It does not read: a server that cannot get rid of its notices takes no rows either, and both
    would wait for ever.
    """

    @override
    def write(self, data: Buffer) -> None:
        self.connection.wait(_sending(self.connection.pgconn, data))

    @override
    def finish(self, exc: BaseException | None = None) -> None:
        self.connection.wait(_until_writable(self.connection.pgconn))
        super().finish(exc)


def _sending(connection: PGconn, data: Buffer) -> PQGen[None]:
    for start in range(0, len(data), _SENT_BYTES):
        while not connection.put_copy_data(data[start : start + _SENT_BYTES]):
            yield from _until_writable(connection)
        while connection.flush():
            yield from _until_writable(connection)


def _until_writable(connection: PGconn) -> PQGen[None]:
    while not (ready := (yield Wait.RW)) & Ready.W:
        if ready & Ready.R:
            connection.consume_input()


class _Counted:
    """Batches, and how many rows of them were handed on."""

    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        self._batches = batches
        self.rows = 0

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch in self._batches:
            self.rows += batch.num_rows
            yield batch


def _converted(
    columns: tuple[WriteColumn, ...], batches: pa.RecordBatchReader
) -> Iterator[pa.RecordBatch]:
    names = [one.name for one in columns]
    for batch in batches:
        arrays = [one.to_wire(array) for one, array in zip(columns, batch.columns, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, names=names)
