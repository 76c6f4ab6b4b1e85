"""What was measured: a table to read, and values for JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.harness import Comparison, Goal, Result

MIB = 2**20


@dataclass(frozen=True, slots=True)
class Figure:
    """How a figure is shown."""

    name: str
    head: str
    show: Callable[[float], str]


FIGURES = (
    Figure("wall_seconds", "wall s", "{:.2f}".format),
    Figure("client_cpu_seconds", "client CPU s", "{:.2f}".format),
    Figure("server_cpu_seconds", "server CPU s", "{:.2f}".format),
    Figure("peak_bytes", "peak MiB", lambda value: f"{value / MIB:.0f}"),
    Figure("file_bytes", "file MB", lambda value: f"{value / 1e6:.1f}"),
)
# Of the scenario's subject, divided by each contender's.
_RATIOS = (
    ("wall_seconds", "wall ratio"),
    ("client_cpu_seconds", "CPU ratio"),
    ("file_bytes", "size ratio"),
)


def lines(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """Yield a table for each scenario, and one of all goals."""
    for comparison in comparisons:
        yield from _scenario(comparison)
        yield ""
    rows = [
        [f"{one.scenario.name}: {one.scenario.table}", _goal(goal), *_reached(goal, one)]
        for one in comparisons
        for goal in one.scenario.goals
    ]
    if rows:
        yield from aligned([["goals", "", "measured", "goal", "reached"], *rows])


def values(comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """Return everything as plain values."""
    return [
        {
            "scenario": one.scenario.name,
            "table": one.scenario.table,
            "subject": one.scenario.subject,
            "contenders": {name: _plain(result) for name, result in one.results.items()},
            "goals": [
                {
                    "goal": _goal(goal),
                    "at_most": goal.at_most,
                    "measured": (measured := one.outcome(goal)),
                    "reached": None if measured is None else measured <= goal.at_most,
                }
                for goal in one.scenario.goals
            ],
        }
        for one in comparisons
    ]


def _plain(result: Result) -> dict[str, Any]:
    names = sorted({name for run in result.runs for name in run})
    return {
        "medians": {name: result.median(name) for name in names},
        "runs": result.runs,
        "fraction": result.contender.fraction,
        "failure": result.failure,
        "note": result.contender.note,
    }


def _scenario(comparison: Comparison) -> Iterator[str]:
    scenario, results = comparison.scenario, comparison.results
    subject = results.get(scenario.subject)
    figures = [one for one in FIGURES if any(_has(result, one.name) for result in results.values())]
    ratios = [one for one in _RATIOS if one[0] in {figure.name for figure in figures}]
    yield f"{scenario.name}: {scenario.table} (ratios: {scenario.subject} / each)"
    heads = ["", *(one.head for one in figures), *(head for _, head in ratios), ""]
    rows = [
        [
            result.contender.name,
            *(_cell(result.median(one.name), one.show) for one in figures),
            *(_ratio(subject, result, name) for name, _ in ratios),
            _remark(result),
        ]
        for result in results.values()
    ]
    yield from aligned([heads, *rows])


def _has(result: Result, figure: str) -> bool:
    return result.median(figure) is not None


def _cell(value: float | None, show: Callable[[float], str]) -> str:
    return "-" if value is None else show(value)


def _ratio(subject: Result | None, result: Result, figure: str) -> str:
    ours = subject.median(figure) if subject else None
    theirs = result.median(figure)
    return f"{ours / theirs:.2f}" if ours is not None and theirs else "-"


def _remark(result: Result) -> str:
    scaled = f"scaled from 1/{result.contender.fraction} of the rows, one run"
    pieces = [
        f"fails: {result.failure}" if result.failure else "",
        scaled if result.contender.fraction > 1 else "",
        result.contender.note,
    ]
    return "; ".join(filter(None, pieces))


def _goal(goal: Goal) -> str:
    over = f" / {goal.over}" if goal.over else ""
    return f"{goal.figure.removesuffix('_seconds').replace('_', ' ')} of {goal.of}{over}"


def _reached(goal: Goal, comparison: Comparison) -> list[str]:
    measured = comparison.outcome(goal)
    unit = MIB if goal.figure == "peak_bytes" and goal.over is None else 1
    shown = "-" if measured is None else f"{measured / unit:.2f}"
    verdict = "not measured" if measured is None else _YES[measured <= goal.at_most]
    return [shown, f"{goal.at_most / unit:.2f}", verdict]


_YES: Mapping[bool, str] = {True: "yes", False: "NO"}


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield rows with columns of equal width: words to the left, numbers to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        first, *middle, last = row
        cells = [cell.rjust(width) for cell, width in zip(middle, widths[1:-1], strict=True)]
        yield "  ".join([f"  {first.ljust(widths[0])}", *cells, last]).rstrip()


def markdown(rows: Sequence[Sequence[str]], *, numbers: bool = False) -> list[str]:
    """Return rows as a table of Markdown, of which the first is the head.

    Args:
        rows: The head, and what is below it.
        numbers: Whether all columns but the first and the last are aligned to the right.
    """
    head, *below = rows
    inner = "---:" if numbers else "---"
    rule = ["---", *([inner] * (len(head) - 2)), "---"]
    return [f"| {' | '.join(row)} |" for row in (head, rule, *below)]
