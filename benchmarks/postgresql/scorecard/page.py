"""The scorecard as a page, as lines for a terminal, and as values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.postgresql.scorecard.judge import Judgement, Outcome
from benchmarks.report import aligned, markdown

_NOTE = "<!-- Written by `nox -s scorecard`. -->"
_RULES = """\
Every value below is in a table of its own, beside a NULL, and is read, or written from Arrow, through
each tool as its documentation shows it. Then a program judges, by the same rules for all:

- **exact**: the Arrow type says what PostgreSQL's says, and the value is the same.
- **tagged**: the value is whole, in a text, or in PostgreSQL's own bytes with the type's name beside them.
- **refused**: an error. **panic**: a refusal by an exception that programs do not catch, or by the end
  of the process.
- Anything else was changed without a word, and the cell says into what.

The server is the oracle: it reads what the tool's value says as the column's type again, and compares.
So whatever means the same counts: `1.5` for `1.50`, `::1` for `::1/128`, a JSON text with other blanks
(as tagged), a `char(5)` without its padding, which is no part of its value to PostgreSQL. An Arrow type
is believed: an int32 of -1 is -1, a time of 24 hours is 00:00 as all readers of Arrow show it, a double
is its own binary number. Cents are money where the field says so. pandas gives objects, which are taken
as the Arrow type that pyarrow makes of them, or else as the text that psycopg sends for them.\
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One direction: values by name, and what each tool made of them."""

    title: str
    names: Sequence[str]
    columns: Mapping[str, Sequence[Judgement]]

    @property
    def rows(self) -> Iterator[tuple[str, list[Judgement]]]:
        """Each value, with a judgement for each tool."""
        for at, name in enumerate(self.names):
            yield name, [column[at] for column in self.columns.values()]


def page(parts: Sequence[Part], versions: Mapping[str, str]) -> str:
    """Return the page in Markdown."""
    lines = ["# PostgreSQL: what becomes of a value", "", _NOTE, "", _RULES]
    shown = ", ".join(f"{name} {version}" for name, version in versions.items())
    lines += ["", f"Versions: {shown}.", "", "## Counts", ""]
    lines += markdown([_count_heads(), *_counts(parts)])
    for part in parts:
        rows = [
            [_code(name), *(_cell(one) for one in judgements)] for name, judgements in part.rows
        ]
        lines += ["", f"## {part.title}", "", *markdown([["value", *part.columns], *rows])]
    return "\n".join(lines) + "\n"


def terminal(parts: Sequence[Part]) -> Iterator[str]:
    """Yield the same as aligned text; `!` is before what a value became."""
    for part in parts:
        rows = [[name, *(_plain(one) for one in judgements), ""] for name, judgements in part.rows]
        yield from aligned([[part.title, *part.columns, ""], *rows])
        yield ""
    yield from aligned([_count_heads(), *_counts(parts)])


def values(parts: Sequence[Part], versions: Mapping[str, str]) -> dict[str, Any]:
    """Return everything as plain values."""
    return {
        "versions": dict(versions),
        "parts": {
            part.title: {
                tool: {
                    name: {"outcome": str(one.outcome), "words": one.words}
                    for name, one in zip(part.names, column, strict=True)
                }
                for tool, column in part.columns.items()
            }
            for part in parts
        },
    }


def count(column: Sequence[Judgement], *outcomes: Outcome) -> int:
    """Return how many values had one of the outcomes."""
    return sum(one.outcome in outcomes for one in column)


def _count_heads() -> list[str]:
    return [
        "tool",
        "direction",
        "exact",
        "tagged",
        "refused",
        "of these panics",
        "silently changed",
    ]


def _counts(parts: Sequence[Part]) -> Iterator[list[str]]:
    for part in parts:
        for tool, column in part.columns.items():
            if count(column, Outcome.NONE):
                continue
            yield [
                tool,
                part.title.lower(),
                *(
                    str(count(column, *outcomes))
                    for outcomes in (
                        (Outcome.EXACT,),
                        (Outcome.TAGGED,),
                        (Outcome.REFUSED, Outcome.PANIC),
                        (Outcome.PANIC,),
                        (Outcome.CHANGED,),
                    )
                ),
            ]


def _plain(one: Judgement) -> str:
    return f"! {one.words}" if one.outcome is Outcome.CHANGED else str(one.outcome)


def _cell(one: Judgement) -> str:
    return (
        f"**changed**: {_code(one.words)}" if one.outcome is Outcome.CHANGED else str(one.outcome)
    )


def _code(text: str) -> str:
    escaped = text.replace("|", "\\|").replace("\n", " ")
    return f"`{escaped}`"
