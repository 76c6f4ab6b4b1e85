"""What a copy shows while it runs: the plan, a bar or a line for each part, and the report."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Self, Unpack

import click

from datastores.cli.signals import StopSignals
from datastores.cli.text import WIDTH, terminal_width, visible
from datastores.display import format_bytes

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from datastores.transfer import CopyOptions, CopyPlan, CopyReport, PartProgress

# With more parts than this only the running ones keep a bar, and a total stands below them.
_BARS_KEPT = 8
_BAR_WIDTH = 26
_LABEL = " plan   "


def print_plan(plan: CopyPlan, *, details: bool = False) -> None:
    """Print the plan's lines; with `details` also its columns, and that nothing was written."""
    lines = [one for line in plan.summary() for one in _folded(line, WIDTH - len(_LABEL))]
    for number, line in enumerate(lines):
        click.echo(f"{' ' * len(_LABEL) if number else _LABEL}{visible(line)}")
    if not details:
        return
    click.echo()
    for line in plan.details().splitlines():
        click.echo(f" {visible(line)}")
    click.echo("\n nothing was written")


def copy_shown(
    signals: StopSignals, source: Any, target: Any, **options: Unpack[CopyOptions]
) -> CopyReport:
    """Copy, and show the plan, the parts as they run and the report."""
    from datastores.transfer import copy

    with CopyDisplay(signals) as display:
        shown: CopyOptions = {
            **options,
            "on_plan": display.begin,
            "progress": display.advance,
        }
        report = copy(source, target, **shown)
    display.finish(report)
    return report


class CopyDisplay:
    """Shows one copy: `begin` is its `on_plan`, `advance` its `progress`, `finish` takes the report.

    On a terminal parts have live bars; elsewhere each finished part is one line. If its `with`
    block ends by a signal, it says what became of the target.
    """

    def __init__(self, signals: StopSignals) -> None:
        self._signals = signals
        self._plan: CopyPlan | None = None
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._total: TaskID | None = None
        self._done: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if self._progress is not None:
            self._progress.stop()
        if error is not None and self._signals.stopped_by is not None:
            click.echo(f" stopped: {self._outcome(error)}", err=True)

    def begin(self, plan: CopyPlan) -> None:
        """Show the plan, and the parts to come."""
        self._plan = plan
        print_plan(plan)
        click.echo()
        if terminal_width() is None:
            return
        self._progress = _progress()
        many = len(plan.parts) > _BARS_KEPT
        for number in range(len(plan.parts)):
            self._tasks[str(number)] = self._progress.add_task(
                f"part {number + 1}", total=None, visible=not many, **_fields()
            )
        if many:
            self._total = self._progress.add_task(
                f"all {len(plan.parts)}", total=len(plan.parts), **_fields()
            )
        self._progress.start()

    def advance(self, part: PartProgress) -> None:
        """Show how far a part is; called from the workers' threads."""
        if part.done:
            self._done.add(part.part)
        if self._progress is None:
            if part.done:
                words = (f"part {int(part.part) + 1}", visible(part.label), *_amounts(part))
                click.echo(f" {'  '.join(one for one in words if one)}  {_pace(part)}")
            return
        by_rows = part.rows_total is not None or part.rows > 0
        completed, total = (
            (part.rows, part.rows_total) if by_rows else (part.bytes, part.bytes_total)
        )
        amount, size = _amounts(part)
        self._progress.update(
            self._tasks[part.part],
            # The total is an estimate, and what was read is the truth.
            total=max(completed, 1) if part.done else total,
            completed=max(completed, 1) if part.done else completed,
            visible=self._total is None or not part.done,
            amount=amount,
            size=size,
            pace=_pace(part),
        )
        if self._total is not None:
            done = len(self._done)
            self._progress.update(self._total, completed=done, amount=f"{done:,} parts done")

    def finish(self, report: CopyReport) -> None:
        """Show what was copied, and what it cost."""
        click.echo()
        for line in str(report).splitlines():
            click.echo(f" {visible(line)}")

    def _outcome(self, error: BaseException) -> str:
        if self._plan is None:
            return "nothing was begun"
        target, job = visible(self._plan.target), self._plan.job
        if len(self._done) == len(self._plan.parts):
            # The publish is one step of the target's service, and only the target knows.
            return f"every part was read; {target} is as it was, or has all of them: look at it"
        notes = getattr(error, "__notes__", [])
        if notes:
            return f"{target} is as it was; {'; '.join(notes)}"
        return f"{target} is as it was; nothing is left of job {job}"


def _folded(line: str, width: int) -> list[str]:
    """Return a line that is too long as two: the target of a plan goes below its source."""
    before, arrow, after = line.partition("  ->  ")
    return [line] if len(line) <= width or not arrow else [before, f"->  {after}"]


def _progress() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    texts = [
        TextColumn(f"{{task.fields[{name}]:>{width}}}", markup=False)
        for name, width in (("amount", 15), ("size", 7))
    ]
    return Progress(
        TextColumn(" {task.description:<8}", markup=False),
        BarColumn(_BAR_WIDTH),
        *texts,
        TextColumn("{task.fields[pace]}", markup=False),
        console=Console(file=sys.stdout, highlight=False),
    )


def _fields() -> dict[str, Any]:
    return {"amount": "", "size": "", "pace": ""}


def _amounts(part: PartProgress) -> tuple[str, str]:
    return (f"{part.rows:,} rows" if part.rows else "", format_bytes(part.bytes))


def _pace(part: PartProgress) -> str:
    if part.done:
        return f"done in {part.seconds:.1f} s"
    if not part.seconds or not part.bytes:
        return ""
    speed = f"{format_bytes(int(part.bytes / part.seconds))}/s"
    share = part.rows / part.rows_total if part.rows_total else 0
    if not 0 < share < 1:
        return speed
    left = round(part.seconds * (1 - share) / share)
    return f"{speed}  {left // 60}:{left % 60:02} left"
