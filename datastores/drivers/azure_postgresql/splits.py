"""How rows are divided between readers: as conditions, each row meeting exactly one of them."""

from __future__ import annotations

from dataclasses import dataclass


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


def one_reader(why: str) -> Division:
    """Return a single piece, and why it is one."""
    return Division((Piece("all rows"),), f"one reader: {why}")


def by_pages(pages: int, splits: int) -> Division:
    """Return at most `splits` page ranges of about equal size; rows added later are in the last."""
    size = max(1, -(-pages // max(1, splits)))
    last = max(pages - 1, 0)
    pieces = []
    for first in range(0, max(pages, 1), size):
        end = first + size if first + size < pages else None
        bounds = [f"ctid >= '({first},0)'::tid"] if first else []
        bounds += [] if end is None else [f"ctid < '({end},0)'::tid"]
        label = f"pages {first:,} to {last if end is None else end - 1:,}"
        pieces.append(Piece(label, " AND ".join(bounds)))
    return Division(tuple(pieces), "ctid pages")
