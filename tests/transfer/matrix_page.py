"""The matrix as a page in Markdown: how many columns of the shop each pair keeps, and which not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.transfer.kinds import FORMATS, KINDS, Refusals
from tests.transfer.matrix import FORMAT_ENDS, KIND_ENDS, TABLE_ENDS, End

PAGE = Path(__file__).parents[2] / "docs" / "matrix.md"

Cells = Mapping[tuple[str, str], tuple[int, ...]]
"""From source and target to the counts of exact, tagged and refused columns."""

_INTRODUCTION = """\
# Any store to any store

<!-- Written by `nox -s matrix`. -->

A shop whose tables carry every Arrow type with its extremes, and awkward names and texts
(`tests/transfer/shop.py`), is copied between each two kinds of store by several workers, verified, read
and compared value by value, and copied back. A row is a source, a column a target, and a cell counts
the columns of the shop that the source holds: *exact* / *tagged* / *refused*.

- **exact**: a type of the target's own holds every value.
- **tagged**: another type holds every value, and the original is noted beside it; the column reads back
  as it was.
- **refused**: nothing is written, and the error names the column and says why. The reasons are below.

Files are Parquet where nothing else is said.\
"""
_REFUSALS = """\
## Refused, and why

A *type* is refused by the plan, before anything is read. A *value* is refused when it is met: the target
stays as it was. What an error says stands here as it does there, shortened.\
"""


def page(cells: Cells) -> str:
    """Return the page."""
    lines = [_INTRODUCTION, "", *_counts(cells, KIND_ENDS, KIND_ENDS)]
    lines += ["", "## Other formats", "", *_counts(cells, FORMAT_ENDS, TABLE_ENDS)]
    lines += ["", *_counts(cells, TABLE_ENDS, FORMAT_ENDS), "", _REFUSALS, ""]
    ends = {name: one.refusals for name, one in KINDS.items()} | dict(FORMATS)
    heads = ("kind or format", "what", "why", "columns of the shop")
    rows = (row for name in sorted(ends) for row in _refusals(name, ends[name]))
    return "\n".join([*lines, *_table([heads, *rows])]) + "\n"


def cells_of(text: str) -> dict[tuple[str, str], tuple[int, ...]]:
    """Return the counts that a page shows."""
    cells: dict[tuple[str, str], tuple[int, ...]] = {}
    targets: list[str] = []
    for line in text.splitlines():
        first, *others = (cell.strip(" `") for cell in line.strip("|").split("|"))
        if first == "from / to":
            targets = others
        elif others and re.fullmatch(r"\d+ / \d+ / \d+", others[0]):
            for target, counts in zip(targets, others, strict=True):
                cells[first, target] = tuple(map(int, counts.split(" / ")))
    return cells


def _counts(cells: Cells, sources: Sequence[End], targets: Sequence[End]) -> list[str]:
    rows: list[Sequence[str]] = [("from / to", *(f"`{one}`" for one in targets))]
    for source in sources:
        counts = (" / ".join(map(str, cells[str(source), str(target)])) for target in targets)
        rows.append((f"`{source}`", *counts))
    return _table(rows)


def _refusals(name: str, refusals: Refusals) -> Iterator[tuple[str, ...]]:
    for what, reasons in (("type", refusals.types), ("value", refusals.values)):
        for reason, columns in reasons.items():
            yield f"`{name}`", what, reason, ", ".join(f"`{one}`" for one in columns)


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    heads, *others = rows
    return [f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *others)]
