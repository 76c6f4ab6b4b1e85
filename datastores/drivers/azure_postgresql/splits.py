"""How rows are divided between readers: as conditions, each row meeting exactly one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from datastores.drivers.azure_postgresql.catalog import DIALECT, Column
from datastores.drivers.azure_postgresql.heaps import Heap
from datastores.drivers.reading import MAX_SPLIT_BYTES
from datastores.drivers.sql.dialect import literal

# How much of a text a label shows.
_SHOWN_CHARACTERS = 20

Value = tuple[str, ...]
"""A key's value: the text of each of its columns, as the type itself prints it."""


@dataclass(frozen=True, slots=True)
class Piece:
    """The rows that meet a condition."""

    label: str
    """For plans and progress, such as `pages 0 to 99`."""
    condition: str = ""
    """In SQL; empty for every row."""


@dataclass(frozen=True, slots=True)
class Division:
    """All rows in pieces: every row is in one of them, and in no other."""

    pieces: tuple[Piece, ...]
    split_by: str
    """What the pieces are ranges of, or why there is just one."""
    condition: str = ""
    """Of all pieces."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where ranges of a key begin, as a sample of its values says."""

    lower: tuple[Value, ...]
    """Ascending by the server's own order; the first range has none."""
    nulls_apart: bool
    """Whether there are so many NULLs that they are a range of their own."""


def one_reader(why: str) -> Division:
    """Return a single piece, and why it is one."""
    return Division((Piece("all rows"),), f"one reader: {why}")


def by_pages(heaps: Sequence[Heap], splits: int) -> Division:
    """Return `splits` ranges of page numbers, each of them in every heap at once.

    As many times more, if they would hold more than `MAX_SPLIT_BYTES`: that is what is read again
    at most after a failure. Fewer, if there are not so many pages.

    So the table itself is asked, under its own rights and policies, and never its partitions. Rows
    that are added later are in the last range.
    """
    size = sum(one.bytes for one in heaps)
    splits *= max(1, -(-size // (splits * MAX_SPLIT_BYTES)))
    sizes = [one.pages for one in heaps]
    last = max([1, *sizes]) - 1
    starts = [0, *_page_bounds(sizes, splits)]
    pieces = []
    for first, end in zip(starts, [*starts[1:], None], strict=True):
        bounds = [f"ctid >= '({first},0)'::tid"] if first else []
        bounds += [] if end is None else [f"ctid < '({end},0)'::tid"]
        label = f"pages {first:,} to {last if end is None else end - 1:,}"
        pieces.append(Piece(label, " AND ".join(bounds)))
    where = f" of {len(heaps)} tables" if len(heaps) > 1 else ""
    return Division(tuple(pieces), f"ctid pages{where}")


def _page_bounds(sizes: Sequence[int], splits: int) -> list[int]:
    """Return page numbers between which the heaps together have about equally many pages."""
    total = sum(sizes)
    found = []
    for turn in range(1, splits):
        low, high = 0, max(sizes, default=0)
        while low < high:
            middle = (low + high) // 2
            if sum(min(size, middle) for size in sizes) * splits < total * turn:
                low = middle + 1
            else:
                high = middle
        found.append(low)
    return sorted({one for one in found if 0 < one < max(sizes)})


def within(division: Division, heaps: Sequence[Heap]) -> Division:
    """Return the same pieces without the rows of partitions that are attached after planning.

    Attaching shows at once, whatever the snapshot: those rows would be in the later splits only.
    """
    if len(division.pieces) == 1:
        return division
    oids = ",".join(str(one.oid) for one in heaps)
    return replace(division, condition=f"tableoid = ANY('{{{oids}}}'::pg_catalog.oid[])")


def by_key(key: Sequence[Column], bounds: Bounds, *, runs: str | None = None) -> Division:
    """Return half-open ranges of a key; rows with a NULL in it are in the last, or in one of their own.

    Args:
        key: The columns.
        bounds: Between the ranges.
        runs: What the server runs anew for each range, and once for the sample; None for a table.
    """
    names = ", ".join(one.name for one in key)
    nullable = any(one.nullable for one in key)
    if not bounds.lower and not bounds.nulls_apart:
        return one_reader(f"too few values of ({names}) to divide")
    starts = [None, *bounds.lower]
    pieces = []
    for lower, upper in zip(starts, [*bounds.lower, None], strict=True):
        parts = [] if lower is None else [comparison(key, ">=", lower)]
        parts += [] if upper is None else [comparison(key, "<", upper)]
        label = _label(key, lower, upper)
        if nullable and upper is None and not bounds.nulls_apart:
            pieces.append(Piece(f"{label} and NULL", f"({' AND '.join(parts)} OR {is_null(key)})"))
        else:
            # `(a, b) < (1, 2)` is true of (0, NULL) and unknown of (1, NULL).
            parts += [f"NOT {is_null(key)}"] if nullable else []
            pieces.append(Piece(label, " AND ".join(parts)))
    if bounds.nulls_apart:
        pieces.append(Piece("NULL keys", is_null(key)))
    note = "" if runs is None else f", running {runs} {len(pieces) + 1} times"
    return Division(tuple(pieces), f"key ranges of ({names}){note}")


def is_null(key: Sequence[Column]) -> str:
    """Return the condition that a column of the key is NULL, which a composite of NULLs is not."""
    tests = [f"{DIALECT.identifier(one.name)} IS NOT DISTINCT FROM NULL" for one in key]
    return f"({' OR '.join(tests)})"


def comparison(key: Sequence[Column], operator: str, value: Value) -> str:
    """Return a comparison that the server makes with the columns' own operators and collations."""
    names = DIALECT.columns(tuple(one.name for one in key))
    values = ", ".join(
        f"CAST({literal(text)} AS {one.bare})" for one, text in zip(key, value, strict=True)
    )
    return f"({names}) {operator} ({values})"


def _label(key: Sequence[Column], lower: Value | None, upper: Value | None) -> str:
    if len(key) == 1 and pa.types.is_integer(key[0].stored) and (lower or upper):
        start = "" if lower is None else f" from {int(lower[0]):,}"
        return f"{key[0].name}{start}{'' if upper is None else f' to {int(upper[0]) - 1:,}'}"
    name = _shown([one.name for one in key])
    if lower is None and upper is None:
        return f"{name} not NULL"
    start = "" if lower is None else f" from {_shown(lower)}"
    return f"{name}{start}{'' if upper is None else f' to below {_shown(upper)}'}"


def _shown(texts: Sequence[str]) -> str:
    cut = [one if len(one) <= _SHOWN_CHARACTERS else f"{one[:_SHOWN_CHARACTERS]}…" for one in texts]
    return cut[0] if len(cut) == 1 else f"({', '.join(cut)})"
