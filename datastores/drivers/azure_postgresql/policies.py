"""What a write does with values that PostgreSQL cannot hold: found by trying to encode them.

What only the server can judge, such as a text that is to be an `inet`, is refused by it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import pyarrow as pa

from datastores.drivers.azure_postgresql.codec import Encoder
from datastores.drivers.azure_postgresql.plan import WriteColumn
from datastores.drivers.writing import WriteRequest
from datastores.errors import DataError
from datastores.types.unfit import Attempt, Sieve, Tried, key_columns, key_of, unfit_rows
from datastores.values import UnfitPolicy, how_to_choose


def sieve(request: WriteRequest, columns: Sequence[WriteColumn]) -> Sieve:
    """Return what nulls values and leaves rows out before they are encoded."""
    # `null` for all columns is for those that may be NULL; the others still refuse.
    kept = {
        one.name: UnfitPolicy.RAISE
        for one in columns
        if not one.nullable and request.on_unfit.for_column(one.name) is UnfitPolicy.NULL
    }
    policies = replace(request.on_unfit, columns=(*request.on_unfit.columns, *kept.items()))
    return Sieve(_tried(columns), policies, key_columns(request.schema, request.keys))


@contextmanager
def row_named(
    request: WriteRequest, columns: Sequence[WriteColumn], batches: pa.RecordBatchReader
) -> Iterator[pa.RecordBatchReader]:
    """Hand the batches on; if a value in one of them is refused, the error says in which row."""
    last: pa.RecordBatch | None = None

    def watched() -> Iterator[pa.RecordBatch]:
        nonlocal last
        for batch in batches:
            last = batch
            yield batch

    try:
        yield pa.RecordBatchReader.from_batches(batches.schema, watched())
    except DataError as error:
        if last is not None:
            _name_row(error, request, columns, last)
        raise


def _name_row(
    error: DataError, request: WriteRequest, columns: Sequence[WriteColumn], batch: pa.RecordBatch
) -> None:
    for one in _tried(columns):
        values = batch.column(one.index)
        for row in unfit_rows(values, one.attempt):
            try:
                one.attempt(values.slice(row, 1))
            except DataError as refused:
                key = key_of(batch, row, key_columns(request.schema, request.keys))
                error.message = refused.message + (f", in the row {key}" if key else "")
                error.advice = f"{refused.advice}; or say {how_to_choose(one.name)}"
            return


def _tried(columns: Sequence[WriteColumn]) -> list[Tried]:
    return [Tried(index=at, name=one.name, attempt=_attempt(one)) for at, one in enumerate(columns)]


def _attempt(column: WriteColumn) -> Attempt:
    encoder = Encoder([(column.name, column.mapped.layout)])

    def encode(values: pa.Array) -> None:
        wire = column.to_wire(values)
        for _ in encoder.messages([pa.RecordBatch.from_arrays([wire], names=[column.name])]):
            pass

    return encode
