"""Output for people: fitted to the terminal, whole in a pipe, and safe to show."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Sequence

import click

from datastores.display import format_bytes, text_table, visible

WIDTH = 100


def terminal_width() -> int | None:
    """Return how wide lines may be; None in a pipe, where nothing is cut."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def one_line(text: str) -> str:
    """Return a text without line breaks and control characters, for a message."""
    return visible(" ".join(text.split()))


def amounts(rows: int, size: int) -> tuple[str, str]:
    """Return rows and bytes as words; rows are empty for files."""
    return (f"{rows:,} rows" if rows else "", format_bytes(size))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under a heading."""
    cells = [[visible(one) if isinstance(one, str) else one for one in row] for row in rows]
    for line in text_table(columns, cells, width=terminal_width()).splitlines():
        click.echo(f" {line}")
