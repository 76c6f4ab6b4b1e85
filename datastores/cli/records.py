"""Rows and values on stdout: JSON lines that hold every value exactly, or columns for people."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import click

from datastores.cli.text import WIDTH, terminal_width
from datastores.display import visible

if TYPE_CHECKING:
    import pyarrow as pa

# Column widths are those of the first rows: a result is not held in memory to align it.
_ALIGNED_ROWS = 200
_MAX_CELL = 60
_GAP = "  "


def print_record(record: Mapping[str, Any]) -> None:
    """Print one JSON object on one line."""
    text = json.dumps(record, ensure_ascii=False)
    # What is no text, as a name on disk may be, is escaped as JSON escapes it.
    click.echo(text.encode(errors="backslashreplace").decode())


def print_rows(batches: pa.RecordBatchReader, *, as_json: bool) -> None:
    """Print rows as they come.

    As JSON lines, decimals, dates, times and bytes are text that holds them exactly. For people
    a terminal shows as many columns as fit, and says which ones do not.
    """
    if as_json:
        for batch in batches:
            _print_json(batch)
        return
    rows = chain.from_iterable(_text_rows(batch) for batch in batches)
    _print_columns(batches.schema.names, rows)


def _print_json(batch: pa.RecordBatch) -> None:
    from datastores.formats.json_values import dump, to_json

    names = batch.schema.names
    columns = [to_json(column, name) for name, column in zip(names, batch.columns, strict=True)]
    rows = zip(*columns, strict=True)
    sys.stdout.write("".join(f"{dump(dict(zip(names, row, strict=True)))}\n" for row in rows))


def _text_rows(batch: pa.RecordBatch) -> Iterator[tuple[str, ...]]:
    import pyarrow as pa

    from datastores.formats.json_values import nested_to_text
    from datastores.formats.text_values import to_text

    columns = []
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        convert = nested_to_text if pa.types.is_nested(column.type) else to_text
        texts = convert(column, name).to_pylist()
        columns.append(["NULL" if one is None else visible(one) for one in texts])
    return zip(*columns, strict=True)


def _print_columns(names: Sequence[str], rows: Iterator[tuple[str, ...]]) -> None:
    width = terminal_width()
    heads = tuple(visible(name) for name in names)
    first = list(islice(rows, _ALIGNED_ROWS))
    if width is not None:
        first = [tuple(map(_cut, row)) for row in first]
        rows = (tuple(map(_cut, row)) for row in rows)
    widths = [max(map(len, column)) for column in zip(heads, *first, strict=True)]
    shown = len(widths) if width is None else _fitting(widths, width)
    for row in chain([heads], first, rows):
        cells = (cell.ljust(wide) for cell, wide in zip(row[:shown], widths, strict=False))
        click.echo(f" {_GAP.join(cells).rstrip()}")
    if shown < len(heads):
        left = f"not shown, for want of room: {', '.join(heads[shown:])}"
        for line in textwrap.wrap(left, (width or WIDTH) - 1, break_on_hyphens=False):
            click.echo(f" {line}")


def _cut(cell: str) -> str:
    return cell if len(cell) <= _MAX_CELL else f"{cell[: _MAX_CELL - 1]}…"


def _fitting(widths: Sequence[int], width: int) -> int:
    """Return how many columns fit, and at least one."""
    used = 1
    for count, wide in enumerate(widths):
        used += wide + (len(_GAP) if count else 0)
        if used > width:
            return max(count, 1)
    return len(widths)
