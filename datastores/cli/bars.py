"""The live bars of a copy on a terminal: one for each part that runs, and one for all of them."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.table import Column
from rich.text import Text
from typing_extensions import override

from datastores.cli.text import amounts, terminal_width
from datastores.display import format_bytes
from datastores.transfer import CopyPlan, PartProgress

# With more parts than this the finished ones have no bar of their own.
_BARS_KEPT = 8
_BARS = 9
_BAR_WIDTH = 26
# How many columns a terminal has at least where these are shown too.
_WITH_PACE, _WITH_SIZE = 56, 64
_WORDS: dict[str, Any] = {"amount": "", "size": "", "pace": ""}


class Bars:
    """Shows parts as they advance. The last line of several is the total."""

    def __init__(self, plan: CopyPlan) -> None:
        count = len(plan.parts)
        self._keeps_finished = count <= _BARS_KEPT
        self._latest: dict[str, PartProgress] = {}
        self._progress = _progress()
        self._tasks = {
            str(number): self._progress.add_task(
                f"part {number + 1}", total=None, visible=False, **_WORDS
            )
            for number in range(count)
        }
        self._by_rows = plan.rows is not None
        self._total = self._progress.add_task(
            f"0/{count:,} parts",
            total=plan.rows if self._by_rows else plan.bytes,
            visible=count > 1,
            **_WORDS,
        )

    def start(self) -> None:
        """Show the bars."""
        self._progress.start()

    def stop(self) -> None:
        """Leave the bars as they are, and give the terminal back."""
        self._progress.stop()

    def advance(self, part: PartProgress) -> None:
        """Show how far a part is, and all of them."""
        self._latest[part.part] = part
        by_rows = part.rows_total is not None or part.rows > 0
        completed = part.rows if by_rows else part.bytes
        amount, size = amounts(part.rows, part.bytes)
        self._progress.update(
            self._tasks[part.part],
            # The total is an estimate, and what was read is the truth.
            total=max(completed, 1) if part.done else _total(part, by_rows=by_rows),
            completed=max(completed, 1) if part.done else completed,
            visible=self._has_bar(part),
            amount=amount,
            size=size,
            pace=f"done in {part.seconds:.1f} s" if part.done else _rate(part.bytes, part.seconds),
        )
        self._advance_total()

    def _has_bar(self, part: PartProgress) -> bool:
        if part.done:
            return self._keeps_finished
        shown = [one.id for one in self._progress.tasks if one.visible and one.id != self._total]
        return self._tasks[part.part] in shown or len(shown) < _BARS

    def _advance_total(self) -> None:
        parts = self._latest.values()
        rows, size = sum(one.rows for one in parts), sum(one.bytes for one in parts)
        done = sum(one.done for one in parts)
        completed = rows if self._by_rows else size
        finished = done == len(self._tasks)
        amount, read = amounts(rows, size)
        elapsed = self._progress.tasks[self._total].elapsed or 0
        self._progress.update(
            self._total,
            description=f"{done:,}/{len(self._tasks):,} parts",
            total=max(completed, 1) if finished else None,
            completed=max(completed, 1) if finished else completed,
            amount=amount,
            size=read,
            pace=_rate(size, elapsed),
        )


class _Pace(ProgressColumn):
    """What a task says of its pace, and the time left where there is an estimate."""

    # Only now and then, so that it can be read.
    max_refresh = 0.5

    @override
    def render(self, task: Task) -> Text:
        left = None if task.finished else task.time_remaining
        words = [task.fields["pace"], f"{_clock(left)} left" if left else ""]
        return Text("  ".join(filter(None, words)))


def _progress() -> Progress:
    width = terminal_width() or 0
    columns: list[ProgressColumn] = [
        TextColumn(" {task.description:<8}", markup=False),
        BarColumn(None, table_column=Column(max_width=_BAR_WIDTH)),
        TextColumn("{task.fields[amount]:>15}", markup=False),
    ]
    if width >= _WITH_SIZE:
        columns.append(TextColumn("{task.fields[size]:>7}", markup=False))
    if width >= _WITH_PACE:
        columns.append(_Pace(table_column=Column(no_wrap=True)))
    return Progress(*columns, console=Console(file=sys.stdout, highlight=False))


def _total(part: PartProgress, *, by_rows: bool) -> int | None:
    return part.rows_total if by_rows else part.bytes_total


def _rate(size: int, seconds: float) -> str:
    return f"{format_bytes(int(size / seconds))}/s" if size and seconds else ""


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
