"""Output for people: fitted to the terminal, whole in a pipe, and safe to show."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterable, Sequence

import click

from datastores.display import text_table

WIDTH = 100
# A name or value could otherwise move the cursor or retitle the terminal.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def terminal_width() -> int | None:
    """Return how wide lines may be; None in a pipe, where nothing is cut."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def visible(text: str) -> str:
    """Return a text with its control characters written out, as Python writes them."""
    return _CONTROL.sub(lambda match: repr(match.group())[1:-1], text)


def one_line(text: str) -> str:
    """Return a text without line breaks and control characters, for a message."""
    return visible(" ".join(text.split()))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under a heading."""
    cells = [[visible(one) if isinstance(one, str) else one for one in row] for row in rows]
    for line in text_table(columns, cells, width=terminal_width()).splitlines():
        click.echo(f" {line}")
