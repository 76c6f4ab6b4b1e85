"""Rows that a caller hands in: anything that speaks Arrow, as a stream of batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from datastores.errors import ConfigurationError
from datastores.filters import columns_of, parse_filters, to_expression

if TYPE_CHECKING:
    import pyarrow as pa


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
