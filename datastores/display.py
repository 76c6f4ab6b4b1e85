"""Small tables for people: text for a terminal, HTML for a notebook."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

TEXT_WIDTH = 100
# A name or value could otherwise move the cursor, retitle the terminal or fail to be encoded.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """Return a text with its control characters written out, as Python writes them."""
    return _CONTROL.sub(lambda match: repr(match.group())[1:-1], text)


def text_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, width: int | None = TEXT_WIDTH
) -> str:
    """Return rows under a heading line, in aligned columns, cut to `width` characters if given."""
    cells = [list(columns), *([_cell(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = (
        "  ".join(cell.ljust(wide) for cell, wide in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )
    return "\n".join(
        line if width is None or len(line) <= width else f"{line[: width - 1]}…" for line in lines
    )


def html_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, caption: str = ""
) -> str:
    """Return the same as an HTML table, every cell escaped."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    body = "".join(
        f"<tr>{''.join(f'<td>{html.escape(_cell(value))}</td>' for value in row)}</tr>"
        for row in rows
    )
    title = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def format_bytes(count: int | None) -> str:
    """Return a size in decimal units with two or three digits: `82 MB`."""
    if count is None:
        return ""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 999.5 or unit == "TB":  # noqa: PLR2004  # 999.5 would round up to 1000
            return f"{size:.0f} {unit}" if unit == "B" or size >= 9.95 else f"{size:.1f} {unit}"  # noqa: PLR2004
        size /= 1000
    raise AssertionError


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int):
        return str(value)
    return f"{value:,}"
