"""`verify`: do two places hold the same rows, and if not, which differ."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pyarrow as pa

from datastores.errors import ConfigurationError, SchemaMismatchError, did_you_mean
from datastores.filters import Filters, parse_filters
from datastores.transfer.comparison import ColumnDifference, Comparison
from datastores.transfer.differences import MAX_ROWS_KEPT, Finder, Found, NotAKeyError
from datastores.transfer.endpoints import resolve, row_source
from datastores.transfer.histogram import DifferingRange, Histogram, Placing
from datastores.transfer.options import DEFAULT_WORKERS, CopyOptions
from datastores.transfer.sides import Reading, Side, read_both
from datastores.types.fields import source_of
from datastores.types.kinds import comparable
from datastores.types.positions import has_order
from datastores.values import column_names
from datastores.workspace import Workspace

_NO_KEY = "no key is known, so whole rows are compared; keys= or --keys names one"


def verify(  # noqa: PLR0913  # the words of a copy that say what its target holds
    one: Any,
    other: Any,
    *,
    keys: str | Sequence[str] = (),
    columns: Sequence[str] | None = None,
    filters: Sequence[Any] | None = None,
    rename: Mapping[str, str] | None = None,
    types: Mapping[str, Any] | None = None,
    workers: int = DEFAULT_WORKERS,
    workspace: Workspace | None = None,
) -> Comparison:
    """Return whether two places hold the same rows, in whatever order, and where they differ.

    `columns`, `filters`, `rename` and `types` are what a copy from `one` to `other` took, in the
    names of `one`, so that what it wrote compares as equal. Values are compared as a verified copy
    compares them: int32 5 and decimal 5.00 are equal, 5 and "5" are not.

    Args:
        one: A `datastore://` URL, `store / "path"`, a scan or a query.
        other: Another one, of any kind of store.
        keys: Columns that tell rows apart, by new name; the primary key of a side if not given. Where
            there is none whole rows are compared.
        columns: Which of the columns of `one`; all columns of both sides if not given.
        filters: Which rows of both sides: `[(column, operator, value), ...]`.
        rename: The names at `other` by the names at `one`.
        types: Types by new name, to which the values of `one` are cast first.
        workers: How many threads read each side.
        workspace: Where the names in URLs are looked up.

    Equal sides are read once, both at a time and each under one snapshot where its store has one.
    What differs is read again, by ranges of the key where it is a number or date, until the rows can be
    held: at most 32,768 of each side, whatever the table's size.

    Raises:
        ConfigurationError: A column or key that is not there.
        SchemaMismatchError: A column's type cannot be compared, or cast.
        ConflictError: Someone wrote to a side while it was compared.
    """
    options: CopyOptions = {} if workspace is None else {"workspace": workspace}
    conditions = parse_filters(filters)
    narrowed: CopyOptions = {**options, "filters": [list(group) for group in conditions]}
    if columns is not None:
        narrowed["columns"] = columns
    first = row_source(resolve(one, options), narrowed)
    renamed = rename or {}
    narrowed["filters"] = [list(group) for group in _renamed(conditions, renamed)]
    if columns is not None:
        narrowed["columns"] = [renamed.get(name, name) for name in columns]
    second = row_source(resolve(other, options), narrowed)
    sides = (Side(source=first, rename=renamed, types=types or {}), Side(source=second))
    return compare(*sides, keys=column_names(keys), workers=workers)


def compare(one: Side, other: Side, *, keys: tuple[str, ...] = (), workers: int) -> Comparison:
    """Return where two sides differ; by a primary key, or by whole rows, if no keys are named."""
    began = time.monotonic()
    with one.open(workers) as first, other.open(workers) as second:
        readings = (first, second)
        columns = _differing_columns(readings)
        if columns:
            return Comparison(
                one=str(one),
                other=str(other),
                equal=False,
                columns=columns,
                seconds=time.monotonic() - began,
            )
        keys = _checked(keys, first.schema) or _known_keys(readings)
        histograms = _histograms(readings, keys, workers)
    digests = [histogram.digest() for histogram in histograms]
    ranges = histograms[0].differing(histograms[1])
    found, note = _find(readings, keys, workers, ranges) if ranges else (Found(), None)
    return Comparison(
        one=str(one),
        other=str(other),
        equal=not ranges,
        one_rows=digests[0].rows,
        other_rows=digests[1].rows,
        one_digest=digests[0].hexdigest(),
        other_digest=digests[1].hexdigest(),
        keys=() if note else keys,
        note=note,
        ranges=found.ranges,
        differences=found.differences,
        complete=found.complete,
        seconds=time.monotonic() - began,
    )


def _find(
    readings: tuple[Reading, Reading],
    keys: tuple[str, ...],
    workers: int,
    ranges: Sequence[DifferingRange],
) -> tuple[Found, str | None]:
    """Return the first keys that differ, and why it is whole rows that were compared, if it is."""
    one, other = readings
    try:
        return Finder(readings, keys, workers).find(ranges), None if keys else _NO_KEY
    except NotAKeyError:
        with one.side.open(workers) as first, other.side.open(workers) as second:
            mine, others = _histograms((first, second), (), workers)
        found = Finder(readings, (), workers).find(mine.differing(others))
        shared = f"more than {MAX_ROWS_KEPT:,} rows have the same {', '.join(keys)}"
        return found, f"{shared}: whole rows are compared"


def _histograms(
    readings: tuple[Reading, Reading], keys: tuple[str, ...], workers: int
) -> tuple[Histogram, Histogram]:
    schemas = [reading.schema for reading in readings]
    ordered = [
        name for name in keys if all(has_order(schema.field(name).type) for schema in schemas)
    ]
    placing = Placing(tuple(ordered[:1]) or keys or tuple(schemas[0].names), ordered=bool(ordered))
    return read_both(readings, workers, partial(Histogram, placing))


def _differing_columns(readings: tuple[Reading, Reading]) -> tuple[ColumnDifference, ...]:
    """Return the columns that one side lacks, or whose types never hold equal values."""
    one, other = ({field.name: field.type for field in reading.schema} for reading in readings)
    found = []
    for name in dict.fromkeys((*one, *other)):
        try:
            if name in one and name in other and comparable(one[name], other[name]):
                continue
        except SchemaMismatchError as error:
            raise SchemaMismatchError(f"column {name!r}: {error.message}") from error
        types = [str(side[name]) if name in side else None for side in (one, other)]
        found.append(ColumnDifference(name=name, one=types[0], other=types[1]))
    return tuple(found)


def _checked(keys: tuple[str, ...], schema: pa.Schema) -> tuple[str, ...]:
    for name in keys:
        if name not in schema.names:
            raise ConfigurationError(
                f"keys: there is no column {name!r} among those compared",
                advice=did_you_mean(name, schema.names, "They are"),
            )
    return keys


def _known_keys(readings: tuple[Reading, Reading]) -> tuple[str, ...]:
    """Return the primary key of the first side that knows one."""
    for reading in readings:
        fields = [(one.target.name, source_of(one.source)) for one in reading.conversion.columns]
        keys = tuple(name for name, source in fields if source is not None and source.key)
        if keys:
            return keys
    return ()


def _renamed(filters: Filters, rename: Mapping[str, str]) -> Filters:
    return tuple(
        tuple(replace(one, column=rename.get(one.column, one.column)) for one in group)
        for group in filters
    )
