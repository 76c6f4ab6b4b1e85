"""Rows on their way into a table: whatever speaks Arrow, as a stream, converted and staged."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from datastores.errors import ConfigurationError
from datastores.filters import columns_of, parse_filters, to_expression

if TYPE_CHECKING:
    import pyarrow as pa

    from datastores.drivers.writing import Receipt, WriteSession
    from datastores.types.convert import Conversion
    from datastores.types.unfit import Refusal, Take
    from datastores.values import Unfit


def arrow_reader(data: Any) -> pa.RecordBatchReader:
    """Return a stream over anything with `__arrow_c_stream__`, or over a pandas frame without it."""
    import pyarrow as pa  # workspaces are listed without it

    if isinstance(data, pa.RecordBatchReader):
        return data
    if isinstance(data, pa.RecordBatch):
        return pa.RecordBatchReader.from_batches(data.schema, [data])
    if hasattr(data, "__arrow_c_stream__"):
        return pa.RecordBatchReader.from_stream(data)
    if hasattr(data, "to_arrow"):
        return arrow_reader(data.to_arrow())
    raise ConfigurationError(
        f"a {type(data).__name__} is not a table",
        advice="Give something with __arrow_c_stream__: pyarrow, Polars, pandas, a scan",
    )


def filtered(batches: pa.RecordBatchReader, filters: Sequence[Any] | None) -> pa.RecordBatchReader:
    """Return the rows that pass; an unknown column is an error that lists the known ones."""
    parsed = parse_filters(filters)
    expression = to_expression(parsed)
    if expression is None:
        return batches
    for name in columns_of(parsed):
        if name not in batches.schema.names:
            raise ConfigurationError(
                f"the filters name a column {name!r} that the data does not have",
                advice=f"It has {', '.join(batches.schema.names)}",
            )
    import pyarrow as pa  # workspaces are listed without it

    kept = (batch.filter(expression) for batch in batches)
    return pa.RecordBatchReader.from_batches(batches.schema, (one for one in kept if len(one)))


def write_part(
    session: WriteSession,
    part: str,
    batches: pa.RecordBatchReader,
    conversion: Conversion,
    *,
    watch: Callable[[pa.RecordBatchReader], pa.RecordBatchReader] | None = None,
    note: Callable[[Unfit], str] | None = None,
    take: Take | None = None,
) -> Receipt:
    """Convert and stage one part; the receipt says what did not fit, on both ways.

    Args:
        session: Begun with the conversion's schema.
        part: Its name.
        batches: As the conversion takes them.
        conversion: To the target's columns.
        watch: Sees exactly the rows that are staged.
        note: Asked for once they are: what to keep with the receipt. It is told what did not fit.
        take: Handed the rows that are left out, under the target's names.
    """

    def take_before(rows: pa.RecordBatch, refusals: Sequence[Refusal]) -> None:
        if take is not None:
            take(conversion.renamed(rows), refusals)

    before, at_target = conversion.sieve(session.request.keys), session.sieve()
    rows = conversion.apply(before.reader(batches, take_before if take else None))
    if at_target is not None:
        rows = at_target.reader(rows, take)

    def unfit() -> Unfit:
        return before.unfit + at_target.unfit if at_target is not None else before.unfit

    receipt = session.write(
        part, watch(rows) if watch else rows, lambda: note(unfit()) if note else ""
    )
    return dataclasses.replace(receipt, unfit=unfit())
